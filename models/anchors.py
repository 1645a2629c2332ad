"""Where the anchors of an ALIS panorama come from: a seed's own, sampled closer to each other, replaced, or given.

`alis.Generator.columns` asks an `Anchors` for the w of any anchor and the noise of any column. Every answer is a
function of its number alone, so a panorama keeps its random access, whatever was changed in it; and what an edit does
not cover is computed by the same operations on tensors of the same shapes as without it, so that columns beyond an
edit's `reach` have the same bits, as long as they are made in the same batches.

An edit replaces anchors, and the noise of columns with them; a later edit wins over an earlier one. Between two
anchors that both come from one place, a panorama looks as it does there where the coordinates agree: always, if the
anchor distance is even.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from models import counter_random
from models.counter_random import Kind
from models.layers import Mapping

FRAME_ANCHORS = 3  # of an independent frame: left, centre, right

Draw = Callable[[int, Kind, Tensor], list[Tensor]]  # of a seed, a kind and columns: their noise for each layer


class Grid(Protocol):
    """What edits know of a generator, in columns: the sizes of ALIS."""

    @property
    def span(self) -> int:
        """From one anchor to the next."""

    @property
    def patches(self) -> int:
        """In a frame."""

    @property
    def shifts(self) -> int:
        """How many places an independent frame may have among its anchors."""


class Sampling(Protocol):
    """How anchors are drawn."""

    def w(self, mapping: Mapping, seed: int, index: Tensor) -> Tensor:
        """w [n, w_dim] of a seed's anchors `index` (int64 [n], any sign), before truncation."""


@dataclass(frozen=True)
class Free:
    """Each anchor for itself, as in training."""

    def w(self, mapping: Mapping, seed: int, index: Tensor) -> Tensor:
        """See `Sampling`."""
        w: Tensor = mapping(counter_random.normal(seed, Kind.ANCHOR, 0, index, mapping.z_dim))
        return w


@dataclass(frozen=True)
class NoiseOrigin:
    """Some columns of a batch (bool [n]) take the noise of other columns (int64, one for each of these)."""

    where: Tensor
    seed: int
    kind: Kind
    column: Tensor


class Edit(Protocol):
    """Anchors first ... first + count - 1 of a panorama come from elsewhere."""

    @property
    def first(self) -> int: ...

    @property
    def count(self) -> int: ...

    def w(self, sampling: Sampling, mapping: Mapping, index: Tensor) -> Tensor:
        """w [n, w_dim] of the panorama's anchors `index` (int64 [n]), which are all among the edit's."""

    def noise(self, seed: int, column: Tensor, grid: Grid) -> NoiseOrigin:
        """Which of the columns (int64 [n]) of the panorama of `seed` take which noise."""


def reach(edit: Edit, span: int) -> range:
    """The columns that an edit may change: from the anchor before its first to the one after its last."""
    return range((edit.first - 1) * span, (edit.first + edit.count) * span)


def _right_of(edit: Edit, column: Tensor, grid: Grid) -> Tensor:
    """Whether a column's left anchor is among the edit's: bool [n]."""
    return (column >= edit.first * grid.span) & (column < (edit.first + edit.count) * grid.span)


@dataclass(frozen=True)
class Stretch:
    """The anchors of `seed` that begin at `source`: its own ones, whatever is edited there.

    Columns take the noise with their left anchor. Another seed at the same place draws a stretch anew (`redrawn`), two
    stretches of the panorama's own seed change places (`swapped`). Raises ValueError for a count below 1.
    """

    first: int
    count: int
    seed: int
    source: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.count} anchors: at least one is needed")

    def w(self, sampling: Sampling, mapping: Mapping, index: Tensor) -> Tensor:
        """See `Edit`."""
        return sampling.w(mapping, self.seed, index + (self.source - self.first))

    def noise(self, seed: int, column: Tensor, grid: Grid) -> NoiseOrigin:
        """See `Edit`."""
        where = _right_of(self, column, grid)
        return NoiseOrigin(where, self.seed, Kind.NOISE, column[where] + (self.source - self.first) * grid.span)


def redrawn(first: int, count: int, seed: int) -> Stretch:
    """Anchors first ... first + count - 1, drawn anew: those of another seed at the same place."""
    return Stretch(first, count, seed, first)


def swapped(seed: int, first: int, other: int, count: int) -> tuple[Stretch, Stretch]:
    """`count` anchors from `first` on, and as many from `other` on, change places in the panorama of `seed`.

    Raises ValueError where the two overlap.
    """
    if abs(first - other) < count:
        raise ValueError(f"{count} anchors from {first} on overlap with those from {other} on")
    return Stretch(first, count, seed, other), Stretch(other, count, seed, first)


@dataclass(frozen=True)
class Frame:
    """The three anchors and the noise of an independent frame: number `number` of `samples` of a seed.

    It stands in the panorama as that call makes it, up to rounding; where the anchor distance is odd, only if `first`
    is even. How the panorama samples its anchors changes nothing in the frame's.
    """

    first: int
    seed: int
    number: int

    @property
    def count(self) -> int:
        """Of its anchors."""
        return FRAME_ANCHORS

    def column(self, grid: Grid) -> int:
        """The panorama's column at which the frame begins."""
        index = torch.tensor([self.number])
        return self.first * grid.span + int(counter_random.integers(self.seed, Kind.FRAME_SHIFT, index, grid.shifts))

    def w(self, sampling: Sampling, mapping: Mapping, index: Tensor) -> Tensor:
        """See `Edit`."""
        own = index + (FRAME_ANCHORS * self.number - self.first)
        w: Tensor = mapping(counter_random.normal(self.seed, Kind.FRAME_LATENT, 0, own, mapping.z_dim))
        return w

    def noise(self, seed: int, column: Tensor, grid: Grid) -> NoiseOrigin:
        """See `Edit`: where the frame stands, its own."""
        inside = column - self.column(grid)
        where = (inside >= 0) & (inside < grid.patches)
        return NoiseOrigin(where, self.seed, Kind.FRAME_NOISE, inside[where] + grid.patches * self.number)


@dataclass(frozen=True, eq=False)
class Given:
    """Latents from outside: w [count, w_dim], before truncation. The noise is the panorama's."""

    first: int
    latents: Tensor

    @property
    def count(self) -> int:
        """Of its anchors."""
        return len(self.latents)

    def w(self, sampling: Sampling, mapping: Mapping, index: Tensor) -> Tensor:
        """See `Edit`."""
        return self.latents.to(mapping.w_avg)[index - self.first]

    def noise(self, seed: int, column: Tensor, grid: Grid) -> NoiseOrigin:
        """See `Edit`."""
        where = _right_of(self, column, grid)
        return NoiseOrigin(where, seed, Kind.NOISE, column[where])


@dataclass(frozen=True)
class Anchors:
    """How a panorama's anchors are drawn, and which of them come from elsewhere."""

    sampling: Sampling = Free()
    edits: tuple[Edit, ...] = ()

    def w(self, mapping: Mapping, seed: int, index: Tensor) -> Tensor:
        """w [n, w_dim] of the anchors `index` (int64 [n], any sign) of a seed's panorama, before truncation."""
        w = self.sampling.w(mapping, seed, index)
        for edit in self.edits:
            where = (index >= edit.first) & (index < edit.first + edit.count)
            if where.any():
                w[where] = edit.w(self.sampling, mapping, index[where])
        return w

    def noise(self, draw: Draw, seed: int, column: Tensor, grid: Grid) -> list[Tensor]:
        """The noise of the columns (int64 [n]) of a seed's panorama: for each layer [n, 1, size, width]."""
        noise = draw(seed, Kind.NOISE, column)
        for edit in self.edits:
            origin = edit.noise(seed, column, grid)
            if origin.where.any():
                for one, other in zip(noise, draw(origin.seed, origin.kind, origin.column), strict=True):
                    one[origin.where] = other
        return noise


OWN = Anchors()  # the seed's own, each for itself
