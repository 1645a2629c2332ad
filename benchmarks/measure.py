"""What a trained generator is worth: distances to the real pictures, and speed.

fd is taken on independent frames, infinity_fd (the paper's infinity-FID) on frames cut without gap or overlap from
one streamed panorama. Both are called FID only with the features of the 2015 Inception.
"""

from __future__ import annotations

import statistics as medians
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.networks import Endless, Generator
from models.features import Extractor
from models.statistics import Gaussian, frechet

BATCH = 32  # pictures
REPEATS = 15
SPEED_SECONDS = 5.0  # for one figure, unless three repeats take longer


@dataclass(frozen=True)
class Distances:
    """How far generated frames are from the real pictures; None where a model has no endless image."""

    fd: float
    infinity_fd: float | None


@dataclass(frozen=True)
class Speed:
    """Medians of generating: random numbers, mapping network and noise included, as a user waits for it."""

    ms_per_image: float  # one at a time
    images_per_s: float  # in batches of BATCH
    panorama_ms_per_frame: float | None
    gmac: float  # multiply-adds of one frame, in thousand millions


def pixels(images: Tensor) -> Tensor:
    """uint8 of images about [-1, 1], as they are saved."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def real_statistics(images: Tensor, extractor: Extractor) -> Gaussian:
    """Of all training pictures, uint8 [n, 3, h, w]."""
    return _statistics(iter(torch.split(images, BATCH)), extractor)


def independent_frames(generator: Generator, seed: int, count: int, batch: int = BATCH) -> Iterator[Tensor]:
    """uint8 [<= batch, 3, h, w], `count` frames in all: fresh latents each, at any shift."""
    for first in range(0, count, batch):
        yield pixels(generator.samples(seed, first, min(batch, count - first)))


def panorama_frames(generator: Endless, seed: int, count: int, batch: int = BATCH) -> Iterator[Tensor]:
    """uint8 [<= batch, 3, h, w]: frames 0 ... count - 1 of a seed's panorama, side by side, never all in memory."""
    columns, size = generator.sizes.frame_columns, generator.sizes.resolution
    for first in range(0, count, batch):
        frames = min(batch, count - first)
        strip = generator.columns(seed, first * columns, frames * columns, batch=BATCH * columns)
        yield pixels(strip.view(3, size, frames, size).permute(2, 0, 1, 3).contiguous())  # [frames, 3, h, w]


def distances(generator: Generator, real: Gaussian, extractor: Extractor, seed: int, frames: int) -> Distances:
    """Both distances from `frames` frames each."""
    alone = frechet(_statistics(independent_frames(generator, seed, frames), extractor), real)
    if not isinstance(generator, Endless):
        return Distances(alone, None)
    endless = frechet(_statistics(panorama_frames(generator, seed, frames), extractor), real)
    return Distances(alone, endless)


def _statistics(batches: Iterator[Tensor], extractor: Extractor) -> Gaussian:
    gathered = Gaussian(extractor.dims, extractor.device)
    for batch in batches:
        gathered.add(extractor(batch))
    return gathered


def speed(generator: Generator) -> Speed:
    """Measured on the device where the generator is."""
    device = generator.mapping.w_avg.device
    alone = _median_seconds(lambda at: generator.samples(0, at, 1), device)
    many = _median_seconds(lambda at: generator.samples(0, at * BATCH, BATCH), device)
    endless = None
    if isinstance(generator, Endless):
        columns, each = generator.columns, generator.sizes.frame_columns
        endless = _median_seconds(lambda at: columns(0, at * BATCH * each, BATCH * each, batch=BATCH * each), device)
    return Speed(
        ms_per_image=1e3 * alone,
        images_per_s=BATCH / many,
        panorama_ms_per_frame=None if endless is None else 1e3 * endless / BATCH,
        gmac=_multiply_adds(generator) / 1e9,
    )


def _median_seconds(make: Callable[[int], Tensor], device: torch.device) -> float:
    """Of making something, numbered, over at least three repeats; the first two are not counted."""
    taken: list[float] = []
    until = time.perf_counter() + SPEED_SECONDS
    for at in range(2 + REPEATS):
        started = time.perf_counter()
        make(at)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
        if time.perf_counter() > until and len(taken) >= 2 + 3:
            break
    return medians.median(taken[2:])


def _multiply_adds(generator: Generator) -> int:
    """Of one frame, as PyTorch counts the convolutions and matrix products that are run."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        generator.samples(0, 0, 1)
    return int(counter.get_total_flops()) // 2
