"""`lhq report`: a page that tells how a subset came about."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.options import DatasetPath, Json, Subset
from manifests.counts import plural


class Kind(StrEnum):
    """Of files with figures."""

    PNG = "png"
    SVG = "svg"


def report(
    dataset: DatasetPath,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="Where to write it.")],
    figures: Annotated[
        Kind | None,
        typer.Option("--figures", help="Write the figures as files too, into a folder FILE-figures beside it."),
    ] = None,
    subset: Subset = "curated",
    json_: Json = False,
) -> int:
    """Write one HTML file: the funnel, each stage's scores with photos on both sides of its threshold, tags, rights.

    The file needs no network and holds no script; what strangers wrote is shown as text.
    """
    from lhq_toolkit.report import page
    from manifests.dataset import Dataset
    from manifests.errors import MisuseError
    from pipelines.filter import existing

    if output.suffix not in (".html", ".htm"):
        raise MisuseError(f"-o {output}: the report is an HTML file; give a name that ends in .html")
    if not output.parent.is_dir():
        raise MisuseError(f"-o {output}: there is no folder {output.parent}")
    if output.resolve().is_relative_to(dataset.resolve()):
        raise MisuseError(f"-o {output} lies inside the dataset {dataset}: write the report beside it")
    opened = Dataset.open(dataset)
    made = page.make(opened, existing(opened, subset), __version__)
    page.write(made, output)
    files = []
    if figures is not None:
        folder = output.with_name(f"{output.stem}-figures")
        files = [str(path) for path in page.write_figures(made, folder, figures.value)]
    if json_:
        print(json.dumps({"file": str(output), "bytes": output.stat().st_size, "figures": files}))
    else:
        print(
            f"{output}: {output.stat().st_size / 1e6:.1f} MB" + (f", {plural(len(files), 'figure')}" if files else "")
        )
    return 0
