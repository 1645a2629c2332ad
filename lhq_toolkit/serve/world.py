"""What a tile shows: which panorama, where, and what was drawn anew in it; read from an address and checked.

A tile is a fixed number of columns, made in one batch, so that its bytes are the same whenever it is made. It knows
only those changes that reach it: a tile beyond their reach is the tile that it was before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.networks import Endless
from manifests.errors import InputError
from models import alis, anchors
from models.anchors import Stretch

LIMIT = 2**48  # pixels that a viewer goes from the panorama's beginning, to either side: exact in JavaScript
NARROWEST = 64  # pixels of a tile
REDRAWN = 64  # stretches drawn anew
ANCHORS = 1024  # of such a stretch
WHOLE = re.compile(r"-?\d{1,20}", re.ASCII)
SHARE = re.compile(r"0(\.\d{1,3})?|1(\.0{1,3})?", re.ASCII)


@dataclass(frozen=True)
class Grid:
    """How the panorama of a generator is cut into tiles. `span`: columns between anchors; None where there are none."""

    height: int  # pixels, and as many in a frame's width
    column_width: int  # pixels
    columns: int  # of a tile
    span: int | None

    @property
    def width(self) -> int:
        """Of a tile, in pixels."""
        return self.columns * self.column_width

    @property
    def limit(self) -> int:
        """Tiles are numbered from -limit to limit - 1."""
        return LIMIT // self.width


def grid_of(generator: Endless) -> Grid:
    """A tile is a frame; more of them where frames are very small."""
    sizes = generator.sizes
    frames = max(1, NARROWEST // sizes.resolution)
    span = sizes.span if isinstance(sizes, alis.Sizes) else None
    return Grid(sizes.resolution, sizes.column_width, frames * sizes.frame_columns, span)


@dataclass(frozen=True)
class World:
    """A seed's panorama as it is drawn: its truncation, and the stretches that come from elsewhere."""

    seed: int
    truncation: float
    redrawn: tuple[Stretch, ...] = ()


@dataclass(frozen=True)
class Tile:
    """A place in a world, of which it holds only what reaches it: equal tiles have equal pixels."""

    index: int
    world: World


def tile(grid: Grid, index: str, seed: str, truncation: str, redrawn: str) -> Tile:
    """The tile that an address names. Raises InputError, with a sentence, for what no address may hold."""
    number = _whole("tile", index, -grid.limit, grid.limit - 1)
    world = World(_whole("seed", seed, 0, 2**64 - 1), _share(truncation), _redrawn(grid, redrawn))
    columns = range(number * grid.columns, (number + 1) * grid.columns)
    reaching = tuple(one for one in world.redrawn if _reaches(one, columns, grid))
    return Tile(number, World(world.seed, world.truncation, reaching))


def _reaches(stretch: Stretch, columns: range, grid: Grid) -> bool:
    assert grid.span is not None
    reach = anchors.reach(stretch, grid.span)
    return reach.start < columns.stop and columns.start < reach.stop


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise InputError(f"{name} {text[:40]!r}: it is a whole number from {least} to {most}")
    return int(text)


def _share(text: str) -> float:
    if not SHARE.fullmatch(text):
        raise InputError(f"truncation {text[:40]!r}: it is a number from 0 to 1, with at most three decimals")
    return float(text)


def _redrawn(grid: Grid, text: str) -> tuple[Stretch, ...]:
    """`first.count.seed`, separated by commas: anchors from `first` on are those of another seed."""
    if not text:
        return ()
    if grid.span is None:
        raise InputError("edits: this model has no anchors that could be drawn anew")
    every = text.split(",", REDRAWN)
    if len(every) > REDRAWN:
        raise InputError(f"edits: there are more than {REDRAWN}")
    return tuple(_stretch(one, LIMIT // (grid.span * grid.column_width) + 1) for one in every)


def _stretch(text: str, most: int) -> Stretch:
    parts = text.split(".", 3)
    if len(parts) != 3:
        raise InputError(f"edits {text[:40]!r}: each is first.count.seed")
    first = _whole("edits: anchor", parts[0], -most, most)
    count = _whole("edits: count", parts[1], 1, ANCHORS)
    return anchors.redrawn(first, count, _whole("edits: seed", parts[2], 0, 2**64 - 1))
