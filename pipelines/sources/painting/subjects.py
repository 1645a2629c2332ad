"""Puts one single thing (a tree, a building, a rock, a balloon, a cow) into a landscape, at a given place and size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from pipelines.sources.painting.buildings import draw_balloon, draw_hut, draw_lighthouse, draw_tower
from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.growth import draw_conifer, draw_tree
from pipelines.sources.painting.ink import Draw, Point
from pipelines.sources.painting.noise import Array, field
from pipelines.sources.painting.rocks import draw_arch, draw_stone
from pipelines.sources.painting.things import DRAWERS as THINGS

_FINE = 2  # samples per pixel and direction

_DRAWERS: dict[str, Callable[[Canvas, Draw, float, float], None]] = {
    "tree": draw_tree,
    "conifer": draw_conifer,
    "lighthouse": draw_lighthouse,
    "tower": draw_tower,
    "hut": draw_hut,
    "arch": draw_arch,
    "balloon": draw_balloon,
    "stone": draw_stone,
    **THINGS,
}
_AFLOAT = ("balloon", "bird", "boat")  # without a shadow on the ground


def cast_shadow(canvas: Canvas, at: Point, broad: float, force: float) -> None:
    """A soft shadow on the ground around `at`, drawn out to the side away from the light."""
    reach = int(1.3 * broad) + 2
    x0, x1 = max(int(at[0]) - reach, 0), min(int(at[0]) + reach, canvas.width)
    y0, y1 = max(int(at[1] - 0.12 * broad), 0), min(int(at[1] + 0.12 * broad) + 2, canvas.height)
    if x1 <= x0 or y1 <= y0:
        return
    dx = (np.arange(x0, x1) - at[0]) * -canvas.side
    across = np.where(dx > 0, dx / (0.7 * broad), dx / (0.4 * broad))
    down = (np.arange(y0, y1) - at[1]) / (0.06 * broad + 1)
    shade = np.exp(-(across[None, :] ** 2) - down[:, None] ** 2) * force
    canvas.pixels[:, y0:y1, x0:x1] *= (1 - shade).astype(np.float32)


def place_subject(canvas: Canvas, kind: str, at: Point, size: Point, distance: float) -> Array:
    """Paint one `kind` in a box of `size` (width, height) pixels whose foot's middle is `at` (x, y).

    Returns how far it covers each pixel of the canvas: [height, width] in [0, 1].
    """
    width, height = max(int(size[0]), 3), max(int(size[1]), 4)
    sheet = Image.new("RGBA", (_FINE * width, _FINE * height))
    _DRAWERS[kind](canvas, ImageDraw.Draw(sheet), float(sheet.width - 1), float(sheet.height - 1))
    sheet_rgba = np.asarray(sheet.convert("RGBa").reduce(_FINE), np.float32) / 255  # colour times opacity
    if kind not in _AFLOAT:
        cast_shadow(canvas, (at[0], at[1] - 1), width, 0.5 * (1 - distance) * (1 - 0.6 * canvas.light.dark))
    left, top = round(at[0] - width / 2), round(at[1]) - height
    x0, x1 = max(left, 0), min(left + width, canvas.width)
    y0, y1 = max(top, 0), min(top + height, canvas.height)
    covered = np.zeros((canvas.height, canvas.width), np.float32)
    if x1 <= x0 or y1 <= y0:
        return covered
    part = np.moveaxis(sheet_rgba[y0 - top : y1 - top, x0 - left : x1 - left], -1, 0)
    rough = field(canvas.rng, y1 - y0, x1 - x0, (5 * canvas.unit, 5 * canvas.unit), 2, 0.8)
    opacity = part[3]
    light = canvas.light
    colour = part[:3] * (1 + np.float32(0.05) * rough) * (light.tint * np.float32(1 - distance))
    target = canvas.pixels[:, y0:y1, x0:x1]
    target *= 1 - opacity
    target += colour + light.haze * (np.float32(distance) * opacity)
    covered[y0:y1, x0:x1] = opacity
    return covered
