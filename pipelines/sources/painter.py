"""Paints a synthetic landscape: `describe` says what it is, `paint` makes its pixels.

Both are pure functions of their arguments. But for a centred subject, and in control scenes, nothing tells the
left of a scene from its middle or right: every lattice of noise starts at a random phase, whatever stands somewhere
stands anywhere across the frame and beyond, light falls from either side, and nothing converges on a vanishing point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.sources.painting.canvas import RIM, Canvas
from pipelines.sources.painting.flurry import plant_flurry
from pipelines.sources.painting.grounds import Stand
from pipelines.sources.painting.light import light_of
from pipelines.sources.painting.places import paint_place
from pipelines.sources.painting.planting import Plan, Planted, needs_ground, plans, plant
from pipelines.sources.painting.scene import CENTRED_SHARE, LICENSES, SUBJECTS, Scene, describe
from pipelines.sources.painting.sky import paint_sky
from pipelines.sources.painting.subjects import place_subject
from pipelines.sources.painting.weather import air, falling

__all__ = ["CENTRED_SHARE", "LICENSES", "Planted", "Scene", "describe", "paint", "paint_planted", "plans"]

_SKYLINE: dict[str, tuple[float, float]] = {  # range of the horizon, fraction of the height
    "mountain lake": (0.52, 0.62),
    "mountain range": (0.56, 0.66),
    "misty mountains": (0.42, 0.58),
    "sea": (0.42, 0.62),
    "forest": (0.38, 0.5),
    "meadow": (0.46, 0.6),
    "rolling hills": (0.42, 0.55),
    "desert dunes": (0.42, 0.58),
    "canyon": (0.5, 0.62),
    "snowfield": (0.48, 0.6),
    "night sky": (0.6, 0.72),
}
_SLENDER = {"tree": 0.85, "conifer": 0.5, "hut": 1.1, "arch": 1.2, "stone": 0.6}  # width over height
_TONE = np.linspace(0, 1, 4096)
_CONTRAST = np.clip((_TONE + 0.44 * (_TONE - 0.45) * _TONE * (1 - _TONE)) * 255 + 0.5, 0, 255).astype(np.uint8)


def paint(seed: int, index: int, *, control: bool = False) -> npt.NDArray[np.uint8]:
    """The pixels [height, width, 3] of the scene that `describe` with the same arguments describes."""
    return _paint(describe(seed, index, control=control), ())[0]


def paint_planted(seed: int, index: int) -> tuple[npt.NDArray[np.uint8], list[Planted]]:
    """The scene with what `plans` plants in it, and what can be seen of that: the truth for a detector."""
    scene = describe(seed, index)
    return _paint(scene, plans(scene))


def _paint(scene: Scene, planned: tuple[Plan, ...]) -> tuple[npt.NDArray[np.uint8], list[Planted]]:
    seed, index = scene.seed, scene.index
    rng = np.random.default_rng([seed, index, 1])
    height, width = scene.height + 2 * RIM, scene.width + 2 * RIM
    unit = min(scene.height, scene.width) / 300
    horizon = RIM + float(rng.uniform(*_SKYLINE[scene.kind])) * scene.height
    canvas = Canvas(
        rng=rng,
        pixels=np.empty((3, height, width), np.float32),
        light=light_of(rng, scene.time, width, horizon, height),
        unit=unit,
        season=scene.season,
        side=1 if rng.random() < 0.5 else -1,
        floor=height,
    )
    paint_sky(canvas, horizon)
    stand = paint_place(canvas, scene.kind, horizon, scene.subject_kind is not None or needs_ground(planned))
    _bystanders(canvas, stand)
    air(canvas, scene.weather, horizon)
    if scene.subject_kind is not None:
        _centre(canvas, scene, scene.subject_kind)
    planted = plant(canvas, scene, planned, horizon, stand)
    canvas.stroke(3.6 * unit, 1.8 * unit, 0.02)
    falling(canvas, scene.weather)
    picture = _finish(canvas)
    return plant_flurry(picture, rng) if scene.control else picture, planted


def _bystanders(canvas: Canvas, stand: Stand) -> None:
    """Small things anywhere on the ground, mostly trees and rocks; the far ones first."""
    rng = canvas.rng
    draw = rng.random()
    kinds = ["tree", "conifer"] if stand.trees else ["stone"]
    count = int(rng.integers(1, 6)) if draw < 0.45 else 0
    x = rng.uniform(-0.1 * canvas.width, 1.1 * canvas.width, count)
    down = np.sort(rng.random(count) ** 1.5)
    kind = kinds[int(rng.integers(len(kinds)))]
    if rng.random() < 0.15:
        kind = SUBJECTS[int(rng.integers(len(SUBJECTS)))]
        x, down = x[:1], down[:1]
    for at, t in zip(x.tolist(), (down * (0 if stand.shore else 1)).tolist(), strict=True):
        top = float(stand.top[int(np.clip(at, 0, canvas.width - 1))])
        y = top + 2 + max(canvas.height - RIM - top, 0.0) * t * 0.8
        tall = canvas.height * (0.09 + 0.22 * t) * rng.uniform(0.6, 1.2)
        broad = tall * _SLENDER.get(kind, 0.55)
        if kind == "balloon":
            y = rng.uniform(0.2, 0.55) * canvas.height
        place_subject(canvas, kind, (at, y), (broad, tall), stand.far + 0.15 * (1 - t))


def _centre(canvas: Canvas, scene: Scene, kind: str) -> None:
    """The one big subject, its middle on the middle of the frame."""
    broad, tall = scene.subject_size[0] * scene.width, scene.subject_size[1] * scene.height
    foot = RIM + scene.height * (0.97 - 0.05 * canvas.rng.random())
    if kind == "balloon":
        foot = min(foot, RIM + tall + scene.height * canvas.rng.uniform(0.03, 0.12))
    place_subject(canvas, kind, (canvas.width / 2, foot), (broad, tall), 0.02)


def _finish(canvas: Canvas) -> npt.NDArray[np.uint8]:
    """The weave of the cloth, a little contrast; the rim is cut off."""
    picture = canvas.pixels[:, RIM:-RIM, RIM:-RIM]
    weave = canvas.grain(0.5, 0.5)[RIM:-RIM, RIM:-RIM]
    level = picture * (np.float32(4095) + np.float32(4095 * 0.012) * weave)
    planes = _CONTRAST.take(level.astype(np.int32), mode="clip")
    return np.ascontiguousarray(np.moveaxis(planes, 0, -1))
