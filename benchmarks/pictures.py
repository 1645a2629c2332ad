"""Training pictures: an export of the toolkit, or any folder or zip of square pictures of one size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchmarks import exports, pixel_cache
from benchmarks.pixel_cache import Progress
from models.weights import cache_folder


@dataclass(frozen=True)
class Pictures:
    """What is learned from and measured against. images: uint8 [n, 3, resolution, resolution], not to be written to."""

    images: Tensor
    dataset: str
    subset: str
    subset_hash: str  # of an export: that of its photos; else pictures_hash
    pictures_hash: str  # of every picture's file, in their order

    @property
    def resolution(self) -> int:
        """Pixels a side."""
        return self.images.shape[2]

    def facts(self) -> dict[str, str | int]:
        """What tells these pictures from others, for JSON."""
        return {
            "dataset": self.dataset,
            "subset": self.subset,
            "subset_hash": self.subset_hash,
            "pictures_hash": self.pictures_hash,
            "pictures": len(self.images),
            "resolution": self.resolution,
        }


def read(data: Path, cache: Path | None = None, progress: Progress | None = None) -> Pictures:
    """Every picture, in the order of their names, which in an export is the same in every format.

    They are decoded once; later reads map the pixels that lie in the cache (LHQ_CACHE without one), as `pixel_cache`
    tells. Raises SetupError for what is not there, not square, not of one size or a size that no network has, for an
    export that is not whole or has changed, and for a cache that cannot be written.
    """
    source = exports.find(data)
    kept = pixel_cache.kept(source, cache or cache_folder(), progress)
    return Pictures(
        images=kept.images,
        dataset=source.facts.get("dataset", source.place.resolve().stem),
        subset=source.facts.get("subset", ""),
        subset_hash=source.facts.get("subset_hash", kept.pictures_hash),
        pictures_hash=kept.pictures_hash,
    )
