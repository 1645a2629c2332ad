"""`lhq heatmap`: which regions of photos tell the invariance stage where their parts lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit.commands.options import DatasetPath, Json, Subset
from manifests.counts import plural


def heatmap(
    dataset: DatasetPath,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="Where to write it.")],
    id_: Annotated[
        list[str] | None,
        typer.Option("--id", metavar="ID", help="A photo; repeatable.", show_default="spread over all scores"),
    ] = None,
    photos: Annotated[int, typer.Option("--photos", metavar="N", min=1, max=200, help="How many, without --id.")] = 12,
    subset: Subset = "curated",
    json_: Json = False,
) -> int:
    """Draw photos with the regions that tell their parts' places, covered one after another to find out."""
    from manifests.dataset import Dataset
    from manifests.errors import MisuseError
    from pipelines.filter import existing

    if output.suffix != ".png":
        raise MisuseError(f"-o {output}: the sheet is a PNG file; give a name that ends in .png")
    if not output.parent.is_dir():
        raise MisuseError(f"-o {output}: there is no folder {output.parent}")
    if output.resolve().is_relative_to(dataset.resolve()):
        raise MisuseError(f"-o {output} lies inside the dataset {dataset}: write the picture beside it")
    from lhq_toolkit import heat_sheet

    opened = Dataset.open(dataset)
    drawn = heat_sheet.draw(opened, existing(opened, subset), output, id_ or [], photos)
    if json_:
        print(json.dumps({"file": str(output), "photos": drawn}))
    else:
        print(f"{output}: {plural(len(drawn), 'photo')}; below each, the probability of every part's true place")
    return 0
