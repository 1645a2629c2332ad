"""The canvas: pixels under the brush, with a rim that is cut off, and the ways paint gets onto it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pipelines.sources.painting.light import Light
from pipelines.sources.painting.noise import TILE, Array, window, wrapping

Steps = npt.NDArray[np.int32]

RIM = 14  # pixels around the picture, so that no stroke ever meets an edge


@dataclass
class Canvas:
    """`pixels` [3, height, width] in [0, 1], rim included; `unit` is 1 at a short side of 300 pixels."""

    rng: np.random.Generator
    pixels: Array
    light: Light
    unit: float
    season: str
    side: int  # light comes from the left (-1) or the right (1)
    floor: int  # rows from here down will be painted over later: layers leave them out

    @property
    def height(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[2])

    def lay(self, top: int, mask: Array, colour: Array) -> None:
        """Paint `colour` ([3, 1, 1] or [3, rows, width]) over the rows from `top` where `mask` [rows, width] says."""
        rows = self.pixels[:, top : top + mask.shape[0]]
        change = colour - rows
        change *= mask
        rows += change

    def below(self, profile: Array) -> tuple[int, Array]:
        """First row and anti-aliased mask [rows, width] of what lies below `profile` ([width], y in pixels)."""
        top = int(np.clip(np.floor(profile.min()) - 1, 0, self.floor - 1))
        rows = np.arange(top, self.floor, dtype=np.float32)[:, None]
        return top, np.clip(rows - profile[None, :] + np.float32(0.5), 0, 1)

    def _anywhere(self) -> tuple[int, int]:
        y, x = self.rng.integers(TILE, size=2).tolist()
        return y, x

    def grain(self, blur_y: float, blur_x: float, rows: int | None = None) -> Array:
        """Texture [rows, width] with deviation 1."""
        height = self.height if rows is None else rows
        return window(wrapping(_stepped(blur_y), _stepped(blur_x)), self._anywhere(), height, self.width)

    def stroke(self, length: float, breadth: float, relief: float, top: int = 0, bottom: int | None = None) -> None:
        """Turn the rows into dabs of one colour each, `length` x `breadth` pixels, lightness varied by `relief`."""
        bottom = self.height if bottom is None else bottom
        if bottom - top < 2:
            return
        dy, dx, tone = dabs(_stepped(length), _stepped(breadth))
        start = self._anywhere()
        step = window(dy * np.int32(self.width) + dx, start, bottom - top, self.width)
        shade = 1 + np.float32(relief) * window(tone, start, bottom - top, self.width)
        step += np.arange(top * self.width, bottom * self.width, dtype=np.int32).reshape(step.shape)
        # steps over a side edge land in the rim of a neighbouring row, which is cut off
        painted = self.pixels.reshape(3, -1).take(step, axis=1, mode="clip")
        np.multiply(painted, shade, out=self.pixels[:, top:bottom])


def _stepped(size: float) -> float:
    """The nearest of a few sizes, so that scenes of every unit share the same few textures."""
    return float(2.0 ** round(math.log2(size)))


@lru_cache(maxsize=32)
def dabs(length: float, breadth: float) -> tuple[Steps, Steps, Array]:
    """A wrapping pattern of brush dabs [TILE, TILE]: steps (dy, dx) to the dab's colour, and its lightness.

    Dabs are the cells of a jittered, bent Voronoi pattern (Worley 1996) that is longer than it is broad.
    """
    rng = np.random.default_rng([TILE, round(length * 100), round(breadth * 100)])
    down, across = round(TILE / breadth), round(TILE / length)
    step_y, step_x = TILE / down, TILE / across
    site_y = (np.arange(down)[:, None] + rng.random((down, across))) * step_y
    site_x = (np.arange(across)[None, :] + rng.random((down, across))) * step_x
    shade = rng.standard_normal((down, across)).astype(np.float32)
    bend = wrapping(20, 20) * np.float32(2.2 * breadth)
    y = np.arange(TILE)[:, None] + bend
    x = np.arange(TILE)[None, :] + np.roll(bend, TILE // 3, axis=1)
    cell_y, cell_x = np.floor(y / step_y).astype(np.intp), np.floor(x / step_x).astype(np.intp)
    best = np.full((TILE, TILE), np.inf, np.float32)
    dy, dx, tone = (np.zeros((TILE, TILE), np.float32) for _ in range(3))
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            row, column = cell_y + i, cell_x + j
            place = (row % down, column % across)
            to_y = site_y[place] + (row - row % down) * step_y - y
            to_x = site_x[place] + (column - column % across) * step_x - x
            far = (to_y / step_y) ** 2 + (to_x / step_x) ** 2
            near = far < best
            best = np.where(near, far, best)
            dy, dx, tone = np.where(near, to_y, dy), np.where(near, to_x, dx), np.where(near, shade[place], tone)
    limit = RIM - 2
    bristles = wrapping(0.6, length / 2)
    tone = (0.75 * tone + 0.45 * bristles).astype(np.float32)
    return np.clip(dy, -limit, limit).astype(np.int32), np.clip(dx, -limit, limit).astype(np.int32), tone
