"""Patches are judged each on its own, and pictures too."""

import pytest
import torch

from models.counts import parameters
from models.patch_discriminator import PatchDiscriminator


@pytest.mark.parametrize(("halvings", "patch"), [(1, 16), (2, 34), (3, 70)])
def test_a_logit_sees_a_patch_of_the_published_size(halvings, patch):
    """Through the convolutions: normalisation sees more than a patch, and is left out here."""
    torch.manual_seed(0)
    network = PatchDiscriminator(8, halvings)
    network.layers = torch.nn.Sequential(*(one for one in network.layers if not isinstance(one, torch.nn.GroupNorm)))
    images = torch.rand(1, 3, 160, 160, requires_grad=True)
    logits = network(images)
    middle = logits.shape[2] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], images)
    seen = gradient[0].abs().sum(0).nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [patch, patch]


def test_what_is_said_of_a_picture_does_not_hang_on_those_beside_it():
    torch.manual_seed(0)
    network = PatchDiscriminator(8)
    images = torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-6)
    assert network(images).shape == (3, 1, 6, 6)


def test_it_has_the_published_parameters_and_a_bias_for_each_normalised_convolution():
    assert parameters(PatchDiscriminator()) == 2_765_633 + 128 + 256 + 512
