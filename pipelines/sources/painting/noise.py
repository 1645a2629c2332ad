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
    return _sum(rng, height, width, cell, octaves, gain, creased=False)


def creases(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int = 4, gain: float = 0.5
) -> Array:
    """Like `field`, but every octave is folded at zero: sharp crests, as of rock and breaking clouds."""
    return _sum(rng, height, width, cell, octaves, gain, creased=True)


def curve(rng: np.random.Generator, width: int, cell: float, octaves: int = 4, gain: float = 0.5) -> Array:
    """Smooth noise [width], mean 0, deviation about 1."""
    return _sum(rng, 1, width, (1.0, cell), octaves, gain, creased=False)[0]


def peaks(rng: np.random.Generator, width: int, cell: float, octaves: int = 5, gain: float = 0.5) -> Array:
    """Noise [width] with sharp crests upwards, mean 0, deviation about 1."""
    return _sum(rng, 1, width, (1.0, cell), octaves, gain, creased=True)[0]


def _sum(
    rng: np.random.Generator,
    height: int,
    width: int,
    cell: tuple[float, float],
    octaves: int,
    gain: float,
    *,
    creased: bool,
) -> Array:
    total = np.zeros((height, width), np.float32)
    power = 0.0
    for octave in range(octaves):
        cell_y, cell_x = (max(size / 2**octave, 1.0) for size in cell)
        if cell_x < 1.5 and cell_y < 1.5:
            break
        layer = _octave(rng, height, width, cell_y, cell_x)
        if creased:
            layer = (0.66 - np.abs(layer)) * 1.9
        total += np.float32(gain**octave) * layer
        power += gain ** (2 * octave)
    return total / np.float32(math.sqrt(power))


def _octave(rng: np.random.Generator, height: int, width: int, cell_y: float, cell_x: float) -> Array:
    if height == 1:
        lattice = np.tile(rng.standard_normal(math.ceil(width / cell_x) + 2 * _MARGIN + 1, np.float32), (3, 1))
        top, rows = 1.0, 1.0
    else:
        rows = height / cell_y
        shape = (math.ceil(rows) + 2 * _MARGIN + 1, math.ceil(width / cell_x) + 2 * _MARGIN + 1)
        lattice = rng.standard_normal(shape, np.float32)
        top = _MARGIN + rng.random()
    left = _MARGIN + rng.random()
    box = (left, top, left + width / cell_x, top + rows)
    smooth = Image.fromarray(lattice).resize((width, height), Image.Resampling.BICUBIC, box)
    return np.asarray(smooth) * np.float32(1.3)


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


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
    return (texture / texture.std()).astype(np.float32)
