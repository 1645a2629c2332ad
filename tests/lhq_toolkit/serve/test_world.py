"""What an address may ask for, and that a tile knows only what reaches it."""

from __future__ import annotations

import pytest

from lhq_toolkit.serve import world
from lhq_toolkit.serve.world import LIMIT, REDRAWN, Grid
from manifests.errors import InputError
from models.anchors import redrawn

GRID = Grid(height=64, column_width=16, columns=4, span=8)  # tiles of 64 pixels, anchors every 128
MOST = 2**64 - 1


def tile(index: object = 0, seed: object = 0, truncation: object = 1, edits: str = "", grid: Grid = GRID) -> world.Tile:
    return world.tile(grid, str(index), str(seed), str(truncation), edits)


def test_an_address_names_a_tile():
    found = tile(-3, MOST, "0.85", "-2.3.7")
    assert (found.index, found.world.seed, found.world.truncation) == (-3, MOST, 0.85)
    assert found.world.redrawn == (redrawn(-2, 3, 7),)


def test_tiles_reach_as_far_as_is_said_to_either_side():
    assert GRID.limit * GRID.width == LIMIT
    for index in (GRID.limit - 1, -GRID.limit):
        assert tile(index).index == index
    for index in (GRID.limit, -GRID.limit - 1, 2**63, 10**300):
        with pytest.raises(InputError, match=f"from -{GRID.limit} to {GRID.limit - 1}"):
            tile(index)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("index", one) for one in ("", "x", "1.5", "1e3", " 1", "+1", "0x10", "\u0661", "--1")],
        *[("seed", one) for one in ("", "-1", "x", 2**64, "1.0", "nan", "9" * 5000)],
        *[
            ("truncation", one)
            for one in ("", "NaN", "nan", "inf", "-0.1", "1.001", "2", "1e-3", "0.1234", ".5", "0,5")
        ],
        *[("edits", one) for one in (",", "1", "1.2", "1.2.3.4", "x.1.1", "1.0.1", "1.1025.1", "1.-1.1", "1.1.-1")],
        ("edits", f"1.1.{2**64}"),
        ("edits", f"{LIMIT}.1.1"),
        ("edits", ",".join(["1.1.1"] * (REDRAWN + 1))),
        ("edits", "1.1.1," * 100_000),
    ],
)
def test_what_no_address_may_hold_is_refused_in_a_sentence(name, value):
    with pytest.raises(InputError) as refused:
        tile(**{name: value})
    assert name in str(refused.value) or (name == "index" and "tile" in str(refused.value))
    assert len(str(refused.value)) < 200, "an answer is short, whatever was asked"


def test_a_model_without_anchors_takes_no_edits():
    grid = Grid(64, 16, 4, None)
    assert tile(grid=grid).world.redrawn == ()
    with pytest.raises(InputError, match="no anchors"):
        tile(edits="1.1.1", grid=grid)


def test_a_tile_is_another_only_where_a_stretch_reaches_it():
    plain = [tile(index) for index in range(-8, 24)]
    edited = [tile(index, edits="3.2.9") for index in range(-8, 24)]
    differ = [one.index for one, other in zip(plain, edited, strict=True) if one != other]
    assert differ == list(range(4, 10)), "anchors 2 to 5 stand at tiles 4 and 10"
    assert tile(6, edits="3.2.9,90.1.1") == tile(6, edits="3.2.9"), "one far away changes no tile"
    assert tile(6, edits="3.2.9,3.2.8") != tile(6, edits="3.2.8,3.2.9"), "the later wins"
