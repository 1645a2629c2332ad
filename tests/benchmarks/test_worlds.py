"""A place of a panorama has the same bits in every picture of it."""

import itertools
import weakref

import pytest
import torch
from endless import small_alis, small_locogan
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmarks import measure, worlds
from benchmarks.equivariance import GAP, GREY, equivariance
from benchmarks.worlds import TILE, World
from manifests.errors import MisuseError
from models import stylegan2
from models.anchors import Anchors, Frame, redrawn

EDITED = Anchors(edits=(redrawn(1, 1, 9), Frame(4, 2, 3)))


def _world(model: str) -> World:
    return World(small_alis(), 7, 0.8, EDITED) if model == "alis" else World(small_locogan(), 7, 0.8)


@settings(max_examples=10, deadline=None)
@given(model=st.sampled_from(["alis", "locogan"]), start=st.integers(-40, 40), count=st.integers(1, 100))
@pytest.mark.slow
def test_blocks_that_begin_anywhere_are_cut_from_the_same_tiles(model: str, start: int, count: int) -> None:
    world = _world(model)
    width, many = world.column_width, TILE * world.frame_columns
    blocks = list(world.blocks(start, count))
    first, last = start // many, -(-(start + count) // many)
    assert len(blocks) == last - first
    whole = torch.cat([world.tile(number) for number in range(first, last)], 2)
    left = (start - first * many) * width
    assert torch.equal(torch.cat(blocks, 2), whole[:, :, left : left + count * width])


@pytest.mark.parametrize("model", ["alis", "locogan"])
def test_tiles_are_the_panorama(model: str) -> None:
    world = _world(model)
    many = TILE * world.frame_columns
    direct = measure.pixels(world.columns(-many, 2 * many))
    ours = torch.cat([world.tile(-1), world.tile(0)], 2)
    assert ours.dtype == torch.uint8
    assert int((ours.int() - direct.int()).abs().max()) <= 1


def test_what_a_model_has_not_is_told_with_the_models_that_have_it() -> None:
    single = stylegan2.Generator(stylegan2.Sizes(resolution=16, channel_base=128, channel_max=8))
    with pytest.raises(MisuseError, match="--frames"):
        worlds.endless(single)
    with pytest.raises(MisuseError, match="alis"):
        World(small_locogan(), 0, 1.0, EDITED)
    with pytest.raises(MisuseError, match="seed"):
        World(small_alis(), 2**64)


@pytest.mark.parametrize("model", ["alis", "locogan"])
def test_frames_of_shifted_anchors_agree_and_stand_where_they_belong(model: str) -> None:
    world = _world(model)
    found = equivariance(world, 3)
    assert found.shifts == (0, 8, 16, 24)
    assert found.largest < 0.01
    assert found.relative < 1e-5
    panorama = measure.pixels(world.columns(3, 2 * world.frame_columns)).int()
    rows = found.picture.int().split(32 + GAP, 1)
    for row, shift in zip(rows, found.shifts, strict=True):
        assert int((row[:, :32, shift : shift + 32] - panorama[:, :, shift : shift + 32]).abs().max()) <= 1
        assert bool((row[:, :, shift + 32 :] == GREY).all())
        assert bool((row[:, :, :shift] == GREY).all())


def test_a_network_that_knows_its_frame_is_told_by_the_number() -> None:
    """As the released ALIS is, whose noise belongs to the frame."""

    class Framed(World):
        def columns(self, start: int, count: int) -> Tensor:
            ramp = torch.linspace(0, 0.5, count * self.column_width)
            return super().columns(start, count) + ramp

    found = equivariance(Framed(small_alis(), 7), 3)
    expected = 127.5 * 0.5 * 24 / 31  # between frames that are 24 pixels apart
    assert found.largest == pytest.approx(expected, rel=1e-3)
    assert found.relative > 0.01


def test_tiles_are_made_one_at_a_time_and_forgotten() -> None:
    tiles: list[weakref.ref[Tensor]] = []

    class Watched(World):
        def tile(self, number: int) -> Tensor:
            tile = super().tile(number)
            tiles.append(weakref.ref(tile))
            return tile

    alive = []
    for block in itertools.islice(Watched(small_alis(), 1).blocks(5, 10**9), 4):
        alive.append(sum(tile() is not None for tile in tiles))
        del block
    assert len(tiles) == 4
    assert max(alive) <= 2
