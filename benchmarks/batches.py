"""The batches that every trainer learns from: which pictures come when, mirrored or not, and how averages follow.

Everything is a function of the seed and of a picture's number in the training, so a trainer remembers nothing of it.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

from benchmarks.recipes import Recipe
from models import counter_random
from models.counter_random import Kind


class Order:
    """Which real picture comes when: each epoch shows all once, in an order of its own."""

    def __init__(self, seed: int, pictures: int) -> None:
        self.seed, self.pictures = seed, pictures
        self._shuffled = functools.lru_cache(maxsize=2)(self._shuffle)  # epochs that a batch may touch

    def rows(self, first: int, count: int) -> Tensor:
        """int64 [count]: rows of the pictures shown as numbers first ... first + count - 1 of the training."""
        numbers = range(first, first + count)
        return torch.stack([self._shuffled(number // self.pictures)[number % self.pictures] for number in numbers])

    def _shuffle(self, epoch: int) -> Tensor:
        every = torch.arange(self.pictures) + epoch * self.pictures
        return counter_random.uniform(self.seed, Kind.TRAINING_ORDER, every, 1)[:, 0].argsort(stable=True)


def numbers(recipe: Recipe, seen: int, part: int, parts: int, device: torch.device) -> Tensor:
    """int64 [n], on the device: the numbers in the training of one of so many parts of the batch after `seen`."""
    return seen + torch.arange(part, recipe.batch, parts, device=device)


def mirrored(recipe: Recipe, index: Tensor) -> Tensor:
    """bool [n]: which pictures, of these numbers, are mirrored: every second one, by chance; none where not wanted."""
    if not recipe.mirror:
        return torch.zeros_like(index, dtype=torch.bool)
    return counter_random.integers(recipe.seed, Kind.TRAINING_MIRROR, index, 2).bool()


def levels(images: Tensor, turned: Tensor | None, device: torch.device, dtype: torch.dtype) -> Tensor:
    """uint8 [n, 3, h, w] as networks see them, [-1, 1], those `turned` mirrored; None: none is."""
    shown = images.to(device).to(dtype) / 127.5 - 1
    return shown if turned is None else torch.where(turned[:, None, None, None], shown.flip(3), shown)


def decay(recipe: Recipe, seen: int) -> float:
    """Of a running average, for a batch: its half-life grows with what was seen, up to the recipe's."""
    half_life = min(recipe.average_kimg * 1000, seen * recipe.average_ramp)
    return math.exp(-math.log(2) * recipe.batch / max(half_life, 1e-8))


@torch.no_grad()
def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running average of a network towards it; buffers are taken over."""
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
