"""StyleGAN2's own promises: equation 3 without weights per sample, derivatives, batches, imports."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models import allocator, layers, stylegan2
from models.counter_random import Kind
from models.stylegan2 import Discriminator, Generator, Sizes

SMALL = Sizes(resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=32)


def _generator() -> Generator:
    torch.manual_seed(0)
    return Generator(SMALL).eval()


def test_scaled_activations_equal_demodulated_weights() -> None:
    """Equations 1 and 3 literally: a weight for each sample, divided by its norm."""
    torch.manual_seed(0)
    layer = layers.StyledConv(6, 5, 4)
    layer.bias.data.normal_()
    x, w = torch.randn(3, 6, 8, 8), torch.randn(3, 4)
    ours = stylegan2.styled(layer, x, w, None)
    for sample in range(3):
        weight = layer.weight * layer.affine(w)[sample][None, :, None, None]
        weight = weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt()
        plain = functional.conv2d(x[sample : sample + 1], weight, layer.bias, padding=1)
        torch.testing.assert_close(ours[sample], functional.leaky_relu(plain, 0.2)[0] * 2**0.5, rtol=1e-5, atol=1e-5)


def test_a_strip_of_one_pixel_is_convolved_as_any_other() -> None:
    x, weight = torch.randn(2, 4, 16, 1), torch.randn(3, 4, 3, 3)
    torch.testing.assert_close(layers.convolve(x, weight), functional.conv2d(x, weight, padding=1))


@pytest.mark.parametrize("resample", [layers.double, layers.halve, lambda x: layers.smooth(x, 2)])
def test_resampling_has_right_first_and_second_derivatives(resample: Callable[[Tensor], Tensor]) -> None:
    x = torch.randn(1, 2, 4, 6, dtype=torch.float64, requires_grad=True)

    def squared(x: Tensor) -> Tensor:  # linear alone has no second derivative
        y = resample(x)
        return y * y

    assert torch.autograd.gradcheck(squared, x)
    assert torch.autograd.gradgradcheck(squared, x)


def test_resampling_keeps_a_flat_picture_flat() -> None:
    flat = torch.ones(1, 2, 16, 16)
    for resample in (layers.double, layers.halve):
        inner = resample(flat)[:, :, 2:-2, 2:-2]
        torch.testing.assert_close(inner, torch.ones_like(inner))


@pytest.mark.parametrize("resolution", [32, 64, 128])
def test_images_and_logits_have_their_shapes_at_each_resolution(resolution: int) -> None:
    sizes = Sizes(resolution=resolution, z_dim=16, w_dim=16, channel_base=256, channel_max=16)
    images = Generator(sizes)(torch.randn(2, 16))
    assert images.shape == (2, 3, resolution, resolution)
    assert Discriminator(resolution, 256, 16)(images).shape == (2, 1)


def test_images_are_the_same_however_they_are_batched() -> None:
    generator = _generator()
    whole = generator.samples(5, -2, 6)
    for first, count in ((-2, 1), (-1, 2), (1, 3)):
        torch.testing.assert_close(
            generator.samples(5, first, count), whole[first + 2 : first + 2 + count], rtol=1e-5, atol=1e-5
        )


def test_r1_reaches_every_weight_of_the_discriminator() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(32, 256, 32)
    images = torch.randn(8, 3, 32, 32, requires_grad=True)
    logits = discriminator(images)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    (gradient.square().sum() + logits.sum()).backward()
    for name, parameter in discriminator.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad.norm()) > 0, name


def test_path_length_reaches_every_weight_of_the_generator() -> None:
    generator = _generator()
    ws = generator.styles(torch.randn(2, 16))
    images = generator.synthesis(ws, generator.noise(0, Kind.IMAGE_NOISE, torch.arange(2)))
    (gradient,) = torch.autograd.grad((images * torch.randn_like(images)).sum(), ws, create_graph=True)
    (gradient.square().sum() + images.sum()).backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name


def test_a_batch_that_is_no_multiple_of_the_group_is_refused_and_a_small_one_is_not() -> None:
    discriminator = Discriminator(32, 256, 32)
    assert discriminator(torch.randn(3, 3, 32, 32)).shape == (3, 1)
    with pytest.raises(ValueError, match="multiple of 4"):
        discriminator(torch.randn(6, 3, 32, 32))


def test_a_resolution_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Discriminator(48)


@pytest.mark.slow
def test_models_import_where_ray_cleanfid_and_flickrapi_are_absent() -> None:
    code = (
        "import sys\n"
        "for name in ('ray', 'cleanfid', 'flickrapi', 'PIL', 'pyarrow', 'pandas'): sys.modules[name] = None\n"
        "import models.allocator, models.alis, models.counter_random, models.counts, models.published\n"
        "ours = {'manifests', 'pipelines', 'benchmarks', 'lhq_toolkit'}\n"
        "assert not ours & {name.partition('.')[0] for name in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_allocator_can_be_settled_more_than_once() -> None:
    first = allocator.keep_memory()
    assert allocator.keep_memory() == first
    assert float(torch.ones(2**22).sum()) == 2**22
