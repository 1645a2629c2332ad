"""A panorama's pixels depend on seed and place alone, whoever asks for them and however."""

import itertools
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import alis, counter_random
from models.counter_random import Kind

FAR = 10**15  # columns


@cache
def _generator(patches: int = 16, normalisation: str = "demodulate", coordinates: bool = True) -> alis.Generator:
    torch.manual_seed(0)
    sizes = alis.Sizes(
        resolution=32,
        z_dim=16,
        w_dim=16,
        channel_base=256,
        channel_max=32,
        patches=patches,
        input_resolution=16 if patches == 16 else 4,
        normalisation=normalisation,  # type: ignore[arg-type]
        coordinates=coordinates,
    )
    generator = alis.Generator(sizes).eval()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)  # else the noise would not be seen
    return generator


def _close(ours: Tensor, theirs: Tensor) -> bool:
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm()) <= 1e-5 * float(theirs.norm())


@settings(max_examples=12, deadline=None)
@given(
    patches=st.sampled_from([2, 16]),
    normalisation=st.sampled_from(["demodulate", "patch"]),
    coordinates=st.booleans(),
    seed=st.integers(0, 2**64 - 1),
    start=st.one_of(st.integers(-100, 100), st.integers(-FAR, FAR)),
    count=st.integers(1, 40),
    data=st.data(),
)
@pytest.mark.slow
def test_pixels_are_equal_however_columns_are_batched_ordered_or_started(
    patches: int, normalisation: str, coordinates: bool, seed: int, start: int, count: int, data: st.DataObject
) -> None:
    generator = _generator(patches, normalisation, coordinates)
    width = generator.sizes.column_width
    whole = generator.columns(seed, start, count, batch=128)
    assert whole.shape == (3, 32, count * width)
    batch = data.draw(st.integers(1, count))
    assert _close(generator.columns(seed, start, count, batch=batch), whole)
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count), max_size=4))})
    pieces = list(itertools.pairwise(cuts))
    for first, last in data.draw(st.permutations(pieces)):
        piece = generator.columns(seed, start + first, last - first, batch=batch)
        assert _close(piece, whole[:, :, first * width : last * width])


@pytest.mark.parametrize("patches", [2, 16])
@pytest.mark.slow
def test_a_frame_that_is_trained_on_is_cut_from_the_panorama(patches: int) -> None:
    """Every left border among three anchors, the last one too."""
    generator = _generator(patches)
    sizes = generator.sizes
    first = -3  # anchor; also negative
    z = counter_random.normal(9, Kind.ANCHOR, 0, torch.arange(first, first + 3), sizes.z_dim)
    ws = generator.styles(z)
    start = first * sizes.span
    panorama = generator.columns(9, start, 4 * patches, noise=False)
    assert sizes.shifts == 3 * patches + 1
    for border in range(sizes.shifts):
        with torch.no_grad():
            frame = generator.frames(ws[None], torch.tensor([border]))[0]
        left = border * sizes.column_width
        assert _close(frame, panorama[:, :, left : left + sizes.resolution])


def test_what_stands_at_an_anchor_depends_on_that_anchor_almost_alone() -> None:
    """Half a pixel right of its anchor a column leaves the next one a weight of less than 1/64."""
    generator = _generator()
    ws = generator.styles(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))
    other = torch.stack([ws[0], -ws[1], ws[2]])
    with torch.no_grad():
        one, two = (generator.frames(w[None], torch.tensor([0]))[0] for w in (ws, other))
    change = (one - two).square().mean((0, 1)).sqrt()  # [pixels]
    assert float(change[0]) < 0.1 * float(change[-1])


@settings(max_examples=8, deadline=None)
@given(
    patches=st.sampled_from([2, 16]),
    normalisation=st.sampled_from(["demodulate", "patch"]),
    coordinates=st.booleans(),
    moved=st.integers(0, 4),
)
@pytest.mark.slow
def test_an_anchor_that_moves_changes_its_reach_and_nothing_else(
    patches: int, normalisation: str, coordinates: bool, moved: int
) -> None:
    """From the anchor before it to the one after it, every pixel between and not one beyond."""
    generator = _generator(patches, normalisation, coordinates)
    sizes, anchors = generator.sizes, 5
    ws = generator.styles(torch.randn(anchors, 16, generator=torch.Generator().manual_seed(2)))
    other = ws.clone()
    other[moved] *= -1
    column = torch.arange((anchors - 1) * sizes.span)
    places = alis.Places(column // sizes.span, column % sizes.span, column % (2 * patches))
    with torch.no_grad():
        one, two = (generator.synthesis(w, places) for w in (ws, other))  # [columns, 3, height, width]
    changed = (one != two).flatten(1).any(1)
    inside = (column >= (moved - 1) * sizes.span) & (column < (moved + 1) * sizes.span)
    assert torch.equal(changed, inside)


def test_without_coordinates_only_the_anchors_tell_columns_apart() -> None:
    generator = _generator(coordinates=False)
    mean = generator.columns(1, -5, 20, truncation=0.0, noise=False)
    columns = mean.view(3, 32, 20, -1)
    assert torch.equal(columns, columns[:, :, :1].expand_as(columns))


def test_seeds_make_different_panoramas_and_noise_is_seen() -> None:
    generator = _generator()
    one = generator.columns(1, 0, 16)
    assert not _close(generator.columns(2, 0, 16), one)
    assert not _close(generator.columns(1, 0, 16, noise=False), one)
    assert not _close(generator.columns(1, 16, 16), one)
    mean = generator.columns(1, 0, 16, truncation=0.0, noise=False)
    assert _close(generator.columns(2, 64, 16, truncation=0.0, noise=False), mean)  # only coordinates are left


def test_independent_frames_are_the_same_however_they_are_batched() -> None:
    generator = _generator()
    whole = generator.samples(4, 0, 7)
    assert whole.shape == (7, 3, 32, 32)
    for first, last in ((0, 1), (1, 4), (4, 7)):
        assert _close(generator.samples(4, first, last - first), whole[first:last])


def test_noise_is_tied_to_the_panorama_and_not_to_the_frame() -> None:
    generator = _generator()
    here = generator.noise(1, Kind.NOISE, torch.arange(-8, 8))
    there = generator.noise(1, Kind.NOISE, torch.arange(-7, 9))
    assert [n.shape[2] for n in here] == [16, 16, 16, 16, 16, 32, 32]
    for one, two in zip(here, there, strict=True):
        assert torch.equal(one[1:], two[:-1])


@pytest.mark.parametrize("coordinates", [True, False])
@pytest.mark.parametrize("normalisation", ["demodulate", "patch"])
def test_second_derivatives_reach_every_weight_but_the_noise(normalisation: str, coordinates: bool) -> None:
    """As path length regularisation needs them."""
    generator = _generator(16, normalisation, coordinates)
    generator.zero_grad()
    ws = generator.styles(torch.randn(6, 16)).reshape(2, 3, -1, 16)
    noise = generator.noise(0, Kind.FRAME_NOISE, torch.arange(32))
    images = generator.frames(ws, torch.tensor([0, 48]), noise)
    (gradient,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), ws, create_graph=True)
    (gradient.square().sum() + images.sum()).backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert float(parameter.grad.norm()) > 0, name


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="divide"):
        alis.Sizes(patches=16, input_resolution=4)
    with pytest.raises(ValueError, match="power of two"):
        alis.Generator(alis.Sizes(resolution=96, input_resolution=16))
    with pytest.raises(ValueError, match="at least one"):
        _generator().columns(0, 0, 0)
