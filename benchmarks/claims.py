"""What the ALIS paper shows in pictures of panoramas, as numbers: seams, repetition, unused noise.

Its fourth, how hard it is to connect anchors, is `measure.connection_difficulty`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import measure
from benchmarks.measure import BATCH, pixels
from benchmarks.networks import Endless
from models import counter_random, locogan
from models.counter_random import Kind
from models.features import Extractor

PERIOD = 2  # frames after which the coordinates of ALIS and LocoGAN repeat
LARGEST_LAG = 8  # frames
STEPS = 4  # places in a frame where frames are cut to be compared
PAIRS = 64  # of pictures, in which noise alone is changed


@dataclass(frozen=True)
class Seam:
    """Mean step from a column of pixels to the next, in levels of 255: across the borders of patches, and elsewhere."""

    border: float
    elsewhere: float

    @property
    def score(self) -> float | None:
        """Border over elsewhere: 1 where borders cannot be told; None where nothing varies."""
        return self.border / self.elsewhere if self.elsewhere else None


def seam(generator: Endless, seed: int, frames: int) -> Seam | None:
    """Of a panorama's first `frames` frames. None where a column is one pixel wide, so that all are borders."""
    width = generator.sizes.column_width
    if width == 1:
        return None
    sums, counts = torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.int64)
    edge: Tensor | None = None  # the last column of pixels before
    done = 0
    for batch in measure.panorama_frames(generator, seed, frames):
        strip = torch.cat(list(batch.cpu()), 2).double()  # [3, h, frames * h]
        strip = strip if edge is None else torch.cat([edge, strip], 2)
        steps = (strip[:, :, 1:] - strip[:, :, :-1]).abs().mean((0, 1))
        place = done + torch.arange(len(steps)) + (edge is None)  # of the pixel on the right
        at_border = (place % width == 0).long()
        sums.index_add_(0, at_border, steps)
        counts += torch.bincount(at_border, minlength=2)
        edge = strip[:, :, -1:]
        done += batch.shape[0] * batch.shape[3]
    elsewhere, border = (sums / counts).tolist()
    return Seam(border, elsewhere)


@dataclass(frozen=True)
class Repetition:
    """How alike frames of a panorama are, by how many frames they lie apart.

    similarity: lag in frames to 1 - (mean squared distance of their features) / (that of independent frames). 1 for
    equal frames, about 0 for frames that have nothing to do with each other.
    """

    similarity: dict[float, float]

    def peak(self, lag: float) -> float:
        """How much more alike frames are at this lag than at one frame less and one more, which do not overlap it."""
        return self.similarity[lag] - (self.similarity[lag - 1] + self.similarity[lag + 1]) / 2

    @property
    def score(self) -> float:
        """The peak at the period of the coordinates: 0 without repetition, 1 where frames return and else differ."""
        return self.peak(float(PERIOD))

    @property
    def strongest(self) -> float:
        """The lag in frames with the highest peak, from 2 on, where frames and their neighbours share no pixel."""
        lags = [lag for lag in self.similarity if lag >= PERIOD and lag + 1 in self.similarity]
        highest = max(self.peak(lag) for lag in lags)
        return next(lag for lag in lags if self.peak(lag) >= highest - abs(highest) / 20)  # the first of nearly equal


def repetition(generator: Endless, extractor: Extractor, apart: float, seed: int, frames: int) -> Repetition | None:
    """Of a panorama's first `frames` frames, cut at several places in each (Figure 10 of the paper).

    `apart`: the mean squared distance of the features of two independent frames. None where that is 0, or where
    there are not more frames than the largest lag.
    """
    if not apart or frames <= LARGEST_LAG + 1:
        return None
    columns = generator.sizes.frame_columns
    stride = max(1, columns // STEPS)
    each = columns // stride  # places in a frame
    found = torch.cat([extractor(batch).double().cpu() for batch in _shifted_frames(generator, seed, frames, stride)])
    similarity = {}
    for lag in range(1, LARGEST_LAG * each + 1):
        away = (found[lag:] - found[:-lag]).square().sum(1).mean()
        similarity[lag / each] = 1 - float(away) / apart
    return Repetition(similarity)


def _shifted_frames(generator: Endless, seed: int, frames: int, stride: int) -> Iterator[Tensor]:
    """uint8 [<= BATCH, 3, h, w]: frames that begin `stride` columns apart."""
    columns, size = generator.sizes.frame_columns, generator.sizes.resolution
    count = (frames - 1) * columns // stride + 1
    for first in range(0, count, BATCH):
        many = min(BATCH, count - first)
        wide = (many - 1) * stride + columns
        strip = pixels(generator.columns(seed, first * stride, wide, batch=BATCH * columns))
        shifted = strip.unfold(2, size, stride * generator.sizes.column_width)  # [3, h, many, w]
        yield shifted.permute(2, 0, 1, 3).contiguous()


@torch.no_grad()
def noise_use(generator: locogan.Generator, seed: int, pairs: int = PAIRS) -> float | None:
    """How much of LocoGAN's pictures comes from its spatial noise; the paper says that it learns to ignore it.

    The mean squared difference of two pictures that share the latent, the place and the noise of the layers, over
    that of two independent pictures: 0 where the spatial noise changes nothing, 1 where it alone makes the picture.
    None where all pictures are equal.
    """
    alone = whole = 0.0
    for first in range(0, pairs, BATCH):
        index = torch.arange(first, min(first + BATCH, pairs), device=generator.device)
        ws = generator.styles(counter_random.normal(seed, Kind.FRAME_LATENT, 0, index, generator.sizes.z_dim))
        place = counter_random.integers(seed, Kind.FRAME_SHIFT, index, generator.sizes.shifts)
        layers = generator.frame_noise(seed, Kind.FRAME_NOISE, index)
        one, other = (
            _levels(generator.frames(ws, place, generator.frame_spatial(seed, Kind.FRAME_SPATIAL, number), layers))
            for number in (index, pairs + index)
        )
        stranger = _levels(generator.samples(seed, 2 * pairs + first, len(index)))
        alone += float((one - other).square().mean((1, 2, 3)).sum())
        whole += float((one - stranger).square().mean((1, 2, 3)).sum())
    return alone / whole if whole else None


def _levels(images: Tensor) -> Tensor:
    """As they are saved, for sums."""
    return pixels(images).double()
