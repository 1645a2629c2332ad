"""What the two networks are trained to lower: pure functions of their outputs.

Non-saturating loss: Goodfellow et al. 2014 (arXiv:1406.2661, section 3). R1: Mescheder et al. 2018
(arXiv:1801.04406, equation 9). Path lengths: Karras et al. 2020 (arXiv:1912.04958, section 3.2, equation 4).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def generator_loss(logits: Tensor) -> Tensor:
    """Scalar: how far the fakes are from being taken for real ones. logits [batch, 1] of fakes."""
    return functional.softplus(-logits).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Scalar, from the logits [batch, 1] of real pictures and of fakes."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def r1(logits: Tensor, images: Tensor) -> Tensor:
    """Scalar: mean squared length of the logit's gradient with respect to real images [batch, 3, h, w]."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_lengths(images: Tensor, ws: Tensor, directions: Tensor) -> Tensor:
    """[batch]: how much images [batch, 3, h, w] change with their styles, along random images `directions`.

    ws: the styles they were made from, [batch, num_ws, w_dim]; of ALIS [batch, 3, num_ws, w_dim], where the centre
    anchor counts, as in its published training. Squared lengths are averaged over the layers.
    """
    height, width = images.shape[2:]
    along = (images * directions / (height * width) ** 0.5).sum()
    (gradient,) = torch.autograd.grad(along, ws, create_graph=True)
    if gradient.ndim == 4:
        gradient = gradient[:, 1]
    return gradient.square().sum(2).mean(1).sqrt()
