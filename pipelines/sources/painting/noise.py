"""Random curves and fields whose statistics are the same at every x: the lattice starts at a random phase."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.float32]

T = TypeVar("T", np.float32, np.int32)

TILE = 512  # pixels: side of the textures that wrap around
_MARGIN = 3  # lattice cells outside the box, more than the bicubic kernel reaches


def field(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 4, gain: float = 0.5
) -> Array:
    """Smooth noise [height, width], mean 0, deviation about 1; `cell` is the largest (y, x) feature in pixels."""
    return _sum(rng, (height, width), cell, octaves, gain, creased=False)


def creases(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 4, gain: float = 0.5
) -> Array:
    """Like `field`, but every octave is folded at zero: sharp crests, as of rock and breaking clouds."""
    return _sum(rng, (height, width), cell, octaves, gain, creased=True)


def curve(rng: np.random.Generator, width: int, cell: float, octaves: int = 4, gain: float = 0.5) -> Array:
    """Smooth noise [width], mean 0, deviation about 1."""
    return _sum(rng, (width,), (cell,), octaves, gain, creased=False)


def peaks(rng: np.random.Generator, width: int, cell: float, octaves: int = 5, gain: float = 0.5) -> Array:
    """Noise [width] with sharp crests upwards, mean 0, deviation about 1."""
    return _sum(rng, (width,), (cell,), octaves, gain, creased=True)


def _sum(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    cell: tuple[float, ...],
    octaves: int,
    gain: float,
    *,
    creased: bool,
) -> Array:
    """Octaves of halving size and amplitude, as far as pixels can show them."""
    total = np.zeros(shape, np.float32)
    power = 0.0
    for octave in range(octaves):
        sizes = [max(size / 2**octave, 1.0) for size in cell]
        if max(sizes) < 1.5:
            break
        layer = _line(rng, shape[0], sizes[0]) if len(shape) == 1 else _sheet(rng, shape[0], shape[1], sizes)
        if creased:
            layer = np.float32(0.66) - np.abs(layer)
        layer *= np.float32(gain**octave * (1.9 if creased else 1.0))
        total += layer
        power += gain ** (2 * octave)
    total *= np.float32(1 / math.sqrt(power))
    return total


def _line(rng: np.random.Generator, width: int, cell: float) -> Array:
    """A Catmull-Rom spline through random knots `cell` pixels apart."""
    knots = rng.standard_normal(math.ceil(width / cell) + 5) * 1.3
    x = np.arange(width) / cell + rng.random()
    place = x.astype(np.intp)
    t = x - place
    a, b, c, d = (knots[place + step] for step in range(4))
    line = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return line.astype(np.float32)


def _sheet(rng: np.random.Generator, height: int, width: int, cell: list[float]) -> Array:
    """Random knots `cell` (y, x) pixels apart, smoothly enlarged; small cells need no more than straight lines."""
    rows, columns = height / cell[0], width / cell[1]
    shape = (math.ceil(rows) + 2 * _MARGIN + 1, math.ceil(columns) + 2 * _MARGIN + 1)
    knots = rng.standard_normal(shape, np.float32) * np.float32(1.3)
    top, left = _MARGIN + rng.random(), _MARGIN + rng.random()
    kernel = Image.Resampling.BICUBIC if max(cell) > 12 else Image.Resampling.BILINEAR
    return np.array(Image.fromarray(knots).resize((width, height), kernel, (left, top, left + columns, top + rows)))


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    smooth: Array = t * t * (3 - 2 * t)
    return smooth


def window(tile: npt.NDArray[T], start: tuple[int, int], height: int, width: int) -> npt.NDArray[T]:
    """[height, width] of a wrapping texture [TILE, TILE], from (y, x) in 0..TILE-1 on."""
    start_y, start_x = start
    wide = tile if start_x + width <= TILE else np.concatenate([tile] * (1 + (start_x + width - 1) // TILE), axis=1)
    rows = (np.arange(height) + start_y) % TILE
    part: npt.NDArray[T] = wide[:, start_x : start_x + width].take(rows, axis=0)
    return part


@lru_cache(maxsize=64)
def wrapping(blur_y: float, blur_x: float) -> Array:
    """A wrapping texture [TILE, TILE] of white noise blurred by (y, x) pixels, deviation 1."""
    rng = np.random.default_rng([TILE, round(blur_y * 100), round(blur_x * 100)])
    fy = np.fft.fftfreq(TILE)[:, None]
    fx = np.fft.rfftfreq(TILE)[None, :]
    damp = np.exp(-2 * math.pi**2 * ((fy * blur_y) ** 2 + (fx * blur_x) ** 2))
    texture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TILE, TILE))) * damp, s=(TILE, TILE))
    unit: Array = (texture / texture.std()).astype(np.float32)
    return unit
