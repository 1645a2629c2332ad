"""What is edited in a panorama changes as far as the next anchors, and not one bit beyond."""

import pytest
import torch
from endless import small_alis
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import alis
from models.anchor_sampling import Nearest, clustered
from models.anchors import OWN, Anchors, Edit, Frame, Given, Stretch, reach, redrawn, swapped

SEED = 5
BATCH = 16  # columns
SPANS = 9


def _columns(generator: alis.Generator, anchors: Anchors, first: int = -1, count: int = SPANS) -> Tensor:
    """From anchor `first` on: [columns, 3, height, width]."""
    sizes = generator.sizes
    strip = generator.columns(SEED, first * sizes.span, count * sizes.span, batch=BATCH, anchors=anchors)
    return strip.unflatten(2, (-1, sizes.column_width)).permute(2, 0, 1, 3)


def _edits(data: st.DataObject, generator: alis.Generator) -> tuple[Edit, ...]:
    first = data.draw(st.integers(0, 4))
    count = data.draw(st.integers(1, 3))
    kind = data.draw(st.sampled_from(["redrawn", "swapped", "frame", "given", "far"]))
    if kind == "redrawn":
        return (redrawn(first, count, data.draw(st.integers(0, 2**64 - 1).filter(lambda seed: seed != SEED))),)
    if kind == "swapped":
        return swapped(SEED, first, first + count + data.draw(st.integers(0, 2)), count)
    if kind == "frame":
        return (Frame(first, data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))),)
    if kind == "given":
        return (Given(first, torch.randn(count, 16, generator=torch.Generator().manual_seed(first))),)
    return (Stretch(first, count, SEED, data.draw(st.integers(-(10**12), -100))),)


@settings(max_examples=6, deadline=None)
@given(patches=st.sampled_from([4, 16]), distance=st.sampled_from([1, 2]), data=st.data())
@pytest.mark.slow
def test_an_edit_changes_every_column_in_reach_and_no_bit_beyond(
    patches: int, distance: int, data: st.DataObject
) -> None:
    generator = small_alis(patches, distance)
    sampling = data.draw(st.sampled_from([OWN.sampling, Nearest(3)]))
    edits = _edits(data, generator)
    before, after = (_columns(generator, Anchors(sampling, some)) for some in ((), edits))
    changed = (before != after).flatten(1).any(1)
    column = -generator.sizes.span + torch.arange(len(changed))
    inside = torch.zeros_like(changed)
    for edit in edits:
        columns = reach(edit, generator.sizes.span)
        inside |= (column >= columns.start) & (column < columns.stop)
    assert torch.equal(changed, inside)


@pytest.mark.parametrize("patches", [4, 16])
def test_a_stretch_that_was_moved_looks_as_it_did_in_its_old_place(patches: int) -> None:
    generator = small_alis(patches)
    span = generator.sizes.span
    before, after = (_columns(generator, Anchors(edits=edits)) for edits in ((), swapped(SEED, 1, 5, 2)))
    for here, there in ((1, 5), (5, 1)):
        new, old = after[(here + 1) * span : (here + 2) * span], before[(there + 1) * span : (there + 2) * span]
        assert float((new - old).norm()) <= 1e-5 * float(old.norm())


@pytest.mark.parametrize(("distance", "first"), [(2, 1), (2, 2), (1, 2)])
def test_a_frame_stands_in_the_panorama_as_it_is_drawn_alone(distance: int, first: int) -> None:
    generator = small_alis(16, distance)
    sizes = generator.sizes
    for number in range(4):
        frame = Frame(first, 11, number)
        strip = generator.columns(SEED, frame.column(sizes), sizes.patches, anchors=Anchors(edits=(frame,)))
        alone = generator.samples(11, number, 1)[0]
        assert float((strip - alone).norm()) <= 1e-5 * float(alone.norm())


def test_at_a_given_latent_stands_what_it_makes() -> None:
    """At an anchor the next one has hardly any weight."""
    generator = small_alis(16)
    w = torch.randn(1, 16, generator=torch.Generator().manual_seed(3))
    given_ = Given(2, w)
    at = 2 * generator.sizes.span
    ws = w[:, None].expand(2, generator.synthesis.num_ws, -1)
    column = torch.tensor([at])
    places = alis.Places(torch.tensor([0]), column * 0, column % 32)
    alone = generator.synthesis(ws, places, generator.noise(SEED, 2, column))[0]
    ours = generator.columns(SEED, at, 1, anchors=Anchors(edits=(given_,)))
    own = generator.columns(SEED, at, 1)
    assert float((ours - alone).norm()) < 0.2 * float((own - alone).norm())


def test_the_later_edit_wins_and_a_stretch_put_back_is_as_before() -> None:
    generator = small_alis(4)
    other = redrawn(2, 2, 77)
    own = _columns(generator, OWN)
    assert not torch.equal(_columns(generator, Anchors(edits=(other,))), own)
    for back in (redrawn(1, 4, SEED), Stretch(2, 2, SEED, 2)):
        assert torch.allclose(_columns(generator, Anchors(edits=(other, back))), own, atol=1e-5)
    one, two = (Anchors(edits=edits) for edits in ((other, redrawn(3, 1, 8)), (redrawn(2, 1, 77), redrawn(3, 1, 8))))
    assert torch.allclose(_columns(generator, one), _columns(generator, two), atol=1e-5)


@settings(max_examples=5, deadline=None)
@given(
    sampling=st.sampled_from(["free", "nearest", "clustered"]),
    start=st.integers(-40, 200),
    count=st.integers(1, 40),
    batch=st.integers(1, 40),
)
@pytest.mark.slow
def test_an_edited_panorama_has_random_access(sampling: str, start: int, count: int, batch: int) -> None:
    generator = small_alis(4)
    ways = {"free": OWN.sampling, "nearest": Nearest(4), "clustered": clustered(generator.mapping, 3, SEED)}
    latents = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    edits = (redrawn(1, 2, 9), *swapped(SEED, 4, 7, 2), Frame(10, 1, 2), Given(14, latents))
    anchors = Anchors(ways[sampling], edits)
    whole = generator.columns(SEED, -40, 280, batch=280, anchors=anchors)
    part = generator.columns(SEED, start, count, batch=batch, anchors=anchors)
    width = generator.sizes.column_width
    left = (start + 40) * width
    expected = whole[:, :, left : left + count * width]
    assert float((part - expected).norm()) <= 1e-5 * float(expected.norm())


def test_edits_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        redrawn(3, 0, 1)
    with pytest.raises(ValueError, match="overlap"):
        swapped(SEED, 3, 4, 2)
