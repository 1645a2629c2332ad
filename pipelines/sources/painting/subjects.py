"""Single things that stand in a landscape: trees, buildings, rocks, a balloon; each fills a given box."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import rgb
from pipelines.sources.painting.noise import field
from pipelines.sources.painting.trees import LEAVES, NEEDLES

_FINE = 2  # samples per pixel and direction
_Colour = tuple[int, int, int]
_Draw = Callable[[Canvas, ImageDraw.ImageDraw, float, float], None]
Place = tuple[float, float]  # x of the middle, y of the foot, in pixels


def place_subject(canvas: Canvas, kind: str, at: Place, size: tuple[float, float], distance: float) -> None:
    """Paint one `kind` of SUBJECTS in a box of `size` (width, height) pixels whose foot's middle is `at`."""
    width, height = max(int(size[0]), 3), max(int(size[1]), 4)
    sheet = Image.new("RGBA", (_FINE * width, _FINE * height), (*_BODY[kind], 0))
    _DRAWERS[kind](canvas, ImageDraw.Draw(sheet), float(sheet.width - 1), float(sheet.height - 1))
    paint = np.asarray(sheet.reduce(_FINE), np.float32) / 255
    left, top = round(at[0] - width / 2), round(at[1]) - height
    x0, x1 = max(left, 0), min(left + width, canvas.width)
    y0, y1 = max(top, 0), min(top + height, canvas.height)
    if x1 <= x0 or y1 <= y0:
        return
    part = paint[y0 - top : y1 - top, x0 - left : x1 - left]
    rough = field(canvas.rng, y1 - y0, x1 - x0, (5 * canvas.unit, 5 * canvas.unit), 3, 0.8)
    colour = canvas.light.on(part[..., :3] * (1 + np.float32(0.05) * rough)[..., None], distance)
    target = canvas.pixels[y0:y1, x0:x1]
    target += (colour - target) * part[..., 3:]


def _ink(canvas: Canvas, code: str, shade: float = 1.0, spread: float = 0.0) -> _Colour:
    """A colour in 0..255, made darker or lighter by `shade` and by chance."""
    value = rgb(code) * np.float32(shade * (1 + spread * canvas.rng.standard_normal()))
    r, g, b = (np.clip(value, 0, 1) * 255).astype(int).tolist()
    return r, g, b


def _sided(canvas: Canvas, u: float) -> float:
    """Shade of a round body at u in [-1, 1] across it: bright towards the light."""
    return 0.8 + 0.3 * u * canvas.side - 0.12 * u * u


def _tree(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """Trunk, limbs, and a crown of leaf clusters painted from the shade outwards to the light."""
    rng = canvas.rng
    trunk, crown = 0.035 * w + 0.01 * h, 0.70 * h
    bark = _ink(canvas, "#4b3a2e")
    draw.polygon(
        [
            (w / 2 - 1.7 * trunk, h),
            (w / 2 - 0.7 * trunk, 0.45 * h),
            (w / 2 + 0.7 * trunk, 0.45 * h),
            (w / 2 + 1.7 * trunk, h),
        ],
        fill=(*bark, 255),
    )
    for angle in rng.uniform(-1.0, 1.0, 9):
        end = (w / 2 + 0.42 * w * math.sin(angle * 1.2), 0.42 * h - 0.28 * h * math.cos(angle))
        draw.line([(w / 2, 0.68 * h - 0.1 * h * abs(angle)), end], fill=(*bark, 255), width=max(int(0.9 * trunk), 1))
    bare = canvas.season == "winter"
    count = 70 if bare else 260
    angle, radius = rng.uniform(0, 2 * math.pi, count), np.sqrt(rng.random(count))
    bulge = 0.86 + 0.14 * np.sin(3 * angle + rng.uniform(0, 6)) * np.sin(5 * angle + rng.uniform(0, 6))
    x, y = np.cos(angle) * radius * bulge, np.sin(angle) * radius * bulge
    lit = 0.62 * -y + 0.5 * x * canvas.side + 0.22 * rng.standard_normal(count)
    palette = LEAVES[canvas.season]
    for i in np.argsort(lit + 0.7 * rng.random(count)).tolist():
        cx, cy = w / 2 + 0.43 * w * x[i], crown * (0.5 + 0.43 * y[i])
        r = w * rng.uniform(0.035, 0.085) * (0.45 if bare else 1.0)
        colour = _ink(
            canvas, palette[int(rng.integers(len(palette)))], 0.82 + 0.42 * float(np.clip(lit[i], -1, 1)), 0.05
        )
        draw.ellipse((cx - r, cy - 0.75 * r, cx + r, cy + 0.75 * r), fill=(*colour, 255))


def _conifer(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """Skirts of boughs from the lowest to the top, each dabbed with light on one side."""
    rng = canvas.rng
    draw.rectangle((0.47 * w, 0.85 * h, 0.53 * w, h), fill=(*_ink(canvas, "#43342a"), 255))
    tiers = int(rng.integers(9, 14))
    snowy = canvas.season == "winter"
    leaf = NEEDLES[int(rng.integers(len(NEEDLES)))]
    for tier in range(tiers):
        t = 1 - tier / tiers
        top, foot, half = (
            0.93 * h * max(t - 1.7 / tiers, 0.0),
            0.93 * h * t,
            0.49 * w * (0.1 + 0.9 * t) * rng.uniform(0.86, 1.0),
        )
        teeth = 9
        edge = [
            (
                w / 2 + half * (2 * k / teeth - 1),
                foot
                - 0.35 * (foot - top) * (1 - abs(2 * k / teeth - 1)) * 0
                - (0.10 + 0.12 * rng.random()) * (foot - top) * (k % 2)
                - 0.18 * (foot - top) * abs(2 * k / teeth - 1),
            )
            for k in range(teeth + 1)
        ]
        draw.polygon([(w / 2, top), *edge], fill=(*_ink(canvas, leaf, 0.62 + 0.12 * (1 - t)), 255))
        for _ in range(16):
            u = rng.uniform(-1, 1)
            y = foot - (foot - top) * rng.uniform(0.12, 0.9) * (1 - 0.6 * abs(u))
            x = w / 2 + u * half * (y - top) / (foot - top + 1e-6) * 0.95
            long, thick = 0.16 * half, max(0.035 * half, 1.0)
            white = snowy and rng.random() < 0.6
            shade = _sided(canvas, float(u)) * (1.0 if white else 1.35)
            colour = _ink(canvas, "#e9eff6" if white else leaf, shade, 0.08)
            lean = 0.5 * long * (1 if u > 0 else -1)
            draw.line(
                [(x - lean, y - 0.3 * long), (x + lean, y + 0.3 * long)], fill=(*colour, 255), width=max(int(thick), 1)
            )


def _round_wall(
    canvas: Canvas, draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], foot: float, code: str
) -> None:
    """A tapering round wall: `box` (half width above, y above, half width below, y below) around x = `foot`."""
    above, y0, below, y1 = box
    parts = 14
    for i in range(parts):
        a, b = 2 * i / parts - 1, 2 * (i + 1) / parts - 1
        corners = [
            (foot + above * a, y0),
            (foot + above * b + 1, y0),
            (foot + below * b + 1, y1),
            (foot + below * a, y1),
        ]
        draw.polygon(corners, fill=(*_ink(canvas, code, _sided(canvas, (a + b) / 2)), 255))


def _rocks(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float, crest: float) -> None:
    """A heap of boulders over the whole width, up to `crest` (fraction of the height)."""
    rng = canvas.rng
    for _ in range(34):
        u = rng.uniform(-1, 1)
        r = w * rng.uniform(0.06, 0.13)
        y = h - (1 - crest) * h * (1 - u * u) * rng.uniform(0.0, 0.9)
        x = w / 2 + u * (w / 2 - r)
        for k, shade in ((0.0, 0.7), (0.25, 1.0), (0.5, 1.2)):
            ring = r * (1 - k)
            ox, oy = canvas.side * k * r * 0.5, -k * r * 0.45
            corners = [
                (x + ox + ring * math.cos(a), y + oy + 0.75 * ring * math.sin(a))
                for a in np.sort(rng.uniform(0, 2 * math.pi, 7)).tolist()
            ]
            draw.polygon(corners, fill=(*_ink(canvas, "#7b7570", shade, 0.05), 255))


def _lighthouse(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """A banded tower with gallery, lantern and cap on a heap of rocks."""
    rng, x = canvas.rng, w / 2
    foot, head, half = 0.86 * h, 0.2 * h, min(0.26 * w, 0.13 * h)
    band = ("#b5382f", "#2f4f78", "#3b3b40", "#c0562c")[int(rng.integers(4))]
    bands = int(rng.integers(3, 7))
    for i in range(bands):
        a, b = i / bands, (i + 1) / bands
        y0, y1 = head + (foot - head) * a, head + (foot - head) * b
        box = (half * (0.62 + 0.38 * a), y0, half * (0.62 + 0.38 * b), y1 + 1)
        _round_wall(canvas, draw, box, x, band if i % 2 == 0 else "#efe9dc")
    _round_wall(canvas, draw, (0.42 * half, 0.1 * h, 0.42 * half, head), x, "#f5d98a")
    for u in (-0.4, 0.0, 0.4):
        draw.line([(x + u * half, 0.1 * h), (x + u * half, head)], fill=(*_ink(canvas, "#39383c"), 255), width=2)
    draw.rectangle(
        (x - 0.8 * half, head - 0.015 * h, x + 0.8 * half, head + 0.012 * h), fill=(*_ink(canvas, "#39383c"), 255)
    )
    draw.polygon(
        [(x - 0.6 * half, 0.105 * h), (x, 0.0), (x + 0.6 * half, 0.105 * h)], fill=(*_ink(canvas, band, 0.8), 255)
    )
    for t in (0.35, 0.62):
        y = head + (foot - head) * t
        draw.rectangle((x - 0.1 * half, y, x + 0.1 * half, y + 0.03 * h), fill=(*_ink(canvas, "#3a3f4a"), 255))
    _rocks(canvas, draw, w, h, 0.8)


def _tower(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """A stone keep with battlements, courses and slits, on a mound."""
    rng, x = canvas.rng, w / 2
    stone = ("#9a8f80", "#8a8d90", "#a58a6c")[int(rng.integers(3))]
    half, head, foot = 0.34 * w, 0.12 * h, 0.95 * h
    _round_wall(canvas, draw, (half, head, 1.08 * half, foot), x, stone)
    for i in range(5):
        u = (i - 2) / 2
        left = x + 1.08 * half * u - 0.13 * half
        colour = _ink(canvas, stone, _sided(canvas, u))
        draw.rectangle((left, 0.03 * h, left + 0.26 * half, head + 0.03 * h), fill=(*colour, 255))
    draw.rectangle((x - 1.12 * half, head, x + 1.12 * half, head + 0.025 * h), fill=(*_ink(canvas, stone, 0.62), 255))
    for _ in range(80):
        u, y = rng.uniform(-0.95, 0.95), rng.uniform(head + 0.04 * h, foot)
        long = 0.11 * half
        shade = _sided(canvas, float(u)) * rng.uniform(0.82, 1.12)
        draw.rectangle(
            (x + u * half - long, y, x + u * half + long, y + 0.012 * h), fill=(*_ink(canvas, stone, shade), 255)
        )
    for t in (0.3, 0.52):
        y = head + (foot - head) * t
        draw.rectangle((x - 0.06 * half, y, x + 0.06 * half, y + 0.06 * h), fill=(30, 28, 30, 255))
    arch = 0.2 * half
    draw.ellipse((x - arch, 0.8 * h, x + arch, 0.8 * h + 2 * arch), fill=(34, 30, 30, 255))
    draw.rectangle((x - arch, 0.8 * h + arch, x + arch, foot), fill=(34, 30, 30, 255))
    _rocks(canvas, draw, w, h, 0.92)


def _hut(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """A steep-roofed wooden hut with lit windows and a chimney."""
    rng, x = canvas.rng, w / 2
    wall = ("#7a5236", "#8c3b30", "#5d6a70", "#a9763f")[int(rng.integers(4))]
    eaves, foot, half = 0.62 * h, 0.985 * h, 0.36 * w
    draw.rectangle((x + 0.2 * w, 0.12 * h, x + 0.28 * w, 0.5 * h), fill=(*_ink(canvas, "#6d5d55"), 255))
    for i in range(14):
        a = 2 * i / 14 - 1
        left = x + half * a
        draw.rectangle(
            (left, 0.3 * h + 0.32 * h * abs(a), left + half / 7 + 1, foot),
            fill=(*_ink(canvas, wall, _sided(canvas, a), 0.05), 255),
        )
    snowy = canvas.season == "winter"
    roof = "#e8eef5" if snowy else ("#4a3d38", "#5b4a3c", "#6a4038")[int(rng.integers(3))]
    for sign in (-1, 1):
        thick, out = 0.085 * h, 0.49 * w
        corners = [
            (x, 0.02 * h),
            (x + sign * out, eaves + 0.05 * h),
            (x + sign * (out - 0.06 * w), eaves + 0.05 * h + thick),
            (x, 0.04 * h + 1.6 * thick),
        ]
        draw.polygon(corners, fill=(*_ink(canvas, roof, 1.1 if sign == canvas.side else 0.75), 255))
    glow = "#ffcf70" if canvas.light.dark > 0.05 else "#35424e"
    for u in (-0.5, 0.5):
        cx, cy, r = x + u * half, 0.72 * h, 0.13 * half
        draw.rectangle(
            (cx - 1.25 * r, cy - 1.25 * r, cx + 1.25 * r, cy + 1.25 * r), fill=(*_ink(canvas, "#e6dccb"), 255)
        )
        draw.rectangle((cx - r, cy - r, cx + r, cy + r), fill=(*_ink(canvas, glow), 255))
        draw.line([(cx, cy - r), (cx, cy + r)], fill=(*_ink(canvas, "#e6dccb"), 255), width=2)
    draw.rectangle((x - 0.14 * half, 0.74 * h, x + 0.14 * half, foot), fill=(*_ink(canvas, wall, 0.5), 255))


def _arch(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """A natural arch of layered rock."""
    rng, x = canvas.rng, w / 2
    rock = ("#b06a48", "#8d8378", "#9c7a5c")[int(rng.integers(3))]
    angles = np.linspace(math.pi, 0, 25)
    outer = [
        (
            x + 0.49 * w * (1 + 0.03 * rng.standard_normal()) * math.cos(a),
            0.62 * h - 0.6 * h * math.sin(a) * (1 - 0.04 * rng.random()),
        )
        for a in angles.tolist()
    ]
    hole = [
        (x + 0.25 * w * (1 + 0.06 * rng.standard_normal()) * math.cos(a), 0.66 * h - 0.36 * h * math.sin(a))
        for a in angles.tolist()
    ]
    body = [(0.0, h), *outer, (w, h), (x + 0.27 * w, h), *reversed(hole), (x - 0.27 * w, h)]
    draw.polygon(body, fill=(*_ink(canvas, rock, 0.9), 255))
    for a in rng.uniform(0.0, math.pi, 190).tolist():
        t = float(rng.uniform(0.0, 1.0))
        rx, ry = (0.26 + 0.22 * t) * w, (0.38 + 0.21 * t) * h
        cx, cy = x + rx * math.cos(a), 0.64 * h - ry * math.sin(a)
        if rng.random() < 0.45:
            cy, cx = float(rng.uniform(0.62, 0.99)) * h, x + math.copysign(0.28 * w + 0.19 * w * t, math.cos(a))
        shade = _sided(canvas, (cx - x) / (0.5 * w)) * (0.85 + 0.3 * t) * float(rng.uniform(0.85, 1.15))
        long, thick = 0.035 * w, 0.011 * h
        draw.ellipse((cx - long, cy - thick, cx + long, cy + thick), fill=(*_ink(canvas, rock, shade), 255))


def _balloon(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """A striped balloon with its basket."""
    rng, x = canvas.rng, w / 2
    pair = (("#d8433b", "#f3e3c0"), ("#2f6fb0", "#f0c24a"), ("#e08a2c", "#7a3c8f"), ("#2d8c7a", "#f2efe2"))[
        int(rng.integers(4))
    ]
    gores = int(rng.integers(8, 13))
    waist, neck = 0.38 * h, 0.8 * h
    t = np.linspace(0, 1, 26)
    rows = np.concatenate([waist - waist * np.cos(t * math.pi / 2), waist + (neck - waist) * t[1:]])
    half = np.concatenate([np.sin(t * math.pi / 2), 0.16 + 0.84 * np.cos(t[1:] * math.pi / 2) ** 0.85]) * 0.49 * w
    for i in range(gores):
        a, b = (math.sin(math.pi * (k / gores - 0.5)) for k in (i, i + 1))
        left = [(x + a * r, y) for r, y in zip(half.tolist(), rows.tolist(), strict=True)]
        right = [(x + b * r + 1, y) for r, y in zip(half.tolist(), rows.tolist(), strict=True)]
        colour = _ink(canvas, pair[i % 2], _sided(canvas, (a + b) / 2) * 1.12)
        draw.polygon([*left, *reversed(right)], fill=(*colour, 255))
    for u in (-1, 1):
        draw.line([(x + u * 0.07 * w, neck), (x + u * 0.05 * w, 0.91 * h)], fill=(60, 50, 44, 255), width=2)
    draw.rectangle((x - 0.06 * w, 0.905 * h, x + 0.06 * w, h), fill=(*_ink(canvas, "#7a5230"), 255))


def _stone(canvas: Canvas, draw: ImageDraw.ImageDraw, w: float, h: float) -> None:
    """A standing stone: facets, a lit flank, moss at the foot."""
    rng = canvas.rng
    rock = ("#8b8780", "#77797f", "#97836d")[int(rng.integers(3))]
    t = np.linspace(0, 1, 9)
    half = 0.46 * w * (0.45 + 0.55 * t**0.6)
    left = [(w / 2 - r * rng.uniform(0.9, 1.05), y * h) for r, y in zip(half.tolist(), t.tolist(), strict=True)]
    right = [(w / 2 + r * rng.uniform(0.9, 1.05), y * h) for r, y in zip(half.tolist(), t.tolist(), strict=True)]
    draw.polygon([(w / 2, 0), *right, *reversed(left)], fill=(*_ink(canvas, rock, 0.85), 255))
    for _ in range(110):
        y = float(rng.uniform(0.04, 0.97))
        span = 0.46 * w * (0.45 + 0.55 * y**0.6) * 0.86
        u = float(rng.uniform(-1, 1))
        cx, long = w / 2 + u * span, 0.09 * w * float(rng.uniform(0.5, 1.2))
        tall = 0.035 * h * float(rng.uniform(0.5, 1.6))
        shade = _sided(canvas, u) * float(rng.uniform(0.85, 1.2))
        code = "#5f7a3f" if rng.random() < 0.5 * y**3 else rock
        skew = float(rng.uniform(-0.3, 0.3)) * long
        draw.polygon(
            [
                (cx - long / 2, y * h - tall / 2),
                (cx + skew, y * h - tall),
                (cx + long / 2, y * h),
                (cx - skew, y * h + tall),
            ],
            fill=(*_ink(canvas, code, shade), 255),
        )


_BODY: dict[str, _Colour] = {
    "tree": (60, 90, 50),
    "conifer": (44, 70, 58),
    "lighthouse": (190, 170, 160),
    "tower": (140, 130, 120),
    "hut": (110, 80, 60),
    "arch": (140, 100, 80),
    "balloon": (200, 140, 100),
    "stone": (130, 128, 122),
}
_DRAWERS: dict[str, _Draw] = {
    "tree": _tree,
    "conifer": _conifer,
    "lighthouse": _lighthouse,
    "tower": _tower,
    "hut": _hut,
    "arch": _arch,
    "balloon": _balloon,
    "stone": _stone,
}
