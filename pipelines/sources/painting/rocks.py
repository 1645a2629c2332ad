"""Rocks, drawn facet by facet in a box of w x h samples."""

from __future__ import annotations

import math

import numpy as np

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.ink import Draw, blob, ink, pick, roundness


def draw_boulders(canvas: Canvas, draw: Draw, w: float, h: float, crest: float) -> None:
    """A heap of boulders over the whole width, up to `crest` (fraction of the height), the upper ones first."""
    rng = canvas.rng
    code = pick(canvas, ("#7b7873", "#6f7478", "#857a6e"))
    for lift in np.sort(rng.random(30))[::-1].tolist():
        u = float(rng.uniform(-1, 1))
        r = w * float(rng.uniform(0.06, 0.12))
        x, y = w / 2 + u * (w / 2 - r), h - 0.5 * r - (1 - crest) * h * (1 - u * u) * lift * 0.8
        turn = np.sort(rng.uniform(0, 2 * math.pi, 8))
        shape = np.stack([np.cos(turn), 0.78 * np.sin(turn)], axis=1) * rng.uniform(0.8, 1.05, (8, 1))
        for k, shade in ((0.0, 0.62), (0.22, 0.92), (0.52, 1.18)):
            middle = np.array([x + canvas.side * k * r * 0.5, y - k * r * 0.45])
            corners = [(a, b) for a, b in (middle + shape * r * (1 - k)).tolist()]
            draw.polygon(corners, fill=ink(canvas, code, shade, 0.05))


def draw_arch(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A natural arch of layered rock."""
    rng, x = canvas.rng, w / 2
    rock = pick(canvas, ("#b06a48", "#8d8378", "#9c7a5c"))
    angles = np.linspace(math.pi, 0, 25).tolist()

    def bow(half: float, rise: float, rough: float) -> list[tuple[float, float]]:
        wobble = 1 + rough * rng.standard_normal((25, 2))
        return [
            (x + half * w * float(a) * math.cos(t), 0.64 * h - rise * h * float(b) * math.sin(t))
            for t, (a, b) in zip(angles, wobble, strict=True)
        ]

    outer, hole = bow(0.46, 0.61, 0.03), bow(float(rng.uniform(0.15, 0.2)), float(rng.uniform(0.26, 0.36)), 0.06)
    foot = 0.5 * (hole[-1][0] - hole[0][0]) / w
    body = [(0.0, h), *outer, (w, h), (x + foot * w, h), *reversed(hole), (x - foot * w, h)]
    draw.polygon(body, fill=ink(canvas, rock, 0.66))
    for y in np.sort(rng.uniform(0.06, 1, 260)).tolist():
        u, tall = float(rng.uniform(-1, 1)), 0.017 * h
        edge = 0.44 if y > 0.62 else 0.44 * math.sqrt(max(1 - ((0.64 - y) / 0.61) ** 2, 0.0))
        inner = foot if y > 0.64 else foot * math.sqrt(max(1 - ((0.64 - y) / 0.33) ** 2, 0.0))
        reach = inner + (edge - inner) * abs(u)
        at_x = x + math.copysign(reach, u) * w
        if reach - inner < 0.03 and inner > 0:
            continue
        layer = 1 + 0.13 * math.sin(47 * y + 3 * math.sin(9 * y))  # strata
        shade = roundness(canvas, (at_x - x) / (0.5 * w)) * layer * float(rng.uniform(0.88, 1.12))
        blob(
            draw,
            (at_x, y * h),
            (float(rng.uniform(0.02, 0.06)) * w, tall * float(rng.uniform(0.5, 1))),
            ink(canvas, rock, shade),
        )


def draw_stone(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A standing stone: facets, a lit flank, moss at the foot."""
    rng = canvas.rng
    rock = pick(canvas, ("#8b8780", "#77797f", "#97836d"))
    steps = np.linspace(0, 1, 10)
    half = 0.46 * w * (0.1 + 0.9 * steps**0.45)
    left = list(zip((w / 2 - half * rng.uniform(0.9, 1.05, 10)).tolist(), (steps * h).tolist(), strict=True))
    right = list(zip((w / 2 + half * rng.uniform(0.9, 1.05, 10)).tolist(), (steps * h).tolist(), strict=True))
    draw.polygon(
        [(w / 2 + 0.1 * w * float(rng.uniform(-1, 1)), 0), *right, *reversed(left)], fill=ink(canvas, rock, 0.8)
    )
    for _ in range(170):
        y, u = float(rng.uniform(0.05, 0.97)), float(rng.uniform(-1, 1))
        x = w / 2 + u * 0.46 * w * (0.1 + 0.9 * y**0.45) * 0.84
        long, tall = 0.09 * w * float(rng.uniform(0.5, 1.2)), 0.03 * h * float(rng.uniform(0.5, 1.6))
        code = "#5f7a3f" if rng.random() < 0.5 * y**3 else rock
        skew = float(rng.uniform(-0.3, 0.3)) * long
        facet = [
            (x - long / 2, y * h - tall / 2),
            (x + skew, y * h - tall),
            (x + long / 2, y * h),
            (x - skew, y * h + tall),
        ]
        draw.polygon(facet, fill=ink(canvas, code, roundness(canvas, u) * float(rng.uniform(0.9, 1.12))))
