"""A small TorchScript file that looks from outside like the 2015 Inception's."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


class StandInLayers(nn.Module):
    """Pixels in [-1, 1) [n, 3, 299, 299] to 2048 numbers: pooled colours and their products, weighted."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 3 * 23 * 23)[:, None] * torch.linspace(0.5, 2, 2048))

    def forward(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 13).flatten(1) @ self.weight


def tensorflow_bilinear(x: Tensor, side: int) -> Tensor:
    """TensorFlow 1's resize_bilinear: pixel i of the result is read at i * size / side, corners not aligned."""
    for dim in (2, 3):
        size = x.shape[dim]
        at = torch.arange(side, dtype=torch.float32) * (size / side)
        lower = at.floor().long()
        upper = (lower + 1).clamp(max=size - 1)
        shape = [-1, 1] if dim == 2 else [1, -1]
        share = (at - lower).view(shape)
        x = x.index_select(dim, lower) * (1 - share) + x.index_select(dim, upper) * share
    return x


class StandIn(nn.Module):
    """What the real file looks like from outside: `layers`, and a call that resizes and may return features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = StandInLayers()

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        assert return_features
        return self.layers((tensorflow_bilinear(x, 299) - 128) / 128)


def write_stand_in(path: Path) -> str:
    """Write the file; returns its SHA-256."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated; the real file is made of it
        torch.jit.script(StandIn().eval()).save(str(path))
    return hashlib.sha256(path.read_bytes()).hexdigest()
