"""What the two networks are trained to lower: pure functions of their outputs.

Non-saturating loss: Goodfellow et al. 2014 (arXiv:1406.2661, section 3). R1: Mescheder et al. 2018
(arXiv:1801.04406, equation 9). Path lengths: Karras et al. 2020 (arXiv:1912.04958, section 3.2, equation 4).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def generator_loss(logits: Tensor) -> Tensor:
    """Scalar: how far the fakes are from being taken for real ones. logits [batch, 1] of fakes."""
    return functional.softplus(-logits).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Scalar, from the logits [batch, 1] of real pictures and of fakes."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def r1(discriminator: Callable[[Tensor], Tensor], images: Tensor, scale: float = 1.0) -> Tensor:
    """Scalar: mean squared length of the logit's gradient with respect to real images [batch, 3, h, w].

    The gradient is computed `scale` times as large: small ones vanish in float16.
    """
    gradient = torch.func.grad(lambda x: discriminator(x).sum() * scale)(images)
    penalty: Tensor = (gradient / scale).square().sum((1, 2, 3)).mean()
    return penalty


def path_lengths(images: Callable[[Tensor], Tensor], ws: Tensor, directions: Tensor, scale: float = 1.0) -> Tensor:
    """[batch]: how much images [batch, 3, h, w] change with their styles, along random images `directions`.

    ws: the styles they are made from, [batch, num_ws, w_dim]; of ALIS [batch, 3, num_ws, w_dim], where the centre
    anchor counts, as in its published training. Squared lengths are averaged over the layers. `scale`: as in `r1`.
    """
    size = directions.shape[2] * directions.shape[3]
    gradient = torch.func.grad(lambda w: (images(w) * directions).sum() * (scale / size**0.5))(ws) / scale
    if gradient.ndim == 4:
        gradient = gradient[:, 1]
    lengths: Tensor = gradient.square().sum(2).mean(1).sqrt()
    return lengths


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """Scalar, from logits of any shape: those of real pictures are pushed above 1, of fakes below -1.

    The discriminator's loss of Esser et al. 2021 (arXiv:2012.09841).
    """
    return (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()) / 2
