"""How far a generator's frames are from the real pictures: independent frames, and frames of endless panoramas.

fd is taken on independent frames, infinity_fd (the paper's infinity-FID) on frames cut without gap or overlap from
streamed panoramas, one for each of several seeds. Both are called FID only with the features of the 2015 Inception.
Nothing here holds all frames, or all their features: statistics and bounded samples are all that grows.
"""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import networks
from benchmarks.networks import Endless, Generator
from benchmarks.plugin_model import PluginEndless
from models import alis, locogan
from models.distances import NEIGHBOURS, KernelDistance, Sample, kid, precision_recall
from models.features import Extractor
from models.statistics import Blocks, Gaussian, frechet, frechet_error

BATCH = 32  # pictures

Advance = Callable[[int], None]  # so many more frames were measured


def silent(count: int) -> None:
    """An `Advance` that tells nobody."""


@dataclass(frozen=True)
class Real:
    """What is kept of the real pictures: statistics of all, features of some."""

    gaussian: Gaussian
    sample: Sample


@dataclass(frozen=True)
class Gathered:
    """What is kept of generated frames."""

    blocks: Blocks
    sample: Sample


@dataclass(frozen=True)
class Independent:
    """What independent frames tell. None: there were too few frames."""

    fd: float
    error: float | None  # standard error of fd
    kid: KernelDistance | None
    precision: float | None
    recall: float | None
    apart: float  # mean squared distance of the features of two frames


@dataclass(frozen=True)
class Infinity:
    """What panoramas tell: the distance of each seed's, and that of as many independent frames at the same places.

    Frames of a panorama are alike where they share anchors or a latent, and stand at few places among them;
    `control` has the places, the path and the number of frames, but nothing is shared.
    """

    frames: int  # of each panorama
    seeds: tuple[int, ...]
    each: tuple[float, ...]
    control: float
    block_error: float | None  # of the first seed's, by the blocks of its panorama

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return plain.fmean(self.each)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for one seed."""
        return plain.stdev(self.each) if len(self.each) > 1 else None

    @property
    def error(self) -> float | None:
        """Standard error of the mean: from the spread, for one seed from its blocks."""
        return self.block_error if self.spread is None else self.spread / math.sqrt(len(self.each))

    @property
    def setup(self) -> str:
        """What the numbers are from, for the leaderboard."""
        first, last = self.seeds[0], self.seeds[-1]
        seeds = f"seed {first}" if first == last else f"seeds {first}-{last}"
        return f"{len(self.seeds)} panorama{'s' * (first != last)} of {self.frames} frames, {seeds}"


def pixels(images: Tensor) -> Tensor:
    """uint8 of images about [-1, 1], as they are saved."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def independent_frames(generator: Generator, seed: int, count: int, batch: int = BATCH) -> Iterator[Tensor]:
    """uint8 [<= batch, 3, h, w], `count` frames in all: fresh latents each, at any shift."""
    for first in range(0, count, batch):
        yield pixels(generator.samples(seed, first, min(batch, count - first)))


def panorama_frames(generator: Endless, seed: int, count: int, batch: int = BATCH) -> Iterator[Tensor]:
    """uint8 [<= batch, 3, h, w]: frames 0 ... count - 1 of a seed's panorama, side by side, never all in memory."""
    columns = generator.sizes.frame_columns
    for first in range(0, count, batch):
        frames = min(batch, count - first)
        yield _cut(generator.columns(seed, first * columns, frames * columns, batch=BATCH * columns))


def control_frames(generator: Endless, seed: int, count: int, batch: int = BATCH) -> Iterator[Tensor]:
    """As `panorama_frames`, each frame at the same place, but of a panorama of its own."""
    columns = generator.sizes.frame_columns
    period = _period(generator)
    for first in range(0, count, batch):
        index = torch.arange(first, min(first + batch, count), device=device_of(generator))
        frames = networks.placed(generator, seed, index, index * columns % period)
        yield _cut(torch.cat(list(frames), 2))


def _period(generator: Endless) -> int:
    """Columns after which frames of a panorama stand at the same place among anchors and coordinates."""
    if isinstance(generator, PluginEndless):
        return generator.period
    if isinstance(generator, locogan.Generator):
        return locogan.PERIOD
    return math.lcm(generator.sizes.span, 2 * generator.sizes.patches)


def _cut(strip: Tensor) -> Tensor:
    """Frames uint8 [n, 3, h, h] of a strip [3, h, n * h]."""
    size = strip.shape[1]
    return pixels(strip.view(3, size, -1, size).permute(2, 0, 1, 3).contiguous())


def device_of(generator: Generator) -> torch.device:
    """Where a generator computes."""
    return next(generator.parameters()).device


def gather(batches: Iterator[Tensor], total: int, extractor: Extractor, advance: Advance = silent) -> Gathered:
    """Statistics and a sample of the features of `total` frames uint8 [n, 3, h, w]."""
    gathered = Gathered(Blocks(extractor.dims, total, extractor.device), Sample(extractor.dims))
    first = 0
    for batch in batches:
        features = extractor(batch)
        gathered.blocks.add(features, first)
        gathered.sample.add(features, first)
        first += len(batch)
        advance(len(batch))
    return gathered


def statistics(batches: Iterator[Tensor], extractor: Extractor, advance: Advance = silent) -> Gaussian:
    """Statistics of the features of frames uint8 [n, 3, h, w]."""
    gathered = Gaussian(extractor.dims, extractor.device)
    for batch in batches:
        gathered.add(extractor(batch))
        advance(len(batch))
    return gathered


def real_statistics(images: Tensor, extractor: Extractor) -> Real:
    """Of all training pictures, uint8 [n, 3, h, w]."""
    gathered = gather(iter(torch.split(images, BATCH)), len(images), extractor)
    return Real(gathered.blocks.whole, gathered.sample)


def distances(generator: Generator, real: Gaussian, extractor: Extractor, seed: int, frames: int) -> list[float]:
    """The distance of `frames` independent frames, and where there is one that of a panorama: what training shows."""
    found = [frechet(statistics(independent_frames(generator, seed, frames), extractor), real)]
    if isinstance(generator, Endless):
        found.append(frechet(statistics(panorama_frames(generator, seed, frames), extractor), real))
    return found


def independent(
    generator: Generator,
    real: Real,
    extractor: Extractor,
    seed: int,
    frames: int,
    advance: Advance = silent,
    watch: Callable[[Tensor], None] | None = None,
) -> Independent:
    """Everything that is measured on independent frames; `watch` is shown each batch of them, uint8 [n, 3, h, w]."""
    batches = independent_frames(generator, seed, frames)
    gathered = gather(batches if watch is None else _watched(batches, watch), frames, extractor, advance)
    whole = gathered.blocks.whole
    ours, theirs = gathered.sample.features, real.sample.features
    enough = min(len(ours), len(theirs)) > NEIGHBOURS
    ours, theirs = ours.to(extractor.device), theirs.to(extractor.device)
    precision, recall = precision_recall(theirs, ours) if enough else (None, None)
    return Independent(
        fd=frechet(whole, real.gaussian),
        error=frechet_error(gathered.blocks, real.gaussian),
        kid=kid(theirs, ours) if enough else None,
        precision=precision,
        recall=recall,
        apart=2 * float(whole.covariance.trace()),
    )


def _watched(batches: Iterator[Tensor], watch: Callable[[Tensor], None]) -> Iterator[Tensor]:
    for batch in batches:
        watch(batch)
        yield batch


def infinity(
    generator: Endless,
    real: Gaussian,
    extractor: Extractor,
    seeds: range,
    frames: int,
    advance: Advance = silent,
) -> Infinity:
    """The distances of a panorama of `frames` frames for each seed, and of the control."""
    each, block_error = [], None
    for seed in seeds:
        stream = panorama_frames(generator, seed, frames)
        if len(seeds) == 1:
            blocks = gather(stream, frames, extractor, advance).blocks
            block_error = frechet_error(blocks, real)
            each.append(frechet(blocks.whole, real))
        else:
            each.append(frechet(statistics(stream, extractor, advance), real))
    control = frechet(statistics(control_frames(generator, seeds[0], frames), extractor, advance), real)
    return Infinity(frames, tuple(seeds), tuple(each), control, block_error)


@dataclass(frozen=True)
class Difficulty:
    """The distance of frames whose middle is so far from the nearest anchor."""

    frames_from_anchor: float
    fd: float
    frames: int


PLACES = 5  # from an anchor to half-way between two


def connection_difficulty(
    generator: alis.Generator, real: Gaussian, extractor: Extractor, seed: int, frames: int, advance: Advance = silent
) -> list[Difficulty]:
    """How much worse frames are the farther they are from an anchor (Figure 9 of the paper), nearest first.

    Each distance from `frames` independent frames at one place; they are comparable with each other, and with no fd
    of another number of frames.
    """
    span, patches = generator.sizes.span, generator.sizes.patches
    middles = sorted({round(span / 2 * at / (PLACES - 1)) for at in range(PLACES)})  # columns from an anchor
    found = []
    for middle in middles:
        start = (middle - patches // 2) % span
        stream = _placed_frames(generator, seed, frames, start)
        away = (start + patches / 2) % span
        fd = frechet(statistics(stream, extractor, advance), real)
        found.append(Difficulty(min(away, span - away) / patches, fd, frames))
    return found


def _placed_frames(generator: Endless, seed: int, count: int, start: int) -> Iterator[Tensor]:
    for first in range(0, count, BATCH):
        index = torch.arange(first, min(first + BATCH, count), device=device_of(generator))
        yield pixels(networks.placed(generator, seed, index, torch.full_like(index, start)))
