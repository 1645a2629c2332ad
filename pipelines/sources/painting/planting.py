"""Planted things: which a scene holds, where they stand, and what of them can be seen afterwards.

Two in five scenes hold things that count, some hold distant birds only, which may stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipelines.sources.painting.canvas import RIM, Canvas
from pipelines.sources.painting.grounds import Stand
from pipelines.sources.painting.scene import Scene
from pipelines.sources.painting.subjects import place_subject
from pipelines.sources.painting.things import BREADTH

HOLDING_SHARE = 0.4  # scenes with one to three things near the viewer
FAR_BIRDS_SHARE = 0.12  # scenes with one to four birds far away, and nothing else
_WATERS = ("sea", "mountain lake")
_ON_LAND = ("person", "cow", "car", "bench")
_TALL = {  # of the frame's height; a wing span is 1.6 times a bird's height
    "person": (0.18, 0.62),
    "cow": (0.13, 0.4),
    "bird": (0.22, 0.36),
    "car": (0.11, 0.3),
    "boat": (0.16, 0.45),
    "bench": (0.12, 0.3),
}
_FAR_BIRD = (0.03, 0.09)
_SEEN = 0.5  # opacity from which a pixel belongs to a thing


@dataclass(frozen=True)
class Plan:
    """One thing to be planted: `across` and `near` in [0, 1] say where, `tall` is of the frame's height."""

    kind: str
    across: float
    near: float
    tall: float


@dataclass(frozen=True, eq=False)
class Planted:
    """One thing as it can be seen: `box` is left, top, right, bottom as fractions of the picture."""

    kind: str
    box: tuple[float, float, float, float]
    area: float  # of the picture, in [0, 1]
    mask: npt.NDArray[np.bool_]  # [height, width] of the picture


def plans(scene: Scene) -> tuple[Plan, ...]:
    """What the scene holds when things are planted; a pure function of its seed and index."""
    rng = np.random.default_rng([scene.seed, scene.index, 2])
    draw = rng.random()
    if draw >= HOLDING_SHARE + FAR_BIRDS_SHARE:
        return ()
    if draw >= HOLDING_SHARE:
        return tuple(_plan(rng, "bird", _FAR_BIRD) for _ in range(int(rng.integers(1, 5))))
    kinds = [*_ON_LAND, "bird", *(["boat"] * 2 if scene.kind in _WATERS else [])]
    chosen = [kinds[int(rng.integers(len(kinds)))] for _ in range(int(rng.choice([1, 1, 1, 2, 2, 3])))]
    return tuple(sorted((_plan(rng, kind, _TALL[kind]) for kind in chosen), key=lambda plan: plan.near))


def _plan(rng: np.random.Generator, kind: str, tall: tuple[float, float]) -> Plan:
    near = float(rng.random())
    low, high = tall
    return Plan(kind, float(rng.uniform(0.06, 0.94)), near, low + (high - low) * (0.75 * near + 0.25 * rng.random()))


def needs_ground(planned: tuple[Plan, ...]) -> bool:
    """Whether there must be ground at the viewer's feet."""
    return any(plan.kind in _ON_LAND for plan in planned)


def plant(canvas: Canvas, scene: Scene, planned: tuple[Plan, ...], horizon: float, stand: Stand) -> list[Planted]:
    """Paint the things, the far ones first, and say what of each can be seen; one that others hide is left out."""
    brush = replace(canvas, rng=np.random.default_rng([scene.seed, scene.index, 3]))  # the same pixels
    masks = [_paint(brush, scene, plan, horizon, stand) for plan in planned]
    seen = []
    hidden = np.zeros((scene.height, scene.width), dtype=bool)
    for plan, mask in reversed(list(zip(planned, masks, strict=True))):
        left = mask & ~hidden
        hidden |= mask
        if left.sum() >= 0.4 * mask.sum() > 0:
            seen.append(_planted(plan.kind, left))
    return seen[::-1]


def _paint(canvas: Canvas, scene: Scene, plan: Plan, horizon: float, stand: Stand) -> npt.NDArray[np.bool_]:
    """Paint one thing; its mask over the picture [height, width]."""
    tall = plan.tall * scene.height
    broad = tall * BREADTH[plan.kind]
    x = RIM + plan.across * scene.width
    line = float(stand.top[int(np.clip(x, 0, canvas.width - 1))])
    bottom = RIM + 0.985 * scene.height
    distance = 0.12 * (1 - plan.near)
    if plan.kind == "bird":
        sky = max(horizon - 0.1 * scene.height, RIM + 1.3 * tall)
        foot = canvas.rng.uniform(RIM + 1.1 * tall, sky) if sky > RIM + 1.1 * tall else sky
    elif plan.kind == "boat":
        shore = bottom if stand.shore else min(line, bottom)
        foot = horizon + 0.05 * scene.height + plan.near * max(shore - horizon - 0.1 * scene.height, 0)
        foot = max(foot, RIM + 0.7 * tall)
    else:
        top = min(line, bottom)
        foot = max(top + (bottom - top) * plan.near, RIM + 1.02 * tall)
    return place_subject(canvas, plan.kind, (x, min(foot, bottom)), (broad, tall), distance)[RIM:-RIM, RIM:-RIM] > _SEEN


def _planted(kind: str, mask: npt.NDArray[np.bool_]) -> Planted:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    left, top, right, bottom = (float(side) for side in box)
    return Planted(kind, (left, top, right, bottom), float(mask.mean()), mask)
