"""LocoGAN's panorama: the same pixels from whichever stretch, and a margin that is exactly as wide as it must be."""

import itertools
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import locogan
from models.counter_random import Kind

FAR = 10**15  # columns


@cache
def _generator(resolution: int = 32) -> locogan.Generator:
    torch.manual_seed(0)
    sizes = locogan.Sizes(resolution=resolution, z_dim=16, w_dim=16, channel_base=256, channel_max=32)
    generator = locogan.Generator(sizes).eval()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)  # else the noise would not be seen
    return generator


def _close(ours: Tensor, theirs: Tensor) -> bool:
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm()) <= 1e-5 * float(theirs.norm())


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    start=st.one_of(st.integers(-100, 100), st.integers(-FAR, FAR)),
    count=st.integers(1, 30),
    data=st.data(),
)
@pytest.mark.slow
def test_pixels_are_equal_however_columns_are_batched_ordered_or_started(
    seed: int, start: int, count: int, data: st.DataObject
) -> None:
    generator = _generator()
    width = generator.sizes.column_width
    whole = generator.columns(seed, start, count, batch=128)
    assert whole.shape == (3, 32, count * width)
    batch = data.draw(st.integers(1, count))
    assert _close(generator.columns(seed, start, count, batch=batch), whole)
    cuts = sorted({0, count, *data.draw(st.lists(st.integers(0, count), max_size=4))})
    for first, last in data.draw(st.permutations(list(itertools.pairwise(cuts)))):
        piece = generator.columns(seed, start + first, last - first, batch=batch)
        assert _close(piece, whole[:, :, first * width : last * width])


@settings(max_examples=8, deadline=None)
@given(resolution=st.sampled_from([8, 32, 64]), columns=st.integers(1, 9), shift=st.integers(-20, 20))
@pytest.mark.slow
def test_the_margin_is_exact(resolution: int, columns: int, shift: int) -> None:
    """Every cell of the input reaches the pixels; cells beyond, as a wider stretch has them, change nothing."""
    generator = _generator(resolution)
    ws = generator.styles(torch.randn(1, 16, generator=torch.Generator().manual_seed(3)))
    extent = locogan.Extents(resolution, columns).input
    wide = locogan.Extents(resolution, columns + 2).input
    more = torch.randn(1, generator.synthesis.inputs, 4, wide.width, generator=torch.Generator().manual_seed(4))
    spatial = more[..., 1:-1].clone().requires_grad_()
    assert spatial.shape[3] == extent.width
    pixels = generator.synthesis(ws, spatial, torch.tensor([shift]), columns)
    (gradient,) = torch.autograd.grad((pixels * torch.randn_like(pixels)).sum(), spatial)
    assert bool((gradient.abs().sum((0, 1, 2)) > 0).all())
    width = generator.sizes.column_width
    wider = generator.synthesis(ws, more, torch.tensor([shift - 1]), columns + 2)
    assert _close(wider.detach()[..., width:-width], pixels.detach())


def test_a_frame_is_cut_from_a_panorama_with_its_style_and_input() -> None:
    """At each place among the coordinates; they repeat after two frames."""
    generator = _generator()
    panorama = generator.columns(9, -3, 16, noise=False)
    zero = torch.zeros(1, dtype=torch.int64)
    z = locogan.counter_random.normal(9, Kind.PANORAMA_LATENT, 0, zero, 16)
    width = generator.sizes.column_width
    for start in range(-3, 9):
        spatial = generator._panorama_input(9, start, locogan.CELLS)
        with torch.no_grad():
            frame = generator.frames(generator.styles(z), zero + start % locogan.PERIOD, spatial)[0]
        left = (start + 3) * width
        assert _close(frame, panorama[:, :, left : left + generator.sizes.resolution])


def test_coordinates_run_to_and_fro_without_a_jump() -> None:
    generator = _generator()
    fourier = generator.synthesis.blocks[3].fourier
    w = torch.randn(1, 16, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        features = fourier(w, torch.tensor([0]), 64)[0]  # [channels, 16, 4 frames]
    assert torch.allclose(features[..., :32], features[..., 32:], atol=1e-4)  # two frames on
    assert torch.allclose(features[..., :16], features[..., 16:32].flip(2), atol=1e-4)  # and back
    assert not torch.allclose(features[..., :16], features[..., 16:32], atol=0.1)


def test_seeds_styles_inputs_and_noise_are_seen() -> None:
    generator = _generator()
    one = generator.columns(1, 0, 8)
    assert not _close(generator.columns(2, 0, 8), one)
    assert not _close(generator.columns(1, 0, 8, noise=False), one)
    assert not _close(generator.columns(1, 8, 8), one)  # same coordinates, another input
    assert not _close(generator.columns(1, 0, 8, truncation=0.5), one)


def test_independent_frames_are_the_same_however_they_are_batched() -> None:
    generator = _generator()
    whole = generator.samples(4, 0, 7)
    assert whole.shape == (7, 3, 32, 32)
    for first, last in ((0, 1), (1, 4), (4, 7)):
        assert _close(generator.samples(4, first, last - first), whole[first:last])
    inputs = generator.frame_spatial(4, Kind.FRAME_SPATIAL, torch.arange(7))
    assert len(torch.unique(inputs)) == inputs.numel()  # no two frames share a cell


def test_second_derivatives_reach_every_weight_but_the_noise() -> None:
    """As path length regularisation needs them."""
    generator = _generator()
    generator.zero_grad()
    ws = generator.styles(torch.randn(2, 16))
    index = torch.arange(2)
    noise = generator.frame_noise(0, Kind.FRAME_NOISE, index)
    images = generator.frames(ws, torch.tensor([0, 5]), generator.frame_spatial(0, Kind.FRAME_SPATIAL, index), noise)
    (gradient,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), ws, create_graph=True)
    (gradient.square().sum() + images.sum()).backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert float(parameter.grad.norm()) > 0, name


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        locogan.Generator(locogan.Sizes(resolution=96))
    with pytest.raises(ValueError, match="at least one"):
        _generator().columns(0, 0, 0)
    with pytest.raises(ValueError, match="64 bits"):
        _generator().columns(2**64, 0, 1)
