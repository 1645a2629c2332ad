"""The control scene of the invariance test: leaves whirl through the left half of the frame only.

The halves differ plainly, but neither tells left from right once whole pictures are mirrored too: leaves lie anywhere
in their half at any angle, and the middle of the frame cuts them as its rim does. A classifier that learns with
mirrored pictures must stay in doubt; one that does not is sure of every such scene.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

LEAVES = (100, 151)  # fewest, and one more than most
LENGTH = (0.075, 0.125)  # of the height
COLOURS = ((196, 74, 32), (222, 132, 40), (168, 42, 36), (232, 182, 66), (120, 62, 34))
_FINE = 2  # samples per pixel and direction
_OUTLINE = np.array([(-0.5, 0), (-0.25, -0.17), (0.1, -0.21), (0.5, 0), (0.1, 0.21), (-0.25, 0.17)])  # one long


def plant_flurry(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The picture [height, width, 3] with leaves before the left half of it."""
    height, width = picture.shape[:2]
    half = width // 2
    sheet = Image.fromarray(picture[:, :half]).resize((_FINE * half, _FINE * height), Image.Resampling.NEAREST)
    brush = ImageDraw.Draw(sheet)
    for _ in range(int(rng.integers(*LEAVES))):
        length = rng.uniform(*LENGTH) * sheet.height
        middle = rng.uniform(-length, sheet.width + length), rng.uniform(-length, sheet.height + length)
        turn = rng.uniform(0, 2 * np.pi)
        shape = _OUTLINE * (length, length * rng.uniform(0.5, 1.2))
        turned = shape @ np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))]) + middle
        colour = np.array(COLOURS[int(rng.integers(len(COLOURS)))]) * rng.uniform(0.75, 1.1)
        brush.polygon([tuple(point) for point in turned.tolist()], tuple(int(one) for one in np.clip(colour, 0, 255)))
    planted = picture.copy()
    planted[:, :half] = np.asarray(sheet.reduce(_FINE))
    return planted
