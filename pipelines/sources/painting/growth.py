"""Single trees, drawn leaf cluster by leaf cluster in a box of w x h samples."""

from __future__ import annotations

import math

import numpy as np

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.ink import Draw, blob, ink, inks, pick, roundness
from pipelines.sources.painting.trees import LEAVES, NEEDLES

_BARK = "#4b3a2e"


def draw_tree(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """Trunk, limbs, and a crown of several rounded masses, each painted from its shade to its light."""
    rng = canvas.rng
    bare = canvas.season == "winter"
    trunk = 0.016 * w + 0.008 * h
    body = [(w / 2 - 2.1 * trunk, h), (w / 2 - trunk, 0.86 * h), (w / 2 - 0.6 * trunk, 0.4 * h)]
    draw.polygon([*body, *((w - x, y) for x, y in reversed(body))], fill=ink(canvas, _BARK))
    count = int(rng.integers(8, 13))
    angle = np.arange(count) * 2.4 + rng.uniform(0, 6.3)  # the golden angle: masses spread evenly
    reach = np.sqrt((np.arange(count) + 0.6) / count)
    x = w / 2 + 0.31 * w * reach * np.cos(angle) * rng.uniform(0.85, 1.1, count)
    y = 0.40 * h + 0.25 * h * reach * np.sin(angle) * rng.uniform(0.85, 1.1, count)
    for at_x, at_y in zip(x.tolist(), y.tolist(), strict=True):
        start = (w / 2, 0.74 * h - 0.12 * h * float(rng.random()))
        draw.line([start, (at_x, at_y)], fill=ink(canvas, _BARK, 0.9), width=max(int(0.7 * trunk), 1))
        if bare:
            for _ in range(7):
                tip = (at_x + 0.13 * w * float(rng.standard_normal()), at_y - 0.16 * h * float(rng.random()))
                draw.line([(at_x, at_y), tip], fill=ink(canvas, _BARK, 1.1), width=1)
    if not bare:
        _crown(canvas, draw, (w, h), np.stack([x, y], axis=1))


def _crown(
    canvas: Canvas, draw: Draw, box: tuple[float, float], masses: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> None:
    """Leaves around each of `masses` [count, 2]: first all shade, then each mass from below to its lit top."""
    rng, (w, h) = canvas.rng, box
    radius = rng.uniform(0.14, 0.20, len(masses)) * w
    squash = min(0.9 * h / w, 1.0)
    palette = LEAVES[canvas.season]
    for (x, y), r in zip(masses.tolist(), radius.tolist(), strict=True):
        blob(draw, (x, y + 0.1 * r), (0.86 * r, 0.86 * r * squash), ink(canvas, palette[-1], 0.62, 0.06))
    leaves = int(np.clip(0.16 * w, 9, 34))
    for place in np.argsort(masses[:, 1] - 0.2 * h * rng.random(len(masses)))[::-1].tolist():
        (x, y), r = masses[place].tolist(), float(radius[place])
        turn, out = rng.uniform(0, 2 * math.pi, leaves), np.sqrt(rng.random(leaves))
        dx, dy = out * np.cos(turn), out * np.sin(turn)
        lit = 0.6 * -dy + 0.42 * dx * canvas.side + 0.3 * (0.4 * h - y) / h
        order = np.argsort(lit + 0.3 * rng.random(leaves))
        shades = 0.86 + 0.36 * np.clip(lit, -1, 1) + 0.05 * rng.standard_normal(leaves)
        colours = inks(palette, rng.integers(0, len(palette), leaves), shades)
        sizes = (rng.uniform(0.13, 0.27, leaves) * r + 0.7).tolist()
        for i in order.tolist():
            at = (x + float(dx[i]) * r * 1.05, y + float(dy[i]) * r * squash * 1.05)
            blob(draw, at, (sizes[i], 0.72 * sizes[i]), colours[i])


def draw_conifer(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """Skirts of boughs from the lowest to the top, each dabbed with light on one side."""
    rng = canvas.rng
    draw.rectangle((0.475 * w, 0.85 * h, 0.525 * w, h), fill=ink(canvas, _BARK, 0.9))
    tiers = int(rng.integers(10, 15))
    leaf = pick(canvas, NEEDLES)
    codes = (leaf, "#e9eff6")
    for tier in range(tiers):
        t = 1 - tier / tiers
        top, foot = 0.94 * h * max(t - 1.8 / tiers, 0.0), 0.94 * h * t
        half, drop = 0.49 * w * (0.06 + 0.94 * t**0.9) * float(rng.uniform(0.82, 1.0)), foot - top
        teeth = 11
        edge = []
        for k in range(teeth + 1):
            u = 2 * k / teeth - 1
            edge.append((w / 2 + half * u, foot - drop * (0.2 * abs(u) + (0.1 + 0.15 * float(rng.random())) * (k % 2))))
        draw.polygon([(w / 2, top), *edge], fill=ink(canvas, leaf, 0.6 + 0.14 * (1 - t)))
        count = int(np.clip(0.2 * w, 5, 20))
        across = rng.uniform(-1, 1, count)
        down = rng.uniform(0.15, 0.92, count)
        white = (rng.random(count) < (0.55 if canvas.season == "winter" else 0.0)).astype(np.intp)
        shade = np.array([roundness(canvas, u) for u in across.tolist()]) * np.where(white, 1.0, 1.42)
        for u, v, colour in zip(across.tolist(), down.tolist(), inks(codes, white, shade), strict=True):
            x, y = w / 2 + u * half * v * 0.96, top + drop * v * (1 - 0.16 * abs(u))
            long = 0.13 * half + 1
            draw.line(
                [(x - u * long, y - 0.4 * long), (x + u * long, y + 0.4 * long)],
                fill=colour,
                width=max(int(0.05 * half), 1),
            )
