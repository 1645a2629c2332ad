"""The metric `colours`: how far the colours of generated frames are from those of the real pictures.

Half the sum of the absolute differences of two histograms (total variation distance): the share of pixels whose
colour would have to change. 0: the same colours; 1: none in common. Where in the picture they stand does not count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.plugin_metric import PluginMetric

LEVELS = 8  # of each of red, green and blue


class Colours(PluginMetric):
    """Keeps two histograms and no picture."""

    name = "colours"
    version = 1
    about = "share of pixels whose colour would have to change; less is better"

    def __init__(self) -> None:
        self._real = torch.zeros(LEVELS**3, dtype=torch.int64)
        self._generated = torch.zeros(LEVELS**3, dtype=torch.int64)

    def add_real(self, images: Tensor) -> None:
        self._real += histogram(images)

    def add_generated(self, images: Tensor) -> None:
        self._generated += histogram(images)

    def value(self) -> float:
        real, generated = (counts.double() / counts.sum() for counts in (self._real, self._generated))
        return float((real - generated).abs().sum() / 2)


def histogram(images: Tensor) -> Tensor:
    """int64 [LEVELS ** 3]: how many pixels of uint8 [n, 3, h, w] have each colour."""
    red, green, blue = (images.cpu().long() * LEVELS // 256).unbind(1)
    return torch.bincount(((red * LEVELS + green) * LEVELS + blue).flatten(), minlength=LEVELS**3)
