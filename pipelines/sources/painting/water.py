"""Water: what stands above it mirrored and broken by ripples, and the glitter of sun or moon."""

from __future__ import annotations

import numpy as np

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import mix, rgb
from pipelines.sources.painting.noise import Array, field, smoothstep


def paint_water(canvas: Canvas, level: int, rough: float, deep: Array) -> None:
    """Water from row `level` down. `rough` 0 is a mirror, 1 is open sea; `deep` is its own colour."""
    rng, unit, light = canvas.rng, canvas.unit, canvas.light
    rows = canvas.height - level
    near = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    waves = _waves(canvas, rows)
    y = (
        level
        - 1
        - np.arange(rows)[:, None] * (1.0 + 0.15 * rough)
        + waves * (1 + 9 * near) * (0.5 + 2.5 * rough) * unit
    )
    drift = waves * np.float32(1.6 * unit) * near
    x = np.clip(np.arange(canvas.width)[None, :] + drift, 0, canvas.width - 1).astype(np.intp)
    mirror = canvas.pixels[:, np.clip(y, 0, level - 1).astype(np.intp), x]
    own = light.on(deep)
    share = np.clip(0.12 + 0.55 * near + 0.16 * rough + np.float32(0.09 + 0.1 * rough) * waves, 0, 0.9)
    water = mirror * np.float32(0.93) + (own - mirror * np.float32(0.93)) * share
    crest = smoothstep(0.9, 2.0, waves) * np.float32(0.16 + 0.12 * rough)
    water += (light.sky[2] - water) * crest
    if light.orb is not None:
        water += _glitter(canvas, waves, near) * (light.sun - water)
    canvas.pixels[:, level:] = water
    band = np.exp(-np.arange(rows, dtype=np.float32) / np.float32(2.2 * unit))[:, None] * np.float32(0.3)
    canvas.lay(level, np.broadcast_to(band, (rows, canvas.width)), mix(light.haze, light.sky[3], 0.5))
    if rough > 0.6 and rng.random() < 0.6:
        _surf(canvas, level)


def _waves(canvas: Canvas, rows: int) -> Array:
    """Ripples [rows, width], finer towards the horizon; the rows are squeezed, never the columns."""
    unit, width = canvas.unit, canvas.width
    t = np.linspace(0, 1, rows)
    tall = int(rows * 1.6) + 4
    seen = np.clip((tall - 3) * (1 - (1 - t) ** 1.9), 0, tall - 1).astype(np.intp)
    fine = field(canvas.rng, tall, width, (3.2 * unit, 26 * unit), 2)[seen]
    broad = field(canvas.rng, tall, width, (9 * unit, 64 * unit), 3, 0.6)[seen]
    blend = t.astype(np.float32)[:, None]
    waves: Array = fine * (1 - 0.6 * blend) + broad * (0.35 + 0.65 * blend)
    return waves


def _glitter(canvas: Canvas, waves: Array, near: Array) -> Array:
    """Light on the crests below sun or moon [rows, width] in [0, 1]."""
    light, unit = canvas.light, canvas.unit
    dx = np.arange(canvas.width, dtype=np.float32)[None, :] - np.float32(light.x)
    spread = unit * (13 + 42 * near)
    low = np.float32(np.clip(light.y / canvas.height * 2.0, 0.25, 1))
    path = np.exp(-((dx / spread) ** 2)) * low
    fleck = smoothstep(0.1, 1.3, waves + np.float32(0.55) * canvas.grain(0.7, 3 * unit, waves.shape[0]))
    light_on_crests: Array = np.clip(path * (0.22 + 1.1 * fleck), 0, 0.95).astype(np.float32)
    return light_on_crests


def _surf(canvas: Canvas, level: int) -> None:
    """A few long lines of foam."""
    rng, unit = canvas.rng, canvas.unit
    rows = canvas.height - level
    y = np.arange(rows, dtype=np.float32)[:, None]
    for t in np.sort(rng.uniform(0.25, 0.95, int(rng.integers(2, 5)))):
        line = rows * t + 5 * unit * t * field(rng, 3, canvas.width, (1e3, 130 * unit), 4)[1]
        force = smoothstep(-0.4, 0.9, field(rng, rows, canvas.width, (4 * unit, 70 * unit), 3))
        thick = np.float32(unit * (0.7 + 2.4 * t))
        foam = np.exp(-(((y - line[None, :]) / thick) ** 2)) * force * np.float32(0.75)
        canvas.lay(level, foam.astype(np.float32), canvas.light.on(rgb("#f4f8f8")))
