"""`lhq export`: hand a subset on as training pictures."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.options import DatasetPath, Json, RayAddress, Subset, Workers

FORMATS = "folder: PNG files in OUT/images; zip: OUT/dataset.zip, as StyleGAN2-ADA and StyleGAN3 read it."
CROPS = "Pictures per photo: the centre square, then squares of random place and size, the same in every export."


class Format(StrEnum):
    """What an export looks like."""

    FOLDER = "folder"
    ZIP = "zip"


def export(
    dataset: DatasetPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    format_: Annotated[Format, typer.Option("--format", help=FORMATS)],
    resolution: Annotated[int, typer.Option("--resolution", min=1, max=16384, help="Side of the square, in pixels.")],
    crops: Annotated[int, typer.Option("--crops", min=1, max=1000, help=CROPS)] = 1,
    subset: Subset = "curated",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_: Json = False,
) -> int:
    """Export a subset: square crops, Lanczos, PNG; with attribution, a card and SHA256SUMS beside them."""
    from manifests.dataset import Dataset
    from pipelines.engine.pool import open_pool
    from pipelines.export.run import Wanted, run
    from pipelines.filter import existing

    opened = Dataset.open(dataset)
    recipe = existing(opened, subset)
    with open_pool(workers, ray_address) as pool:
        exported = run(opened, recipe, out, Wanted(format_.value, resolution, crops), pool, __version__)
    if json_:
        print(json.dumps({**dataclasses.asdict(exported), "out": str(out), "format": format_.value}))
        return 0
    print(
        f"{out}: {exported.pictures:,} pictures of {resolution}x{resolution} from {exported.photos:,} photos "
        f"({exported.made:,} pictures made now)"
    )
    if exported.enlarged:
        print(f"  note: {exported.enlarged:,} photos are smaller than {resolution} and were enlarged")
    for photo_id, error in exported.errors.items():
        print(f"  left out: {photo_id}: {error}")
    print(f"  subset {subset!r}, hash {exported.subset_hash[:16]}; rights in {out / 'ATTRIBUTION.csv'}")
    return 0
