"""What to make of a subset: the options of `lhq export`, their meaning for one export, and its facts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from manifests.errors import MisuseError
from pipelines.export.folder import Folder
from pipelines.export.format import TRAIN, VALIDATION, Format, Part
from pipelines.export.parquet import HuggingFace
from pipelines.export.picture import LHQ_SIDE, Making
from pipelines.export.webdataset import WebDataset
from pipelines.export.zip_ import Zip


@dataclass(frozen=True)
class Wanted:
    """What to make of a subset."""

    format: str  # one of FORMATS
    resolution: int  # side of every picture, in pixels
    crops: int = 1  # pictures per photo
    seed: int = 0  # of the drawn crops and of the split
    jpeg: int | None = None  # quality; None: PNG
    exact: bool = False  # decode every photo in full
    lhq: bool = False  # short side to 1,024 pixels first, as LHQ was made
    validation: float = 0.0  # share of the photos that go into the validation part
    own_use: bool = False  # the export is not handed on
    require_licence: bool = False  # refuse photos of unknown licence

    def __post_init__(self) -> None:
        if self.lhq and self.resolution > LHQ_SIDE:
            raise MisuseError(f"--lhq makes pictures of at most {LHQ_SIDE} pixels, not {self.resolution}")
        if not 0 <= self.validation < 1:
            raise MisuseError(f"--validation {self.validation:g}: give a share of the photos, from 0 to below 1")

    def form(self) -> Format:
        """The format, told what it must know."""
        suffix = ".png" if self.jpeg is None else ".jpg"
        if self.format == "folder":
            return Folder(suffix)
        if self.format == "zip":
            return Zip(suffix)
        sharded = {"webdataset": WebDataset, "parquet": HuggingFace}[self.format]
        return sharded(suffix, self.resolution, self.crops)

    def making(self) -> Making:
        """How its pictures are made."""
        return Making(self.resolution, self.seed, self.jpeg, self.exact or self.lhq, self.lhq)

    def part(self, sha256: str) -> Part:
        """Where a photo goes, by the hash of its file: equal files, and all crops of one, go the same way.

        It is the same part whatever else is in the subset, and a larger share takes in the smaller one's photos.
        """
        digest = hashlib.sha256(f"split {self.seed} {sha256}".encode()).digest()
        return VALIDATION if int.from_bytes(digest[:8], "big") < self.validation * 2**64 else TRAIN

    def facts(self) -> dict[str, Any]:
        """For export.json: all that the pictures depend on."""
        return {
            "format": self.format,
            "resolution": self.resolution,
            "crops": self.crops,
            "seed": self.seed,
            "picture": "png" if self.jpeg is None else f"jpeg {self.jpeg}",
            "exact": self.exact or self.lhq,
            "lhq": self.lhq,
            "validation": self.validation,
            "own_use": self.own_use,
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """The libraries that every byte of the pictures depends on."""
    import numpy as np
    import PIL
    import pyarrow as pa
    import simplejpeg
    from PIL import features

    inside = {name: features.version(name) for name in ("libjpeg_turbo", "zlib", "zlib_ng", "littlecms2")}
    return {
        "pillow": PIL.__version__,
        **{f"pillow's {name}": version for name, version in inside.items() if version},
        "simplejpeg": simplejpeg.__version__,
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
    }
