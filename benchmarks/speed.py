"""How fast a generator is, as a user waits for it: random numbers, mapping network and noise included."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.measure import device_of
from benchmarks.networks import Endless, Generator
from models import taming

REPEATS = 15
WARM_UP = 2
SECONDS = 5.0  # for one figure, unless three repeats take longer
SEARCH_SECONDS = 0.5  # for one size of batch
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
LARGEST_ON_CPU = 64
WORTH = 0.95  # a larger batch is tried while the last one had this share of the best throughput


@dataclass(frozen=True)
class Seconds:
    """Of making something once: the median, and the quarters of the repeats that were faster and slower."""

    median: float
    low: float
    high: float
    repeats: int


@dataclass(frozen=True)
class Speed:
    """Seconds of one frame alone, of `batch` frames, of a panorama's stretch of `batch` frames; multiply-adds."""

    alone: Seconds
    batch: int  # the one with the most frames a second
    together: Seconds
    tried: dict[int, float]  # images per second of every batch that was tried
    panorama: Seconds | None
    multiply_adds: int  # of one frame

    @property
    def ms_per_image(self) -> float:
        """One at a time: the paper's definition."""
        return 1e3 * self.alone.median

    @property
    def images_per_s(self) -> float:
        """At the best batch."""
        return self.batch / self.together.median

    @property
    def panorama_ms_per_frame(self) -> float | None:
        return None if self.panorama is None else 1e3 * self.panorama.median / self.batch

    @property
    def gmac(self) -> float:
        """Multiply-adds of one frame, in thousand millions."""
        return self.multiply_adds / 1e9


def speed(generator: Generator, order: str = taming.SLIDING) -> Speed:
    """Measured on the device where the generator is; `order`: of wide pictures of taming."""
    device = device_of(generator)
    alone = seconds(lambda at: generator.samples(0, at, 1), device)
    tried = _search(generator, device)
    batch = max(tried, key=lambda size: tried[size])
    endless = None
    if isinstance(generator, taming.Generator):
        endless = seconds(lambda at: generator.wide_image(at, batch, generator.decoding, order), device)
    elif isinstance(generator, Endless):
        columns, wide = generator.columns, batch * generator.sizes.frame_columns
        endless = seconds(lambda at: columns(0, at * wide, wide, batch=wide), device)
    return Speed(
        alone=alone,
        batch=batch,
        together=seconds(lambda at: generator.samples(0, at * batch, batch), device),
        tried=tried,
        panorama=endless,
        multiply_adds=multiply_adds(generator),
    )


def _search(generator: Generator, device: torch.device) -> dict[int, float]:
    """Images per second of batches that double until they get no faster, too slow to wait for, or too large."""
    tried: dict[int, float] = {}
    for size in BATCHES:
        if device.type == "cpu" and size > LARGEST_ON_CPU:
            break
        try:
            took = seconds(lambda at, size=size: generator.samples(0, at * size, size), device, SEARCH_SECONDS)  # type: ignore[misc]
        except torch.OutOfMemoryError:
            if not tried:
                raise
            break
        tried[size] = size / took.median
        if tried[size] < WORTH * max(tried.values()) or took.median > SECONDS:
            break
    return tried


def seconds(make: Callable[[int], Tensor], device: torch.device, most: float | None = None) -> Seconds:
    """Of making something, numbered, over at least three repeats; the first two are not counted."""
    taken: list[float] = []
    until = time.perf_counter() + (SECONDS if most is None else most)
    for at in range(WARM_UP + REPEATS):
        started = time.perf_counter()
        make(at)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
        if time.perf_counter() > until and len(taken) >= WARM_UP + 3:
            break
    counted = taken[WARM_UP:]
    low, middle, high = statistics.quantiles(counted, n=4, method="inclusive")
    return Seconds(middle, low, high, len(counted))


def multiply_adds(generator: Generator) -> int:
    """Of one frame, as PyTorch counts the convolutions and matrix products that are run."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        generator.samples(0, 0, 1)
    return int(counter.get_total_flops()) // 2
