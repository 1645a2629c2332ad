"""How many parameters each network has, counted on the built modules without any memory for them."""

from __future__ import annotations

import torch
from torch import nn

from models import alis, locogan, stylegan2


def parameters(network: nn.Module) -> int:
    """Learned numbers; constant noise and running means are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())


def counts(resolution: int = 256) -> dict[str, dict[str, int]]:
    """`{id: {"generator", "discriminator", "total"}}` of the networks at their default sizes.

    Raises ValueError for a resolution that a network does not have.
    """
    with torch.device("meta"):
        generators: dict[str, nn.Module] = {
            "stylegan2": stylegan2.Generator(stylegan2.Sizes(resolution)),
            "alis": alis.Generator(alis.Sizes(resolution)),
            "alis-nocoords": alis.Generator(alis.Sizes(resolution, coordinates=False)),
            "locogan": locogan.Generator(locogan.Sizes(resolution)),
        }
        discriminator = parameters(stylegan2.Discriminator(resolution))
    return {
        model: {
            "generator": parameters(generator),
            "discriminator": discriminator,
            "total": parameters(generator) + discriminator,
        }
        for model, generator in generators.items()
    }
