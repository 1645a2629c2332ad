"""What is in the air between the viewer and the land: fog, haze, rain, falling snow."""

from __future__ import annotations

import numpy as np

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import WHITE, mix
from pipelines.sources.painting.noise import TILE, field, smoothstep, wrapping

_VEILS = {"fog": 0.78, "haze": 0.42, "rain": 0.3, "snowfall": 0.35}  # share of haze at the horizon

_VEILS = {"fog": 0.78, "haze": 0.42, "rain": 0.3, "snowfall": 0.35}  # share of haze at the horizon


def mist(canvas: Canvas, y: float, thick: float, force: float) -> None:
    """A torn band of mist around row `y`, `thick` pixels deep."""
    rng, unit = canvas.rng, canvas.unit
    top, bottom = int(max(y - 2 * thick, 0)), int(min(y + 2 * thick, canvas.height))
    if bottom - top < 4:
        return
    torn = field(rng, bottom - top, canvas.width, (16 * unit, 110 * unit), 4, 0.55)
    away = (np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)) / np.float32(thick)
    body = np.exp(-(away**2)) * np.clip(0.72 + 0.38 * torn, 0, 1.3)
    canvas.lay(top, np.clip(force * body, 0, 1).astype(np.float32), mix(canvas.light.haze, canvas.light.sky[3], 0.35))


def air(canvas: Canvas, kind: str, horizon: float) -> None:
    """What `kind` of weather ("clear", "fog", "haze", "rain", "snowfall") puts between the viewer and the land."""
    if kind in _VEILS:
        _veil(canvas, horizon, _VEILS[kind])


def falling(canvas: Canvas, kind: str) -> None:
    """Rain or snow before everything else."""
    if kind == "rain":
        _rain(canvas)
    elif kind == "snowfall":
        _snowfall(canvas)


def _veil(canvas: Canvas, horizon: float, force: float) -> None:
    """Thickest at the horizon, torn, thinner towards the viewer's feet and high up."""
    unit = canvas.unit
    torn = field(canvas.rng, canvas.height, canvas.width, (60 * unit, 170 * unit), 3)
    away = np.abs(np.arange(canvas.height, dtype=np.float32)[:, None] - np.float32(horizon)) / canvas.height
    mask = np.clip(force * (1.05 - 1.25 * away + 0.14 * torn), 0, 0.95)
    canvas.lay(0, mask.astype(np.float32), canvas.light.haze)


def _rain(canvas: Canvas) -> None:
    """Slanting streaks, to either side."""
    rng, width = canvas.rng, canvas.width
    slant = rng.uniform(-0.5, 0.5)
    fall = wrapping(9, 0.5)
    start = rng.integers(TILE, size=2)
    rows = np.arange(canvas.height)[:, None] + start[0]
    columns = np.arange(width)[None, :] + start[1] + (slant * rows).astype(np.intp)
    streaks = fall[rows % TILE, columns % TILE]
    mask = smoothstep(1.1, 3.4, streaks) * np.float32(0.42)
    canvas.lay(0, mask, mix(canvas.light.haze, WHITE, 0.35))


def _snowfall(canvas: Canvas) -> None:
    """Flakes of all sizes, the nearest soft."""
    rng, unit = canvas.rng, canvas.unit
    white = canvas.light.on(WHITE, 0.1)
    fall = np.zeros((canvas.height, canvas.width), np.float32)
    for size, count in ((0.6, 900), (1.1, 420), (1.9, 130), (3.0, 34)):
        radius = size * unit
        reach = int(radius + 1.5)
        ys = rng.uniform(-reach, canvas.height + reach, count)
        xs = rng.uniform(-reach, canvas.width + reach, count)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                y, x = np.floor(ys).astype(np.intp) + dy, np.floor(xs).astype(np.intp) + dx
                inside = (y >= 0) & (y < canvas.height) & (x >= 0) & (x < canvas.width)
                far = np.hypot(y + 0.5 - ys, x + 0.5 - xs)
                force = np.clip(radius + 0.5 - far, 0, 1) * (0.9 if size < 1.5 else 0.62)
                np.maximum.at(fall, (y[inside], x[inside]), force[inside].astype(np.float32))
    canvas.lay(0, fall, white)
