"""How far frames of wide pictures are from the real ones, for a generator whose panorama is costly: taming.

The paper's easier set-up: not one endless panorama, but many pictures of limited width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.measure import Advance, gather, pixels, silent
from models import taming
from models.features import Extractor
from models.statistics import Gaussian, frechet, frechet_error

WIDE_FRAMES = 100  # of a wide picture of Taming Transformers, as in the paper
WIDE_AT_ONCE = 16  # such pictures,
WIDE_BYTES = 4 * 2**30  # as far as they fit into this


@dataclass(frozen=True)
class WideImages:
    """What pictures of limited width tell: the distance of all their frames, of `images` seeds from `first_seed` on.

    Easier than a panorama: frames of many pictures are less alike than as many of one.
    """

    images: int
    frames: int  # of each
    first_seed: int
    mean: float
    error: float | None  # by blocks of the frames

    @property
    def setup(self) -> str:
        """What the numbers are from, for the leaderboard."""
        last = self.first_seed + self.images - 1
        return f"easier: {self.images} images of {self.frames} frames, seeds {self.first_seed}-{last}"


def wide_images(
    generator: taming.Generator,
    real: Gaussian,
    extractor: Extractor,
    seed: int,
    frames: int,
    order: str = taming.SLIDING,
    advance: Advance = silent,
) -> WideImages:
    """The distance of `frames` frames, cut side by side from pictures about WIDE_FRAMES frames wide."""
    images = -(-frames // WIDE_FRAMES)
    width = -(-frames // images)
    stream = _first(_wide_frames(generator, seed, images, width, order), frames)
    blocks = gather(stream, frames, extractor, advance).blocks
    return WideImages(images, width, seed, frechet(blocks.whole, real), frechet_error(blocks, real))


def _first(batches: Iterator[Tensor], count: int) -> Iterator[Tensor]:
    for batch in batches:
        if count > 0:
            yield batch[:count]
        count -= len(batch)


@torch.no_grad()
def _wide_frames(generator: taming.Generator, seed: int, images: int, frames: int, order: str) -> Iterator[Tensor]:
    """uint8 [n, 3, h, w]: the frames of some pictures, from left to right, then of others."""
    columns = frames * generator.sizes.frame_columns
    at_once = max(1, min(WIDE_AT_ONCE, WIDE_BYTES // generator.wide_bytes))
    for first in range(0, images, at_once):
        seeds = list(range(seed + first, seed + min(first + at_once, images)))
        codes = generator.wide_codes(seeds, columns, order)
        for some in generator.decode_frames(codes, generator.decoding):
            yield pixels(some)
