"""The places: each kind of scene as an order of painting, from the far to the near."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pipelines.sources.painting import grounds, land, trees
from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import mix, rgb
from pipelines.sources.painting.noise import curve
from pipelines.sources.painting.water import paint_water
from pipelines.sources.painting.weather import mist


def paint_place(canvas: Canvas, kind: str, horizon: float, near: bool) -> grounds.Stand:
    """Paint the land of `kind` below `horizon`; `near`: there must be ground at the viewer's feet."""
    return _PLACES[kind](canvas, horizon, near)


def _lake(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    level = int(horizon + 0.05 * height)
    grounds.mountain_range(canvas, level, rng.uniform(0.62, 0.95) * horizon, int(rng.integers(1, 3)))
    canvas.floor = level + 1
    grounds.foothills(canvas, level - 5 * unit, rng.uniform(0.12, 0.3))
    canvas.floor = height
    if rng.random() < 0.5:
        mist(canvas, level - 8 * unit, rng.uniform(6, 16) * unit, rng.uniform(0.3, 0.7))
    paint_water(canvas, level, rng.uniform(0.0, 0.5), rgb("#3d6472") if rng.random() < 0.6 else rgb("#3c8088"))
    if near or rng.random() < 0.6:
        return grounds.Stand(grounds.bank(canvas, rng.uniform(0.83, 0.92) * height), 0.0, trees=True)
    return grounds.Stand(np.full(canvas.width, level, np.float32), 0.2, trees=True, shore=True)


def _mountains(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, height = canvas.rng, canvas.height
    foot = horizon + 0.12 * height
    grounds.mountain_range(canvas, foot, rng.uniform(0.75, 1.05) * foot, int(rng.integers(1, 4)))
    grounds.foothills(canvas, foot + 0.02 * height, 0.3)
    grounds.foothills(canvas, foot + 0.08 * height, 0.12)
    return grounds.Stand(grounds.meadow_floor(canvas, foot + 0.12 * height, near), 0.05, trees=True)


def _misty(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    layers = int(rng.integers(5, 9))
    first = horizon - rng.uniform(0.1, 0.3) * height
    deep = rgb(("#2c4a63", "#34505a", "#4a4468", "#2f4f4a")[int(rng.integers(4))])
    sharp = rng.random() < 0.6
    steps = [layer / (layers - 1) for layer in range(layers)]
    bases = [first + (0.84 * height - first) * t**1.15 for t in steps]
    lines = [
        land.skyline(canvas, base, (0.07 - 0.03 * t) * height, (130 + 60 * t) * unit, sharp=sharp)
        for base, t in zip(bases, steps, strict=True)
    ]
    for (t, line), base in zip(grounds.far_to_near(canvas, lines), bases, strict=True):
        if t < 0.55:
            land.far_ridge(canvas, line, deep, 0.86 * (1 - t) ** 0.8, 0.75)
        else:
            tall = (6 + 22 * (t - 0.55) / 0.45) * unit
            trees.wood(
                canvas,
                line,
                trees.spires(canvas, tall, 0.3 * tall, bare=0.2),
                mix(deep, rgb("#233f38"), t - 0.3),
                0.62 * (1 - t),
            )
        if t < 0.95 and rng.random() < 0.8:
            mist(canvas, base + 0.1 * height, 0.045 * height, rng.uniform(0.25, 0.65) * (1 - 0.5 * t))
    if near:
        return grounds.Stand(grounds.bank(canvas, 0.9 * height), 0.0, trees=True)
    return grounds.Stand(np.full(canvas.width, 0.95 * height, np.float32), 0.0, trees=True)


def _sea(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    level = int(horizon)
    for _ in range(int(rng.integers(0, 3))):
        base, cell = level + rng.uniform(0, 14) * unit, rng.uniform(90, 170) * unit
        line = land.skyline(canvas, base, 12 * unit, cell, sharp=False)
        land.far_ridge(canvas, np.minimum(line, level + 2), rgb("#5f6f74"), rng.uniform(0.35, 0.75), 0.3)
    deep = rgb(("#1f5a74", "#2b6f80", "#24506e", "#3b7f86")[int(rng.integers(4))])
    paint_water(canvas, level, rng.uniform(0.5, 1.0), deep)
    shore = rng.random()
    if near or shore < 0.7:
        base = rng.uniform(0.84, 0.93) * height
        if shore < 0.45:
            return grounds.Stand(grounds.beach(canvas, base), 0.0, trees=False)
        return grounds.Stand(grounds.bank(canvas, base), 0.0, trees=True)
    return grounds.Stand(np.full(canvas.width, level + 1, np.float32), 0.4, trees=False, shore=True)


def _forest(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    if rng.random() < 0.6:
        line = land.skyline(canvas, horizon - 0.1 * height, 0.05 * height, 120 * unit, sharp=True)
        land.far_ridge(canvas, line, rgb("#5d7690"), 0.6, 0.5)
    layers = int(rng.integers(4, 6))
    snowy = 0.6 if canvas.season == "winter" else 0.0
    conifers = canvas.season in ("winter", "summer") or rng.random() < 0.4
    bases = [horizon + (0.86 * height - horizon) * layer / (layers - 1) for layer in range(layers)]
    lines = [land.skyline(canvas, base, 6 * unit, 150 * unit, sharp=False) for base in bases]
    for (t, foot), base in zip(grounds.far_to_near(canvas, lines), bases, strict=True):
        tall = (22 + 62 * t**1.5) * unit * rng.uniform(0.8, 1.2)
        needles = conifers or rng.random() < 0.35
        heights = trees.spires(canvas, tall, 0.26 * tall) if needles else trees.crowns(canvas, 0.72 * tall, 0.3 * tall)
        leaf = trees.leaf_colour(canvas, needles=needles)
        trees.wood(canvas, foot, heights, leaf, 0.6 * (1 - t) ** 1.2 + 0.02, snowy if needles else 0.0)
        if t < 1:
            mist(canvas, base + 4 * unit, 13 * unit, rng.uniform(0.15, 0.6))
    return grounds.Stand(grounds.bank(canvas, (0.89 if near else 0.93) * height), 0.0, trees=True)


def _meadow(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    if rng.random() < 0.55:
        grounds.mountain_range(canvas, horizon + 0.03 * height, rng.uniform(0.35, 0.6) * horizon, 1)
    else:
        line = land.skyline(canvas, horizon - 0.03 * height, 0.025 * height, 130 * unit, sharp=False)
        land.far_ridge(canvas, line, rgb("#6a8a86"), 0.6, 0.4)
    foot = land.skyline(canvas, horizon + 0.03 * height, 4 * unit, 160 * unit, sharp=False)
    tall = rng.uniform(9, 17) * unit
    trees.wood(canvas, foot, trees.crowns(canvas, tall, 0.5 * tall), trees.leaf_colour(canvas, needles=False), 0.25)
    return grounds.Stand(grounds.meadow_floor(canvas, horizon + 0.06 * height, near), 0.08, trees=True)


def _hills(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    layers = int(rng.integers(4, 7))
    lines = []
    for layer in range(layers):
        t = layer / (layers - 1)
        base = horizon - 0.04 * height + (0.84 * height - horizon) * t
        lines.append(land.skyline(canvas, base, (0.04 + 0.012 * t) * height, rng.uniform(110, 190) * unit, sharp=False))
    if near:
        lines[-1] = np.minimum(lines[-1], np.float32(0.92 * height))
    for t, top in grounds.far_to_near(canvas, lines):
        grounds.grass(canvas, top, 0.55 * (1 - t) ** 1.3 + 0.02 * (t < 1), bloom=t == 1)
        if t < 1 and rng.random() < 0.7:
            tall = (5 + 9 * t) * unit
            gaps = trees.crowns(canvas, tall, 2.2 * tall) * (curve(rng, canvas.width, 50 * unit, 2) > 0.2)
            grounds.hedge(canvas, top + 1.5 * unit, gaps, 0.5 * (1 - t))
    return grounds.Stand(lines[-1], 0.05, trees=True)


def _dunes(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:  # noqa: ARG001 (the ground is always near)
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    sand = rgb(("#e3b778", "#d99a5f", "#e6cfa0", "#cf8656")[int(rng.integers(4))])
    if rng.random() < 0.4:
        line = land.skyline(canvas, horizon - 0.01 * height, 0.035 * height, 90 * unit, sharp=True)
        land.far_ridge(canvas, line, rgb("#8a6f6a"), 0.6, 0.5)
    layers = int(rng.integers(3, 6))
    lines = []
    for layer in range(layers):
        t = layer / (layers - 1)
        base, lift = horizon + (0.8 * height - horizon) * t**1.2, (0.02 + 0.035 * t) * height
        line = land.skyline(canvas, base, lift, (110 + 110 * t) * unit, sharp=True, beyond=grounds.BEYOND, octaves=2)
        lines.append(np.minimum(line, np.float32(0.93 * height)))
    for t, line in grounds.far_to_near(canvas, lines):
        land.dune(canvas, line, sand, 0.5 * (1 - t) ** 1.5)
    return grounds.Stand(lines[-1][grounds.BEYOND : -grounds.BEYOND], 0.0, trees=False)


def _canyon(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:  # noqa: ARG001 (the ground is always near)
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    base = horizon + 0.06 * height
    canvas.floor = min(int(base + 0.16 * height), height)
    for t in (0.0, 0.5, 1.0)[int(rng.integers(0, 2)) :]:
        lift = (0.05 + 0.07 * t) * height
        line = land.mesa_line(canvas, base - lift * 0.55, lift, (120 + 70 * t) * unit)
        land.mesa(canvas, line, 0.62 * (1 - t) + 0.08)
    canvas.floor = height
    top = land.skyline(canvas, base + 0.05 * height, 6 * unit, 170 * unit, sharp=False)
    land.ground(canvas, top, rgb("#c58a58"), rgb("#d9a06c"), 0.05, 0.7)
    land.flowers(canvas, top, ("#7d7a4a", "#5f6a42", "#8f8452", "#6b5a3c"), int(rng.integers(500, 1400)))
    return grounds.Stand(top, 0.05, trees=False)


def _snowfield(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:  # noqa: ARG001 (the ground is always near)
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    if rng.random() < 0.7:
        grounds.mountain_range(canvas, horizon + 0.04 * height, rng.uniform(0.4, 0.85) * horizon, 1)
    layers = int(rng.integers(3, 5))
    lines = []
    for layer in range(layers):
        t = layer / (layers - 1)
        base, lift = horizon + 0.03 * height + (0.8 * height - horizon) * t, (0.02 + 0.018 * t) * height
        lines.append(land.skyline(canvas, base, lift, rng.uniform(130, 200) * unit, sharp=False))
    for t, top in grounds.far_to_near(canvas, lines):
        if t < 0.7:
            tall = rng.uniform(12, 26) * (0.7 + t) * unit
            leaf = trees.leaf_colour(canvas, needles=True)
            trees.wood(canvas, top + 3, trees.spires(canvas, tall, 0.4 * tall, bare=0.45), leaf, 0.45 * (1 - t), 0.7)
        land.ground(canvas, top, rgb("#dfe8f3"), rgb("#f8f9fb"), 0.4 * (1 - t), 0.15)
    return grounds.Stand(lines[-1], 0.05, trees=True)


def _night(canvas: Canvas, horizon: float, near: bool) -> grounds.Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    draw = rng.random()
    if draw < 0.4:
        return _lake(canvas, horizon, near)
    if draw < 0.6:
        return _dunes(canvas, horizon, near)
    for t in (0.0, 0.5):
        line = land.skyline(canvas, horizon + 0.1 * height * t, 0.06 * height, 130 * unit, sharp=True)
        land.far_ridge(canvas, line, rgb("#5a6c94"), 0.55 - 0.5 * t, 0.35)
    foot = land.skyline(canvas, 0.86 * height, 6 * unit, 160 * unit, sharp=False)
    tall = rng.uniform(26, 60) * unit
    trees.wood(canvas, foot, trees.spires(canvas, tall, 0.3 * tall), rgb("#2c4a48"), 0.05)
    return grounds.Stand(grounds.bank(canvas, 0.92 * height), 0.0, trees=True)


_Paint = Callable[[Canvas, float, bool], grounds.Stand]
_PLACES: dict[str, _Paint] = {
    "mountain lake": _lake,
    "mountain range": _mountains,
    "misty mountains": _misty,
    "sea": _sea,
    "forest": _forest,
    "meadow": _meadow,
    "rolling hills": _hills,
    "desert dunes": _dunes,
    "canyon": _canyon,
    "snowfield": _snowfield,
    "night sky": _night,
}
