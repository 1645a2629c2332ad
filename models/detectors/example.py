"""What the small detector learns from, told without torch: painting processes make these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CLASSES = ("person", "cow", "bird", "car", "boat", "bench")  # that the small detector tells apart


@dataclass(frozen=True, eq=False)
class Example:
    """A picture and what is in it: boxes (left, top, right, bottom) as fractions, `mask` of all things together."""

    pixels: npt.NDArray[np.uint8]  # [height, width, 3]
    labels: Sequence[int]  # places in CLASSES
    boxes: npt.NDArray[np.float32]  # [n, 4]
    mask: npt.NDArray[np.uint8]  # [height, width, 1]: 255 where a thing is
