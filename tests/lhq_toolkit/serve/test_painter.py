"""Tiles side by side are the panorama; what is drawn anew changes what it reaches, and nothing else, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from viewing import SPAN, TILE, apart, columns, decoded

from benchmarks import networks
from lhq_toolkit.serve import world
from lhq_toolkit.serve.painter import Painter
from models.anchors import Anchors, redrawn


@pytest.fixture(scope="module", params=["alis", "locogan"])
def generator(request):
    return built(request.param)


def built(model):
    """A network whose noise has some strength, so that it is seen."""
    made, _ = networks.build(tiny.recipe(model, patches=4, input_resolution=4))
    made.eval().requires_grad_(False)
    for name, value in made.named_parameters():
        if name.endswith("noise_strength"):
            value.fill_(0.3)
    return made


def draw(painter, index, **said):
    given = {"seed": "5", "truncation": "1", "edits": "", **said}
    return painter.png(world.tile(painter.grid, str(index), *(given[name] for name in ("seed", "truncation", "edits"))))


@pytest.mark.parametrize("first", [0, -2, 2**48 // TILE - 3, -(2**48) // TILE])
def test_tiles_side_by_side_are_the_panorama_without_a_seam(generator, first):
    painter = Painter(generator)
    strip = np.concatenate([decoded(draw(painter, first + at)) for at in range(3)], 1)
    assert strip.shape == (16, 3 * TILE, 3)
    assert strip.std() > 10
    assert apart(strip, columns(generator, first * TILE, 3 * TILE, seed=5)) <= 1


def test_truncation_is_the_generators(generator):
    tile = decoded(draw(Painter(generator), 1, truncation="0.25"))
    assert apart(tile, columns(generator, TILE, TILE, seed=5, truncation=0.25)) <= 1
    assert apart(tile, columns(generator, TILE, TILE, seed=5)) > 10


def test_a_tile_has_the_same_bytes_whenever_it_is_drawn(generator):
    one, other = Painter(generator), Painter(generator)
    order = [draw(one, index) for index in range(-1, 3)]
    assert [draw(other, index) for index in (2, 1, 0, -1)] == order[::-1]


def test_a_stretch_drawn_anew_is_another_seeds_and_beyond_its_reach_every_bit_stays():
    generator = built("alis")
    painter = Painter(generator)
    edits = {"edits": "3.2.77"}
    before, after = (np.concatenate([decoded(draw(painter, at, **said)) for at in range(5)], 1) for said in ({}, edits))
    differ = np.flatnonzero((before != after).any((0, 2)))
    assert (differ.min(), differ.max()) == (2 * SPAN, 5 * SPAN - 1), "from the anchor before to the one after"
    assert len(differ) > 2.5 * SPAN
    anchors = Anchors(edits=(redrawn(3, 2, 77),))
    assert apart(after, columns(generator, 0, 5 * TILE, seed=5, anchors=anchors)) <= 1
    between = slice(3 * SPAN, 4 * SPAN)
    assert apart(after[:, between], columns(generator, 3 * SPAN, SPAN, seed=77)) <= 1


def test_a_full_gpu_is_told_as_such(monkeypatch):
    from manifests.errors import SetupError

    generator = built("alis")
    painter = Painter(generator)

    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(painter._generator, "columns", full)
    with pytest.raises(SetupError, match="memory is full"):
        draw(painter, 0)
