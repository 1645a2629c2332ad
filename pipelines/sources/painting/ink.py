"""Colours and shading for things drawn with Pillow, two samples to a pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import rgb

Draw = ImageDraw.ImageDraw
Colour = tuple[int, ...]  # r, g, b, a in 0..255
Point = tuple[float, float]


def ink(canvas: Canvas, code: str, shade: float = 1.0, spread: float = 0.0) -> Colour:
    """'#rrggbb' made darker or lighter by `shade`, and by chance with deviation `spread`."""
    if spread:
        shade *= 1 + spread * float(canvas.rng.standard_normal())
    return (*(min(max(int(255 * shade * part), 0), 255) for part in rgb(code).ravel().tolist()), 255)


def inks(codes: tuple[str, ...], choice: npt.NDArray[np.intp], shade: npt.NDArray[np.float64]) -> list[Colour]:
    """Many colours at once: `codes[choice]` times `shade`, both [count]."""
    palette = np.stack([rgb(code).ravel() for code in codes])
    values = np.clip(palette[choice] * shade[:, None] * 255, 0, 255).astype(int).tolist()
    return [(r, g, b, 255) for r, g, b in values]


def pick(canvas: Canvas, codes: tuple[str, ...]) -> str:
    """One of `codes`, by chance."""
    return codes[int(canvas.rng.integers(len(codes)))]


def roundness(canvas: Canvas, u: float) -> float:
    """Shade of a round body at u in [-1, 1] across it: bright towards the light."""
    return 0.84 + 0.25 * u * canvas.side - 0.11 * u * u


def blob(draw: Draw, at: Point, half: Point, colour: Colour) -> None:
    """An ellipse with half axes `half` around `at`."""
    draw.ellipse((at[0] - half[0], at[1] - half[1], at[0] + half[0], at[1] + half[1]), fill=colour)


def column(canvas: Canvas, draw: Draw, x: float, above: Point, below: Point, code: str) -> None:
    """A tapering round wall around `x`; `above` and `below` are (half width, y)."""
    parts = 14
    for i in range(parts):
        a, b = 2 * i / parts - 1, 2 * (i + 1) / parts - 1
        upper = [(x + above[0] * a, above[1]), (x + above[0] * b + 1, above[1])]
        lower = [(x + below[0] * b + 1, below[1]), (x + below[0] * a, below[1])]
        draw.polygon([*upper, *lower], fill=ink(canvas, code, roundness(canvas, (a + b) / 2)))
