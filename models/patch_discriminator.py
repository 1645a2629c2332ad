"""A discriminator that judges overlapping patches of a picture, each on its own.

Isola et al. 2017 (arXiv:1611.07004, section 3.2 and appendix 6.1.2). Groups are normalised instead of batches, so
that what is said of a picture does not hang on those beside it, and a batch may be cut.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

SLOPE = 0.2
SPREAD = 0.02  # standard deviation of initial weights
MOST = 8  # times the first layer's channels
GROUPS = 8


class PatchDiscriminator(nn.Module):
    """Images [batch, 3, height, width] to logits [batch, 1, rows, columns] of patches; high means real."""

    def __init__(self, channels: int = 64, halvings: int = 3) -> None:
        """`channels`: of the first layer, a multiple of 8. Each halving doubles what a patch covers."""
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
        before = channels
        for at in range(1, halvings + 1):
            after = channels * min(2**at, MOST)
            stride = 2 if at < halvings else 1
            layers += [nn.Conv2d(before, after, 4, stride=stride, padding=1), nn.GroupNorm(GROUPS, after)]
            layers.append(nn.LeakyReLU(SLOPE))
            before = after
        layers.append(nn.Conv2d(before, 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.normal_(layer.weight, std=SPREAD)
                nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.layers(images))
