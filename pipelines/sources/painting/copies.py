"""Planted near-duplicates: which scenes stand in the series once more, and how such a copy differs.

A plant of the whole series, not of a scene: scenes are the same with and without it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

COPIED_SHARE = 0.25  # scenes that are copied, each once
KINDS = ("same", "half", "quality", "crop", "mirror", "bright")
CROP = 0.02  # of width and height, off each side
BRIGHTER = 1.2  # times every level
LOW_QUALITY = 30  # of a JPEG


def copy_of(seed: int, index: int) -> str | None:
    """How the scene at `index` of the series `seed` is copied, one of KINDS; None: it is not."""
    draw, kind = np.random.default_rng([seed, index, 3]).random(2).tolist()
    return KINDS[int(kind * len(KINDS))] if draw < COPIED_SHARE else None


def size_of(kind: str, width: int, height: int) -> tuple[int, int]:
    """(width, height) of a copy of a picture so large."""
    if kind == "half":
        return width // 2, height // 2
    if kind == "crop":
        return width - 2 * round(CROP * width), height - 2 * round(CROP * height)
    return width, height


def copied(pixels: npt.NDArray[np.uint8], kind: str) -> Image.Image:
    """The picture [height, width, 3] as its copy shows it; for `same` and `quality` as it is."""
    image = Image.fromarray(pixels)
    width, height = size_of(kind, image.width, image.height)
    if kind == "half":
        return image.resize((width, height), Image.Resampling.LANCZOS)
    if kind == "crop":
        left, upper = round(CROP * image.width), round(CROP * image.height)
        return image.crop((left, upper, left + width, upper + height))
    if kind == "mirror":
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if kind == "bright":
        return ImageEnhance.Brightness(image).enhance(BRIGHTER)
    return image
