"""The losses against sums written out by hand."""

import math

import pytest
import torch

from benchmarks import losses


def test_the_losses_of_undecided_logits_are_log_two():
    none = torch.zeros(5, 1)
    assert float(losses.generator_loss(none)) == pytest.approx(math.log(2), rel=1e-6)
    assert float(losses.discriminator_loss(none, none)) == pytest.approx(2 * math.log(2), rel=1e-6)


def test_the_losses_fall_when_each_network_wins():
    sure = torch.full((4, 1), 3.0)
    assert losses.generator_loss(sure) < losses.generator_loss(-sure)
    assert losses.discriminator_loss(sure, -sure) < losses.discriminator_loss(-sure, sure)


def test_r1_is_the_mean_squared_gradient_of_a_known_function():
    images = torch.randn(3, 3, 4, 4, dtype=torch.float64)
    weight = torch.randn(3, 4, 4, dtype=torch.float64)

    def logits(x):
        return (x.square() * weight).sum((1, 2, 3))[:, None]  # gradient: 2 * image * weight

    expected = (2 * images * weight).square().sum((1, 2, 3)).mean()
    torch.testing.assert_close(losses.r1(logits, images), expected)
    torch.testing.assert_close(losses.r1(logits, images, scale=1024.0), expected)


def test_path_lengths_of_a_linear_map_are_those_of_its_transpose():
    ws = torch.randn(2, 3, 5, dtype=torch.float64)  # 3 layers
    weight = torch.randn(3, 5, 3 * 4 * 4, dtype=torch.float64)

    def images(ws):
        return torch.einsum("nlw,lwp->np", ws, weight).view(2, 3, 4, 4)

    directions = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    pulled = torch.einsum("lwp,np->nlw", weight, directions.flatten(1)) / 4  # sqrt(4 * 4)
    expected = pulled.square().sum(2).mean(1).sqrt()
    torch.testing.assert_close(losses.path_lengths(images, ws, directions), expected)
    torch.testing.assert_close(losses.path_lengths(images, ws, directions, scale=1024.0), expected)


def test_of_three_anchors_the_centre_counts():
    ws = torch.randn(2, 3, 4, 5)

    def images(ws):
        return (ws[:, 1].sum((1, 2)) + 100 * ws[:, 0].sum((1, 2)))[:, None, None, None].expand(2, 3, 8, 8)

    directions = torch.ones(2, 3, 8, 8)
    lengths = losses.path_lengths(images, ws, directions)
    torch.testing.assert_close(lengths, torch.full((2,), 3 * 64 / 8 * math.sqrt(5)))


def test_both_penalties_can_be_descended():
    weight = torch.randn(3, 4, 4, requires_grad=True)
    images = torch.randn(2, 3, 4, 4)
    losses.r1(lambda x: (x.square() * weight).sum((1, 2, 3)), images).backward()
    assert weight.grad is not None
    assert float(weight.grad.abs().sum()) > 0
