"""Generators with the geometry of the real ones and pictures made by a formula, whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models import alis, counter_random, locogan
from models.counter_random import Kind

SMALL = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8, "mapping_layers": 1}


class Planted(alis.Generator):
    """Pictures [n, 3, height, width of a column] of a seed's columns are `levels` (0 ... 255) of them."""

    def __init__(self, resolution: int = 32, patches: int = 4, anchor_distance: int = 2) -> None:
        sizes = alis.Sizes(
            resolution, **SMALL, patches=patches, input_resolution=max(4, patches), anchor_distance=anchor_distance
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(sizes)
        self.eval()

    def levels(self, seed: int, column: Tensor) -> Tensor:
        raise NotImplementedError

    def columns(
        self, seed: int, start: int, count: int, *, truncation: float = 1.0, noise: bool = True, batch: int = 64
    ) -> Tensor:
        pictures = self.levels(seed, torch.arange(start, start + count))
        return torch.cat(list(pictures), 2) / 127.5 - 1


class Repeating(Planted):
    """Bars of random colours that return after `period` columns (0: never)."""

    def __init__(self, period: int) -> None:
        super().__init__()
        self.period = period

    def levels(self, seed: int, column: Tensor) -> Tensor:
        column = column % self.period if self.period else column
        colours = counter_random.normal(seed, Kind.LATENT, 0, column, 3) * 40 + 128
        return colours.clamp(0, 255)[:, :, None, None].expand(-1, -1, 32, self.sizes.column_width)

    def frames(self, ws: Tensor, border: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """As many bars of a frame, of colours that only its latents tell."""
        keys = (ws[:, 0, 0, 0].double() * 2**40).long()
        strips = [self.columns(int(key) & 0xFFFFFFFF, 0, self.sizes.patches) for key in keys]
        return torch.stack(strips)


class Steps(Planted):
    """A saw (`seams`): up by one level a pixel, down at once at every border; or up and down by one in turns."""

    def __init__(self, seams: bool) -> None:
        super().__init__()
        self.seams = seams

    def levels(self, seed: int, column: Tensor) -> Tensor:
        width = self.sizes.column_width
        up = torch.arange(width).expand(len(column), width)
        falling = (column % 2 == 1)[:, None] & (not self.seams)
        rows = torch.where(falling, width - up, up) + 100.0
        return rows[:, None, None, :].expand(-1, 3, 32, -1)


class OneColour(Planted):
    """A panorama is of one colour, its seed's; a frame of its own latents' colour."""

    def levels(self, seed: int, column: Tensor) -> Tensor:
        z = counter_random.normal(seed, Kind.PANORAMA_LATENT, 0, torch.zeros(1, dtype=torch.int64), 8)
        picture = self._colour(self.styles(z)[:, 0])
        return picture.expand(len(column), 3, 32, self.sizes.column_width)

    def frames(self, ws: Tensor, border: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        return (self._colour(ws[:, 0, 0]) / 127.5 - 1).expand(-1, 3, 32, 32)

    def _colour(self, w: Tensor) -> Tensor:
        return (128 + 50 * torch.tanh(w[:, :3]))[:, :, None, None]


class HardBetween(Planted):
    """Grey pictures with noise that grows with the distance of their middle from the nearest anchor."""

    def frames(self, ws: Tensor, border: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        span, patches = self.sizes.span, self.sizes.patches
        away = (border + patches / 2) % span
        away = torch.minimum(away, span - away) / patches  # frames
        generator = torch.Generator().manual_seed(int(border[0]))
        grain = torch.randn(len(ws), 3, 32, 32, generator=generator)
        return (10 + 60 * away)[:, None, None, None] / 127.5 * grain


class NoiseAlone(locogan.Generator):
    """Pictures are their spatial noise, and nothing else."""

    def __init__(self) -> None:
        super().__init__(locogan.Sizes(32, **SMALL))
        self.eval()

    def frames(self, ws: Tensor, shift: Tensor, spatial: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        cells = spatial[:, :3, :, 1:5] / 4
        return cells.repeat_interleave(8, 2).repeat_interleave(8, 3)
