"""What a landscape should not hold, drawn in a box of w x h samples: person, cow, bird, car, boat, bench."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.ink import Colour, Draw, Point, blob, ink, pick, roundness

_CLOTHES = ("#b8323a", "#2f5aa8", "#e0b23c", "#2e7d5b", "#ece7dc", "#3a3a44", "#7a4a8c", "#d9743c")
_TROUSERS = ("#2c3444", "#57503f", "#7a6a52", "#3d4a5c", "#9a9486")
_SKIN = ("#e8bf9c", "#c68d66", "#8d5a3c", "#5f3d2a")
_HAIR = ("#2b211c", "#5a3a22", "#b08a4a", "#8a8580")
_LACQUER = ("#b3262e", "#2a56a0", "#e6e6e2", "#30343a", "#c9a227", "#3f7d58", "#8f9aa3")
_GLASS, _TYRE = "#9fb6c4", "#1d1d20"
_HIDES = (("#5a3a26", "#6a462e"), ("#f0ece2", "#2a2624"), ("#8a5a34", "#f0e6d2"), ("#302a28", "#3c3432"))
_WOOD = ("#8a5a34", "#6b4a32", "#a9763f", "#4f6a54")


def _limb(draw: Draw, points: list[Point], breadth: float, colour: Colour) -> None:
    """A line with round ends and joints."""
    draw.line(points, fill=colour, width=max(round(breadth), 1), joint="curve")
    for at in (points[0], points[-1]):
        blob(draw, at, (breadth / 2, breadth / 2), colour)


def draw_person(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """Standing or walking, seen from any side."""
    rng, x = canvas.rng, w / 2
    coat, legs = pick(canvas, _CLOTHES), pick(canvas, _TROUSERS)
    skin, hair = pick(canvas, _SKIN), pick(canvas, _HAIR)
    step, swing = float(rng.uniform(0.02, 0.26)) * w, float(rng.uniform(0.08, 0.34)) * w
    half, hip, thick = float(rng.uniform(0.19, 0.27)) * w, 0.54 * h, 0.15 * w
    for side in (-1, 1):
        shade = 1.0 if side == canvas.side else 0.8
        knee, foot = (x + 0.7 * side * step + 0.06 * w, 0.74 * h), (x + side * step + 0.05 * side * w, 0.965 * h)
        _limb(draw, [(x + 0.4 * side * half, hip), knee, foot], thick, ink(canvas, legs, shade))
        blob(draw, (foot[0] + 0.04 * w, 0.975 * h), (0.1 * w, 0.02 * h), ink(canvas, "#2a2522"))
        elbow, hand = (x + side * (half + 0.5 * swing), 0.38 * h), (x + side * (half + 0.6 * swing), 0.51 * h)
        _limb(draw, [(x + 0.85 * side * half, 0.23 * h), elbow, hand], 0.11 * w, ink(canvas, coat, 0.85 * shade))
        blob(draw, hand, (0.055 * w, 0.018 * h), ink(canvas, skin, shade))
    for i in range(8):
        a, b = i / 4 - 1, (i + 1) / 4 - 1
        upper, lower = [(x + half * a, 0.19 * h), (x + half * b, 0.19 * h)], 0.85 * half
        draw.polygon(
            [*upper, (x + lower * b + 1, hip + 0.04 * h), (x + lower * a, hip + 0.04 * h)],
            fill=ink(canvas, coat, roundness(canvas, (a + b) / 2)),
        )
    blob(draw, (x, 0.2 * h), (half, 0.035 * h), ink(canvas, coat, 0.95))
    draw.rectangle((x - 0.06 * w, 0.14 * h, x + 0.06 * w, 0.2 * h), fill=ink(canvas, skin, 0.8))
    blob(draw, (x, 0.07 * h), (0.15 * w, 0.07 * h), ink(canvas, hair))
    look = float(rng.uniform(-0.06, 0.06)) * w
    blob(draw, (x + look, 0.088 * h), (0.12 * w, 0.058 * h), ink(canvas, skin))


def draw_cow(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """Standing or grazing, from the side."""
    rng = canvas.rng
    hide, patch = _HIDES[int(rng.integers(len(_HIDES)))]
    turn = 1 if rng.random() < 0.5 else -1

    def at(u: float, v: float) -> Point:
        return (w / 2 + turn * (u - 0.5) * w, v * h)

    for u, shade in ((0.24, 0.7), (0.64, 0.7), (0.18, 0.95), (0.7, 0.95)):
        foot = u + float(rng.uniform(-0.03, 0.03))
        _limb(draw, [at(u, 0.55), at(foot, 0.75), at(foot, 0.96)], 0.07 * w, ink(canvas, hide, shade))
    body = [(0.1, 0.2), (0.3, 0.17), (0.55, 0.2), (0.76, 0.16), (0.82, 0.42), (0.72, 0.66), (0.4, 0.7), (0.14, 0.62)]
    draw.polygon([at(u, v) for u, v in body], fill=ink(canvas, hide))
    blob(draw, at(0.18, 0.4), (0.1 * w, 0.22 * h), ink(canvas, hide, 0.95))
    for _ in range(int(rng.integers(3, 6))):
        u, v = float(rng.uniform(0.2, 0.7)), float(rng.uniform(0.3, 0.52))
        blob(draw, at(u, v), (float(rng.uniform(0.04, 0.1)) * w, 0.09 * h), ink(canvas, patch, 1.0, 0.05))
    low = 0.5 if rng.random() < 0.4 else 0.0  # grazing
    head = (0.9, 0.22 + low)
    _limb(draw, [at(0.76, 0.32), at(*head)], 0.13 * w, ink(canvas, hide, 0.95))
    blob(draw, at(*head), (0.08 * w, 0.1 * h), ink(canvas, hide))
    blob(draw, at(head[0] + 0.04, head[1] + 0.09), (0.045 * w, 0.06 * h), ink(canvas, patch))
    for lift in (-0.09, -0.13):
        draw.line([at(head[0] - 0.02, head[1] - 0.05), at(head[0] - 0.05, head[1] + lift)], ink(canvas, "#d8cdb4"), 2)
    draw.line([at(0.11, 0.26), at(0.06, 0.56)], fill=ink(canvas, hide, 0.7), width=max(int(0.02 * w), 1))


def draw_bird(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """In flight, wings up or out."""
    rng = canvas.rng
    colour = pick(canvas, ("#2a2a30", "#f1efe8", "#6a5646", "#8b929a"))
    turn = 1 if rng.random() < 0.5 else -1
    lift = float(rng.uniform(0.05, 0.9))

    def at(u: float, v: float) -> Point:
        return (w / 2 + turn * (u - 0.5) * w, v * h)

    for side, shade in ((-1, 0.75), (1, 1.0)):
        tip = (0.5 + side * 0.48, 0.6 - 0.58 * lift)
        front, back = (0.5 + side * 0.2, 0.5 - 0.42 * lift), (0.5 + side * 0.24, 0.66 - 0.3 * lift)
        wing = [at(0.5 + 0.1 * side, 0.55), at(*front), at(*tip), at(*back), at(0.5 - 0.02 * side, 0.72)]
        draw.polygon(wing, fill=ink(canvas, colour, shade))
    blob(draw, at(0.5, 0.66), (0.13 * w, 0.11 * h), ink(canvas, colour, 0.9))
    draw.polygon([at(0.4, 0.64), at(0.24, 0.78), at(0.26, 0.64)], fill=ink(canvas, colour, 0.8))
    blob(draw, at(0.64, 0.6), (0.05 * w, 0.07 * h), ink(canvas, colour))
    draw.polygon([at(0.68, 0.58), at(0.74, 0.62), at(0.68, 0.64)], fill=ink(canvas, "#d9a03c"))


def draw_car(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """From the side: a saloon, an estate or a van."""
    rng = canvas.rng
    paint = pick(canvas, _LACQUER)
    turn = 1 if rng.random() < 0.5 else -1
    roof, rear = (0.04, 0.04) if rng.random() < 0.3 else (0.1, float(rng.uniform(0.04, 0.26)))

    def at(u: float, v: float) -> Point:
        return (w / 2 + turn * (u - 0.5) * w, v * h)

    cabin = [(rear, 0.5), (rear + 0.06, roof), (0.56, roof), (0.72, 0.5)]
    draw.polygon([at(u, v) for u, v in cabin], fill=ink(canvas, paint, 0.92))
    for i in range(6):
        v = 0.46 + 0.065 * i
        front = 0.99 - 0.01 * abs(i - 3)
        shade = 1.12 - 0.08 * i
        draw.polygon([at(0.01, v), at(front, v), at(front, v + 0.08), at(0.01, v + 0.08)], ink(canvas, paint, shade))
    for left, right in ((rear + 0.07, 0.36), (0.39, 0.6)):
        lean = 0.07 if right > 0.5 else 0.0
        panes = [(left, roof + 0.07), (right - 0.04, roof + 0.07), (right + lean, 0.45), (left - 0.03, 0.45)]
        draw.polygon([at(u, v) for u, v in panes], fill=ink(canvas, _GLASS, 1.0, 0.08))
    for u in (0.22, 0.78):
        blob(draw, at(u, 0.82), (0.105 * w, 0.17 * h), ink(canvas, _TYRE))
        blob(draw, at(u, 0.82), (0.055 * w, 0.09 * h), ink(canvas, "#a8abb0"))
    blob(draw, at(0.975, 0.58), (0.018 * w, 0.05 * h), ink(canvas, "#fff3c4", 1.1))
    draw.line([at(0.375, 0.5), at(0.375, 0.8)], fill=ink(canvas, paint, 0.6), width=max(int(0.006 * w), 1))


def draw_boat(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A sailing boat or a cutter."""
    rng = canvas.rng
    hull, turn = pick(canvas, _LACQUER), 1 if rng.random() < 0.5 else -1

    def at(u: float, v: float) -> Point:
        return (w / 2 + turn * (u - 0.5) * w, v * h)

    if rng.random() < 0.6:
        mast = float(rng.uniform(0.4, 0.55))
        draw.line([at(mast, 0.02), at(mast, 0.82)], fill=ink(canvas, "#5a4a3c"), width=max(int(0.02 * w), 2))
        cloth = pick(canvas, ("#f4f1e6", "#e9d9b4", "#c8553c", "#f4f1e6"))
        draw.polygon([at(mast - 0.02, 0.05), at(mast - 0.02, 0.72), at(0.08, 0.72)], fill=ink(canvas, cloth))
        draw.polygon([at(mast + 0.03, 0.1), at(mast + 0.03, 0.74), at(0.94, 0.74)], fill=ink(canvas, cloth, 0.88))
    else:
        draw.polygon([at(0.22, 0.8), at(0.24, 0.45), at(0.58, 0.45), at(0.64, 0.8)], fill=ink(canvas, "#efece4"))
        for u in (0.3, 0.46):
            draw.polygon(
                [at(u, 0.52), at(u + 0.1, 0.52), at(u + 0.1, 0.64), at(u, 0.64)], fill=ink(canvas, _GLASS, 0.7)
            )
        draw.line([at(0.4, 0.12), at(0.4, 0.46)], fill=ink(canvas, "#4a4038"), width=max(int(0.02 * w), 2))
    for i in range(5):
        v, tuck = 0.78 + 0.044 * i, 0.03 * i
        draw.polygon(
            [at(0.03 + tuck, v), at(0.99 - 1.4 * tuck, v), at(0.97 - 1.4 * tuck, v + 0.05), at(0.04 + tuck, v + 0.05)],
            fill=ink(canvas, hull, 1.1 - 0.1 * i),
        )


def draw_bench(canvas: Canvas, draw: Draw, w: float, h: float) -> None:
    """A bench of planks, from the front and a little above."""
    wood, iron = pick(canvas, _WOOD), ink(canvas, "#3a3a3e")
    for u in (0.1, 0.9):
        draw.line([(u * w, 0.02 * h), (u * w, 0.96 * h)], fill=iron, width=max(int(0.035 * w), 2))
        draw.line([(u * w, 0.5 * h), (u * w, 0.97 * h)], fill=iron, width=max(int(0.05 * w), 2))
    boards = int(canvas.rng.integers(2, 5))
    for i in range(boards):
        top = (0.04 + 0.4 * i / boards) * h
        draw.rectangle((0.02 * w, top, 0.98 * w, top + 0.3 * h / boards), fill=ink(canvas, wood, 1.0, 0.06))
    for i in range(3):
        top, out = (0.5 + 0.07 * i) * h, 0.02 * w * (1 - 0.4 * i)
        draw.rectangle((out, top, w - out, top + 0.055 * h), fill=ink(canvas, wood, 1.12 - 0.06 * i, 0.05))
    draw.rectangle((0.02 * w, 0.71 * h, 0.98 * w, 0.75 * h), fill=ink(canvas, wood, 0.6))


DRAWERS: dict[str, Callable[[Canvas, Draw, float, float], None]] = {  # by the names that COCO gives
    "person": draw_person,
    "cow": draw_cow,
    "bird": draw_bird,
    "car": draw_car,
    "boat": draw_boat,
    "bench": draw_bench,
}
BREADTH = {"person": 0.36, "cow": 1.5, "bird": 1.6, "car": 2.2, "boat": 1.0, "bench": 1.9}  # over height
