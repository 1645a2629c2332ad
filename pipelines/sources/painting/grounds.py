"""What the places are made of: mountain ranges, wooded foothills, meadows, beaches, hedges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.sources.painting import land, trees
from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import mix, rgb
from pipelines.sources.painting.noise import Array

BEYOND = 160  # pixels of a dune outside the frame, whose crests lean into it
_ROCKS = ("#8c8a8c", "#7f7a78", "#94887c", "#77808c")
_BLOOMS = (
    ("#f2ead8", "#f4d35e", "#ffffff"),
    ("#d64550", "#e8804a", "#f4d35e"),
    ("#8a6bc2", "#b99be0", "#efe6fa"),
    ("#f2a7c0", "#ffffff", "#d65c8a"),
)


@dataclass(frozen=True)
class Stand:
    """Where things can stand: at or below `top` ([width], y in pixels); `far` is how distant its crest looks."""

    top: Array
    far: float
    trees: bool  # whether trees would grow there
    shore: bool = False  # only on the line itself: below it is water


def far_to_near(canvas: Canvas, lines: list[Array]) -> Iterator[tuple[float, Array]]:
    """(t, outline) from far (t 0) to near (t 1); of each layer only what the next one leaves to be seen is painted."""
    for place, line in enumerate(lines):
        covered = lines[place + 1].max() if place + 1 < len(lines) else canvas.height
        canvas.floor = int(np.clip(covered + 3, 2, canvas.height))
        yield place / max(len(lines) - 1, 1), line
    canvas.floor = canvas.height


def _rock(canvas: Canvas) -> Array:
    return rgb(_ROCKS[int(canvas.rng.integers(len(_ROCKS)))])


def _snow_line(canvas: Canvas, base: float, lift: float) -> float:
    """The row above which snow lies."""
    if canvas.season == "winter":
        return base + 2 * lift
    return base - lift * canvas.rng.uniform(-0.6, 2.2)


def mountain_range(canvas: Canvas, horizon: float, tall: float, layers: int = 2) -> None:
    """Blue ridges and before them one range of rock, `tall` pixels high at most."""
    rng, unit = canvas.rng, canvas.unit
    canvas.floor = min(int(horizon + 0.1 * canvas.height), canvas.height)
    for layer in range(layers):
        share = (layer + 1) / (layers + 1)
        base = horizon - tall * (0.62 - 0.34 * share)
        line = land.skyline(canvas, base, 0.13 * tall, rng.uniform(90, 170) * unit, sharp=True)
        land.far_ridge(canvas, line, rgb("#6480a8"), 0.74 - 0.34 * share, 0.6)
    lift = tall * 0.2
    line = land.skyline(canvas, horizon - 0.4 * tall, lift, rng.uniform(150, 270) * unit, sharp=True, beyond=48)
    land.mountain(canvas, line, rng.uniform(0.06, 0.24), _snow_line(canvas, horizon - 0.4 * tall, lift), _rock(canvas))
    canvas.floor = canvas.height


def foothills(canvas: Canvas, base: float, distance: float) -> None:
    """A low wooded ridge."""
    rng, unit = canvas.rng, canvas.unit
    foot = land.skyline(canvas, base, 5 * unit, 150 * unit, sharp=False)
    tall = rng.uniform(10, 20) * unit
    leaf = trees.leaf_colour(canvas, needles=True)
    snowy = 0.8 if canvas.season == "winter" else 0.0
    heights = trees.spires(canvas, tall, max(tall * 0.17, 1.5))
    trees.wood(canvas, foot, heights, leaf, distance, snowy)


def bank(canvas: Canvas, base: float) -> Array:
    """Grassy ground at the viewer's feet, blades against what lies behind."""
    unit = canvas.unit
    top = land.skyline(canvas, base, 5 * unit, 170 * unit, sharp=False)
    grass(canvas, top, 0.0)
    return top


def grass(canvas: Canvas, top: Array, distance: float, *, bloom: bool = False) -> None:
    light, deep = (rgb(code) for code in land.GREENS[canvas.season])
    swap = canvas.rng.random(dtype=np.float32) * np.float32(0.4)
    land.ground(canvas, top, mix(deep, light, float(swap)), light, distance, 0.35 if canvas.season == "winter" else 1.0)
    if distance < 0.08:
        blades = canvas.rng.random(canvas.width, np.float32) ** 2 * np.float32(6 * canvas.unit)
        first, mask = canvas.below(top - blades)
        foot = np.clip(top[None, :] + 3 - np.arange(first, canvas.floor)[:, None], 0, 1)
        canvas.lay(first, (mask * foot).astype(np.float32), canvas.light.on(light * np.float32(0.82), distance))
    if bloom and canvas.season in ("spring", "summer"):
        palette = _BLOOMS[int(canvas.rng.integers(len(_BLOOMS)))]
        land.flowers(canvas, top, palette, int(canvas.rng.integers(900, 3000)))


def meadow_floor(canvas: Canvas, base: float, near: bool) -> Array:
    top = land.skyline(
        canvas, min(base, (0.86 if near else 0.9) * canvas.height), 6 * canvas.unit, 180 * canvas.unit, sharp=False
    )
    grass(canvas, top, 0.04, bloom=True)
    return top


def beach(canvas: Canvas, base: float) -> Array:
    top = land.skyline(canvas, base, 5 * canvas.unit, 200 * canvas.unit, sharp=False)
    land.ground(canvas, top, rgb("#d9c096"), rgb("#a48d6d"), 0.0, 0.3)
    first, mask = canvas.below(top)
    rows = np.arange(first, canvas.floor, dtype=np.float32)[:, None]
    foam = mask * np.exp(-(((rows - top[None, :]) / np.float32(1.8 * canvas.unit)) ** 2)) * np.float32(0.8)
    canvas.lay(first, foam, canvas.light.on(rgb("#f6f6f0")))
    return top


def hedge(canvas: Canvas, foot: Array, heights: Array, distance: float) -> None:
    """Trees along a crest with open ground between and below them."""
    line = foot - heights.mean(axis=0)
    first, mask = canvas.below(line)
    rows = np.arange(first, canvas.floor, dtype=np.float32)[:, None]
    body = mask * np.clip(foot[None, :] + 1 - rows, 0, 1) * (heights.mean(axis=0) > 0.5)
    leaf = trees.leaf_colour(canvas, needles=False)
    tone = leaf * (0.8 + 0.12 * canvas.grain(1.4, 1.4, mask.shape[0]))
    canvas.lay(first, body.astype(np.float32), canvas.light.on(tone, distance))
