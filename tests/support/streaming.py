"""Panoramas of numbers, as streams of blocks."""

from __future__ import annotations

import numpy as np

from lhq_toolkit.panoramas.stream import Pixels, Stream


def pixels(height: int, width: int, first: int = 0) -> Pixels:
    """uint8 [height, width, 3] from column `first` on: smooth slopes with some grain, a function of the place."""
    x, y, c = np.meshgrid(np.arange(first, first + width), np.arange(height), np.arange(3))
    grain = (x * 7919 + y * 104729 + c * 1299709) % 11
    return (100 + 60 * np.sin(x / 40 + c) + 60 * np.cos(y / 20 + x / 90) + grain).clip(0, 255).astype(np.uint8)


def stream(height: int, width: int, block: int = 250) -> Stream:
    """The same from left to right."""
    return Stream(height, width, (pixels(height, min(block, width - x), x) for x in range(0, width, block)))
