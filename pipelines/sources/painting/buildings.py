"""Things people made, drawn in a box of w x h samples: a lighthouse, a tower, a hut, a balloon."""

from __future__ import annotations

import math

import numpy as np

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.ink import Draw, column, ink, pick, roundness
from pipelines.sources.painting.rocks import draw_boulders

_IRON = "#39383c"


def draw_lighthouse(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A banded tower with gallery, lantern and cap on a heap of rocks."""
    rng, x = canvas.rng, w / 2
    foot, head, half = 0.92 * h, 0.2 * h, min(0.26 * w, 0.12 * h)
    band = pick(canvas, ("#b5382f", "#2f4f78", "#3b3b40", "#c0562c"))
    bands = int(rng.integers(3, 7))
    for i in range(bands):
        a, b = i / bands, (i + 1) / bands
        above = (half * (0.62 + 0.38 * a), head + (foot - head) * a)
        below = (half * (0.62 + 0.38 * b), head + (foot - head) * b + 1)
        column(canvas, draw, x, above, below, band if i % 2 == 0 else "#efe9dc")
    column(canvas, draw, x, (0.42 * half, 0.1 * h), (0.42 * half, head), "#f5d98a")
    for u in (-0.4, 0.0, 0.4):
        draw.line([(x + u * half, 0.1 * h), (x + u * half, head)], fill=ink(canvas, _IRON), width=2)
    draw.rectangle((x - 0.8 * half, head - 0.015 * h, x + 0.8 * half, head + 0.012 * h), fill=ink(canvas, _IRON))
    draw.polygon([(x - 0.6 * half, 0.105 * h), (x, 0.0), (x + 0.6 * half, 0.105 * h)], fill=ink(canvas, band, 0.8))
    for t in (0.3, 0.56):
        y = head + (foot - head) * t
        draw.rectangle((x - 0.1 * half, y, x + 0.1 * half, y + 0.03 * h), fill=ink(canvas, "#3a3f4a"))
    draw_boulders(canvas, draw, w, h, 0.8)


def draw_tower(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A stone keep with battlements, courses and slits, on rocks."""
    rng, x = canvas.rng, w / 2
    stone = pick(canvas, ("#9a8f80", "#8a8d90", "#a58a6c"))
    half, head, foot = min(0.36 * w, 0.26 * h), 0.12 * h, 0.95 * h
    column(canvas, draw, x, (half, head), (1.12 * half, foot), stone)
    for i in range(5):
        u = (i - 2) / 2
        left = x + 1.1 * half * u * 0.88 - 0.15 * half
        draw.rectangle(
            (left, 0.03 * h, left + 0.3 * half, head + 0.03 * h), fill=ink(canvas, stone, roundness(canvas, u))
        )
    draw.rectangle((x - 1.12 * half, head, x + 1.12 * half, head + 0.02 * h), fill=ink(canvas, stone, 0.6))
    for _ in range(90):
        u, y = float(rng.uniform(-0.95, 0.95)), float(rng.uniform(head + 0.04 * h, foot))
        shade, long = roundness(canvas, u) * float(rng.uniform(0.84, 1.12)), 0.1 * half * (1.1 - abs(u))
        draw.rectangle((x + u * half - long, y, x + u * half + long, y + 0.012 * h), fill=ink(canvas, stone, shade))
    for t in (0.25, 0.48):
        y = head + (foot - head) * t
        draw.rectangle((x - 0.06 * half, y, x + 0.06 * half, y + 0.06 * h), fill=ink(canvas, "#1e1c1e"))
    door = 0.2 * half
    draw.ellipse((x - door, 0.8 * h, x + door, 0.8 * h + 2 * door), fill=ink(canvas, "#221e1e"))
    draw.rectangle((x - door, 0.8 * h + door, x + door, foot), fill=ink(canvas, "#221e1e"))
    draw_boulders(canvas, draw, w, h, 0.92)


def draw_hut(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A steep-roofed wooden hut with windows and a chimney; they are lit when the day is not bright."""
    x = w / 2
    wall = pick(canvas, ("#7a5236", "#8c3b30", "#5d6a70", "#a9763f"))
    eaves, foot, half, planks = 0.62 * h, 0.985 * h, 0.36 * w, 14
    side = canvas.side
    left, right = sorted((x - side * 0.2 * w, x - side * 0.27 * w))
    draw.rectangle((left, 0.1 * h, right, 0.5 * h), fill=ink(canvas, "#6d5d55"))
    for i in range(planks):
        a = 2 * i / planks - 1
        colour = ink(canvas, wall, roundness(canvas, a), 0.05)
        draw.rectangle(
            (x + half * a, 0.12 * h + 0.47 * h * abs(a + 1 / planks), x + half * (a + 2 / planks), foot), fill=colour
        )
    roof = "#e8eef5" if canvas.season == "winter" else pick(canvas, ("#4a3d38", "#5b4a3c", "#6a4038"))
    for sign in (-1, 1):
        thick, out = 0.085 * h, 0.49 * w
        lower = [(x + sign * out, eaves + 0.05 * h), (x + sign * (out - 0.06 * w), eaves + 0.05 * h + thick)]
        shade = 1.1 if sign == side else 0.75
        draw.polygon([(x, 0.02 * h), *lower, (x, 0.04 * h + 1.6 * thick)], fill=ink(canvas, roof, shade))
    glow, frame = "#ffcf70" if canvas.light.dark > 0.05 else "#35424e", ink(canvas, "#e6dccb")
    for u in (-0.5, 0.5):
        cx, cy, r = x + u * half, 0.72 * h, 0.13 * half
        draw.rectangle((cx - 1.25 * r, cy - 1.25 * r, cx + 1.25 * r, cy + 1.25 * r), fill=frame)
        draw.rectangle((cx - r, cy - r, cx + r, cy + r), fill=ink(canvas, glow))
        draw.line([(cx, cy - r), (cx, cy + r)], fill=frame, width=2)
    draw.rectangle((x - 0.14 * half, 0.74 * h, x + 0.14 * half, foot), fill=ink(canvas, wall, 0.5))


def draw_balloon(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A striped balloon with its basket."""
    rng, x = canvas.rng, w / 2
    pairs = (("#d8433b", "#f3e3c0"), ("#2f6fb0", "#f0c24a"), ("#e08a2c", "#7a3c8f"), ("#2d8c7a", "#f2efe2"))
    pair = pairs[int(rng.integers(4))]
    gores = int(rng.integers(8, 13))
    waist, neck = 0.38 * h, 0.8 * h
    t = np.linspace(0, 1, 26)
    rows = np.concatenate([waist - waist * np.cos(t * math.pi / 2), waist + (neck - waist) * t[1:]]).tolist()
    lower = 0.16 + 0.84 * np.cos(t[1:] * math.pi / 2) ** 0.85
    half = (np.concatenate([np.sin(t * math.pi / 2), lower]) * 0.49 * w).tolist()
    for i in range(gores):
        a, b = (math.sin(math.pi * (k / gores - 0.5)) for k in (i, i + 1))
        left = [(x + a * r, y) for r, y in zip(half, rows, strict=True)]
        right = [(x + b * r + 1, y) for r, y in zip(half, rows, strict=True)]
        shade = roundness(canvas, (a + b) / 2) * 1.12
        draw.polygon([*left, *reversed(right)], fill=ink(canvas, pair[i % 2], shade))
    for sign in (-1, 1):
        draw.line([(x + sign * 0.07 * w, neck), (x + sign * 0.05 * w, 0.91 * h)], fill=ink(canvas, "#3c322c"), width=2)
    draw.rectangle((x - 0.06 * w, 0.905 * h, x + 0.06 * w, h), fill=ink(canvas, "#7a5230"))
