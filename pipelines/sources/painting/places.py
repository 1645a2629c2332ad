"""The places: each kind of scene as an order of painting, from the far to the near."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.sources.painting import land, trees
from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import mix, rgb
from pipelines.sources.painting.noise import Array, curve
from pipelines.sources.painting.water import paint_water
from pipelines.sources.painting.weather import mist

_BEYOND = 160  # pixels of a dune outside the frame, whose crests lean into it
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


def paint_place(canvas: Canvas, kind: str, horizon: float, near: bool) -> Stand:
    """Paint the land of `kind` below `horizon`; `near`: there must be ground at the viewer's feet."""
    return _PLACES[kind](canvas, horizon, near)


def _layers(canvas: Canvas, lines: list[Array]) -> Iterator[tuple[float, Array]]:
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


def _range(canvas: Canvas, horizon: float, tall: float, layers: int = 2) -> None:
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


def _foothills(canvas: Canvas, base: float, distance: float, *, wooded: bool = True) -> None:
    """A low wooded ridge."""
    rng, unit = canvas.rng, canvas.unit
    foot = land.skyline(canvas, base, 5 * unit, 150 * unit, sharp=False)
    tall = rng.uniform(10, 20) * unit
    leaf = trees.leaf_colour(canvas, needles=True)
    snowy = 0.8 if canvas.season == "winter" else 0.0
    heights = trees.spires(canvas, tall if wooded else 2 * unit, max(tall * 0.17, 1.5))
    trees.wood(canvas, foot, heights, leaf, distance, snowy)


def _bank(canvas: Canvas, base: float) -> Array:
    """Grassy ground at the viewer's feet, blades against what lies behind."""
    unit = canvas.unit
    top = land.skyline(canvas, base, 5 * unit, 170 * unit, sharp=False)
    _field(canvas, top, 0.0)
    return top


def _field(canvas: Canvas, top: Array, distance: float, *, bloom: bool = False) -> None:
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


def _lake(canvas: Canvas, horizon: float, near: bool) -> Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    level = int(horizon + 0.05 * height)
    _range(canvas, level, rng.uniform(0.62, 0.95) * horizon, int(rng.integers(1, 3)))
    canvas.floor = level + 1
    _foothills(canvas, level - 5 * unit, rng.uniform(0.12, 0.3))
    canvas.floor = height
    if rng.random() < 0.5:
        mist(canvas, level - 8 * unit, rng.uniform(6, 16) * unit, rng.uniform(0.3, 0.7))
    paint_water(canvas, level, rng.uniform(0.0, 0.5), rgb("#3d6472") if rng.random() < 0.6 else rgb("#3c8088"))
    if near or rng.random() < 0.6:
        return Stand(_bank(canvas, rng.uniform(0.83, 0.92) * height), 0.0, trees=True)
    return Stand(np.full(canvas.width, level, np.float32), 0.2, trees=True, shore=True)


def _mountains(canvas: Canvas, horizon: float, near: bool) -> Stand:
    rng, height = canvas.rng, canvas.height
    foot = horizon + 0.12 * height
    _range(canvas, foot, rng.uniform(0.75, 1.05) * foot, int(rng.integers(1, 4)))
    _foothills(canvas, foot + 0.02 * height, 0.3)
    _foothills(canvas, foot + 0.08 * height, 0.12)
    return Stand(_meadow_floor(canvas, foot + 0.12 * height, near), 0.05, trees=True)


def _meadow_floor(canvas: Canvas, base: float, near: bool) -> Array:
    top = land.skyline(
        canvas, min(base, (0.86 if near else 0.9) * canvas.height), 6 * canvas.unit, 180 * canvas.unit, sharp=False
    )
    _field(canvas, top, 0.04, bloom=True)
    return top


def _misty(canvas: Canvas, horizon: float, near: bool) -> Stand:
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
    for (t, line), base in zip(_layers(canvas, lines), bases, strict=True):
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
        return Stand(_bank(canvas, 0.9 * height), 0.0, trees=True)
    return Stand(np.full(canvas.width, 0.95 * height, np.float32), 0.0, trees=True)


def _sea(canvas: Canvas, horizon: float, near: bool) -> Stand:
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
            return Stand(_beach(canvas, base), 0.0, trees=False)
        return Stand(_bank(canvas, base), 0.0, trees=True)
    return Stand(np.full(canvas.width, level + 1, np.float32), 0.4, trees=False, shore=True)


def _beach(canvas: Canvas, base: float) -> Array:
    top = land.skyline(canvas, base, 5 * canvas.unit, 200 * canvas.unit, sharp=False)
    land.ground(canvas, top, rgb("#d9c096"), rgb("#a48d6d"), 0.0, 0.3)
    first, mask = canvas.below(top)
    rows = np.arange(first, canvas.floor, dtype=np.float32)[:, None]
    foam = mask * np.exp(-(((rows - top[None, :]) / np.float32(1.8 * canvas.unit)) ** 2)) * np.float32(0.8)
    canvas.lay(first, foam, canvas.light.on(rgb("#f6f6f0")))
    return top


def _forest(canvas: Canvas, horizon: float, near: bool) -> Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    if rng.random() < 0.6:
        line = land.skyline(canvas, horizon - 0.1 * height, 0.05 * height, 120 * unit, sharp=True)
        land.far_ridge(canvas, line, rgb("#5d7690"), 0.6, 0.5)
    layers = int(rng.integers(4, 6))
    snowy = 0.6 if canvas.season == "winter" else 0.0
    conifers = canvas.season in ("winter", "summer") or rng.random() < 0.4
    bases = [horizon + (0.86 * height - horizon) * layer / (layers - 1) for layer in range(layers)]
    lines = [land.skyline(canvas, base, 6 * unit, 150 * unit, sharp=False) for base in bases]
    for (t, foot), base in zip(_layers(canvas, lines), bases, strict=True):
        tall = (22 + 62 * t**1.5) * unit * rng.uniform(0.8, 1.2)
        needles = conifers or rng.random() < 0.35
        heights = trees.spires(canvas, tall, 0.26 * tall) if needles else trees.crowns(canvas, 0.72 * tall, 0.3 * tall)
        leaf = trees.leaf_colour(canvas, needles=needles)
        trees.wood(canvas, foot, heights, leaf, 0.6 * (1 - t) ** 1.2 + 0.02, snowy if needles else 0.0)
        if t < 1:
            mist(canvas, base + 4 * unit, 13 * unit, rng.uniform(0.15, 0.6))
    return Stand(_bank(canvas, (0.89 if near else 0.93) * height), 0.0, trees=True)


def _meadow(canvas: Canvas, horizon: float, near: bool) -> Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    if rng.random() < 0.55:
        _range(canvas, horizon + 0.03 * height, rng.uniform(0.35, 0.6) * horizon, 1)
    else:
        line = land.skyline(canvas, horizon - 0.03 * height, 0.025 * height, 130 * unit, sharp=False)
        land.far_ridge(canvas, line, rgb("#6a8a86"), 0.6, 0.4)
    foot = land.skyline(canvas, horizon + 0.03 * height, 4 * unit, 160 * unit, sharp=False)
    tall = rng.uniform(9, 17) * unit
    trees.wood(canvas, foot, trees.crowns(canvas, tall, 0.5 * tall), trees.leaf_colour(canvas, needles=False), 0.25)
    return Stand(_meadow_floor(canvas, horizon + 0.06 * height, near), 0.08, trees=True)


def _hills(canvas: Canvas, horizon: float, near: bool) -> Stand:
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    layers = int(rng.integers(4, 7))
    lines = []
    for layer in range(layers):
        t = layer / (layers - 1)
        base = horizon - 0.04 * height + (0.84 * height - horizon) * t
        lines.append(land.skyline(canvas, base, (0.04 + 0.012 * t) * height, rng.uniform(110, 190) * unit, sharp=False))
    if near:
        lines[-1] = np.minimum(lines[-1], np.float32(0.92 * height))
    for t, top in _layers(canvas, lines):
        _field(canvas, top, 0.55 * (1 - t) ** 1.3 + 0.02 * (t < 1), bloom=t == 1)
        if t < 1 and rng.random() < 0.7:
            tall = (5 + 9 * t) * unit
            gaps = trees.crowns(canvas, tall, 2.2 * tall) * (curve(rng, canvas.width, 50 * unit, 2) > 0.2)
            _hedge(canvas, top + 1.5 * unit, gaps, 0.5 * (1 - t))
    return Stand(lines[-1], 0.05, trees=True)


def _hedge(canvas: Canvas, foot: Array, heights: Array, distance: float) -> None:
    """Trees along a crest with open ground between and below them."""
    line = foot - heights.mean(axis=0)
    first, mask = canvas.below(line)
    rows = np.arange(first, canvas.floor, dtype=np.float32)[:, None]
    body = mask * np.clip(foot[None, :] + 1 - rows, 0, 1) * (heights.mean(axis=0) > 0.5)
    leaf = trees.leaf_colour(canvas, needles=False)
    tone = leaf * (0.8 + 0.12 * canvas.grain(1.4, 1.4, mask.shape[0]))[..., None]
    canvas.lay(first, body.astype(np.float32), canvas.light.on(tone, distance))


def _dunes(canvas: Canvas, horizon: float, near: bool) -> Stand:  # noqa: ARG001 (the ground is always near)
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
        line = land.skyline(canvas, base, lift, (110 + 110 * t) * unit, sharp=True, beyond=_BEYOND, octaves=2)
        lines.append(np.minimum(line, np.float32(0.93 * height)))
    for t, line in _layers(canvas, lines):
        land.dune(canvas, line, sand, 0.5 * (1 - t) ** 1.5)
    return Stand(lines[-1][_BEYOND:-_BEYOND], 0.0, trees=False)


def _canyon(canvas: Canvas, horizon: float, near: bool) -> Stand:  # noqa: ARG001 (the ground is always near)
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
    return Stand(top, 0.05, trees=False)


def _snowfield(canvas: Canvas, horizon: float, near: bool) -> Stand:  # noqa: ARG001 (the ground is always near)
    rng, unit, height = canvas.rng, canvas.unit, canvas.height
    if rng.random() < 0.7:
        _range(canvas, horizon + 0.04 * height, rng.uniform(0.4, 0.85) * horizon, 1)
    layers = int(rng.integers(3, 5))
    lines = []
    for layer in range(layers):
        t = layer / (layers - 1)
        base, lift = horizon + 0.03 * height + (0.8 * height - horizon) * t, (0.02 + 0.018 * t) * height
        lines.append(land.skyline(canvas, base, lift, rng.uniform(130, 200) * unit, sharp=False))
    for t, top in _layers(canvas, lines):
        if t < 0.7:
            tall = rng.uniform(12, 26) * (0.7 + t) * unit
            leaf = trees.leaf_colour(canvas, needles=True)
            trees.wood(canvas, top + 3, trees.spires(canvas, tall, 0.4 * tall, bare=0.45), leaf, 0.45 * (1 - t), 0.7)
        land.ground(canvas, top, rgb("#dfe8f3"), rgb("#f8f9fb"), 0.4 * (1 - t), 0.15)
    return Stand(lines[-1], 0.05, trees=True)


def _night(canvas: Canvas, horizon: float, near: bool) -> Stand:
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
    return Stand(_bank(canvas, 0.92 * height), 0.0, trees=True)


_Paint = Callable[[Canvas, float, bool], Stand]
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
