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


class Format(StrEnum):
    """What an export looks like."""

    FOLDER = "folder"


def export(
    dataset: DatasetPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder.")],
    format_: Annotated[Format, typer.Option("--format", help="folder: PNG files under OUT/images.")],
    resolution: Annotated[int, typer.Option("--resolution", min=1, max=16384, help="Side of the square, in pixels.")],
    subset: Subset = "curated",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_: Json = False,
) -> int:
    """Export a subset: centre square crop, Lanczos, PNG; with attribution, a card and SHA256SUMS beside it."""
    from manifests.dataset import Dataset
    from pipelines.engine.pool import open_pool
    from pipelines.export import folder
    from pipelines.filter import existing

    opened = Dataset.open(dataset)
    recipe = existing(opened, subset)
    with open_pool(workers, ray_address) as pool:
        exported = folder.run(opened, recipe, out, resolution, pool, __version__)
    if json_:
        print(json.dumps({**dataclasses.asdict(exported), "out": str(out), "format": format_.value}))
        return 0
    print(f"{out}: {exported.pictures:,} pictures of {resolution}x{resolution} ({exported.made:,} made now)")
    if exported.enlarged:
        print(f"  note: {exported.enlarged:,} photos are smaller than {resolution} and were enlarged")
    for photo_id, error in exported.errors.items():
        print(f"  left out: {photo_id}: {error}")
    print(f"  subset {subset!r}, hash {exported.subset_hash[:16]}; rights in {out / 'ATTRIBUTION.csv'}")
    return 0
