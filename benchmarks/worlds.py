"""A world: everything that the pixels of an endless panorama depend on, and its pixels, tile by tile.

A tile is four frames; tile t begins at frame 4t. Pixels are always cut from whole tiles, so that a place of the
panorama has the same bits in every picture or video, wherever these begin (on one machine, with one
number of threads), and an edit changes no bit beyond its reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks import measure
from benchmarks.networks import Endless, Generator
from benchmarks.plugin_model import PluginEndless, PluginGenerator
from manifests.errors import MisuseError
from models import alis, locogan, stylegan2, taming
from models.anchors import OWN, Anchors

TILE = 4  # frames


@dataclass(frozen=True)
class World:
    """The panorama of a seed. Raises MisuseError for a seed, or anchors, that the generator cannot have."""

    generator: Endless
    seed: int = 0
    truncation: float = 1.0
    anchors: Anchors = OWN

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise MisuseError(f"seed {self.seed}: give one from 0 to {2**64 - 1}")
        if self.anchors != OWN:
            with_anchors(self.generator)

    @property
    def frame_columns(self) -> int:
        """Columns in a frame, which is as wide as high."""
        return self.generator.sizes.frame_columns

    @property
    def height(self) -> int:
        """Pixels."""
        return self.generator.sizes.resolution

    @property
    def column_width(self) -> int:
        """Pixels."""
        return self.generator.sizes.column_width

    def tile(self, number: int) -> Tensor:
        """uint8 [3, height, TILE * height] on the CPU: frames TILE * number and on. Any number, also a negative one."""
        many = TILE * self.frame_columns
        return measure.pixels(self.columns(number * many, many)).cpu()

    def blocks(self, start: int, count: int) -> Iterator[Tensor]:
        """The pixels of columns start ... start + count - 1, from left to right: uint8 [3, height, <= a tile's]."""
        many, end = TILE * self.frame_columns, start + count
        for number in range(start // many, -(-end // many)):
            first, last = max(start, number * many), min(end, (number + 1) * many)
            left, right = ((one - number * many) * self.column_width for one in (first, last))
            yield self.tile(number)[:, :, left:right]

    @torch.no_grad()
    def columns(self, start: int, count: int) -> Tensor:
        """Columns start ... start + count - 1, made at once, as the network gives them: [3, height, width], about
        [-1, 1], on its device."""
        generator = self.generator
        if not isinstance(generator, alis.Generator):
            return generator.columns(self.seed, start, count, truncation=self.truncation, batch=count)
        return generator.columns(self.seed, start, count, truncation=self.truncation, batch=count, anchors=self.anchors)


def refuse_truncation(generator: Generator, truncation: float) -> None:
    """MisuseError where there is nothing that truncation could move to its mean."""
    if isinstance(generator, taming.Generator) and truncation != 1:
        raise MisuseError("--truncation: taming has no style to move towards the mean; leave it out")


def endless(generator: Generator) -> Endless:
    """The generator, if it makes panoramas at any place; else MisuseError."""
    if isinstance(generator, stylegan2.Generator | PluginGenerator) and not isinstance(generator, PluginEndless):
        name = "stylegan2" if isinstance(generator, stylegan2.Generator) else "this model"
        raise MisuseError(
            f"{name} makes single frames, no panorama: use --frames, or train alis, alis-nocoords or locogan"
        )
    if isinstance(generator, taming.Generator):
        raise MisuseError(
            "taming draws its panorama from the left, each column from those before: it has no other place to begin at "
            "and no anchors; use --frames or --panorama, or train alis, alis-nocoords or locogan"
        )
    return generator


def with_anchors(generator: Generator) -> alis.Generator:
    """The generator, if its panoramas have anchors; else MisuseError."""
    if isinstance(endless(generator), locogan.Generator):
        raise MisuseError(
            "locogan has one latent for a whole panorama and no anchors to change: train alis or alis-nocoords"
        )
    if not isinstance(generator, alis.Generator):
        raise MisuseError("this model has no anchors to change: train alis or alis-nocoords")
    return generator
