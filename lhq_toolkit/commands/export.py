"""`lhq export`: hand a subset on as training pictures."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from typing import Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.options import DatasetPath, Json, RayAddress, Subset, Workers
from lhq_toolkit.terminal import say
from manifests.counts import plural

OUT = "A new or empty folder, or a URL such as s3://bucket/name (s3fs and the like must be installed)."
FORMATS = (
    "folder: files in OUT/images; zip: OUT/dataset.zip, as StyleGAN2-ADA and StyleGAN3 read it; webdataset: "
    "OUT/shard-*.tar; parquet: OUT/train-*.parquet, as Hugging Face datasets read them."
)
CROPS = "Pictures per photo: the centre square, then squares of random place and size, the same in every export."
SEED = "Other random squares, and another split."
JPEG = "JPEG files of this quality in place of PNG."
EXACT = "Decode every photo in full; by default a JPEG is decoded at the smallest scale with twice a picture's pixels."
LHQ = "As LHQ was made: decode in full, short side to 1,024 pixels, centre square, then the resolution; all by Lanczos."
VALIDATION = "Put about this share of the photos (with all their pictures) into a validation part."
OWN = "The export stays with you: take in photos whose terms forbid handing them, or crops of them, on."
LICENCE = "Refuse the export if the licence of a photo is unknown."


class Format(StrEnum):
    """What an export looks like."""

    FOLDER = "folder"
    ZIP = "zip"
    WEBDATASET = "webdataset"
    PARQUET = "parquet"


def export(
    dataset: DatasetPath,
    out: Annotated[str, typer.Argument(metavar="OUT", help=OUT)],
    format_: Annotated[Format, typer.Option("--format", help=FORMATS)],
    resolution: Annotated[
        int, typer.Option("--resolution", metavar="PIXELS", min=1, max=16384, help="Side of the square, in pixels.")
    ],
    crops: Annotated[int, typer.Option("--crops", metavar="N", min=1, max=1000, help=CROPS)] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help=SEED)] = 0,
    jpeg: Annotated[int | None, typer.Option("--jpeg", min=1, max=100, metavar="QUALITY", help=JPEG)] = None,
    exact: Annotated[bool, typer.Option("--exact", help=EXACT)] = False,
    lhq: Annotated[bool, typer.Option("--lhq", help=LHQ)] = False,
    validation: Annotated[float, typer.Option("--validation", metavar="SHARE", help=VALIDATION)] = 0.0,
    own_use: Annotated[bool, typer.Option("--own-use", help=OWN)] = False,
    require_licence: Annotated[bool, typer.Option("--require-licence", help=LICENCE)] = False,
    subset: Subset = "curated",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_: Json = False,
) -> int:
    """Export a subset: square crops, Lanczos, no metadata; attribution, card, Croissant and SHA256SUMS beside them.

    The same subset, options and library versions (export.json names them) give the same bytes, however many workers
    make them and however often they are stopped.
    """
    from manifests.dataset import Dataset
    from pipelines.engine.pool import open_pool
    from pipelines.export.run import run
    from pipelines.export.wanted import Wanted
    from pipelines.filter import existing

    wanted = Wanted(
        format=format_.value,
        resolution=resolution,
        crops=crops,
        seed=seed,
        jpeg=jpeg,
        exact=exact,
        lhq=lhq,
        validation=validation,
        own_use=own_use,
        require_licence=require_licence,
    )
    opened = Dataset.open(dataset)
    recipe = existing(opened, subset)
    with open_pool(workers, ray_address) as pool:
        exported = run(opened, recipe, out, wanted, pool, __version__)
    if json_:
        print(json.dumps({**dataclasses.asdict(exported), "format": format_.value}))
        return 0
    say(
        f"{out}: {plural(exported.pictures, 'picture')} of {resolution}x{resolution} from "
        f"{plural(exported.photos, 'photo')} ({plural(exported.made, 'picture')} made now)"
    )
    if exported.enlarged:
        say(f"  note: enlarged, because smaller than {resolution}: {plural(exported.enlarged, 'photo')}")
    if exported.unknown_licence:
        say(f"  warning: the licence of {plural(exported.unknown_licence, 'photo')} is unknown: do not hand them on")
    for photo_id, error in exported.errors.items():
        say(f"  left out: {photo_id}: {error}")
    say(f"  subset {subset!r}, hash {exported.subset_hash[:16]}; rights in ATTRIBUTION.csv, the card is README.md")
    return 0
