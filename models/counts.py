"""How many parameters each network has, counted on the built modules without any memory for them."""

from __future__ import annotations

from typing import NotRequired, TypedDict

import torch
from torch import nn

from models import alis, gpt, locogan, stylegan2, vqgan


def parameters(network: nn.Module) -> int:
    """Learned numbers; constant noise and running means are not counted."""
    return sum(parameter.numel() for parameter in network.parameters())


class Counts(TypedDict):
    """Parameters of a model; `parts` where its generator is made of several networks."""

    generator: int
    discriminator: int
    total: int
    parts: NotRequired[dict[str, int]]


def counts(resolution: int = 256) -> dict[str, Counts]:
    """`{id: {"generator", "discriminator", "total"}}` of the networks at their default sizes.

    Of `taming` the paper counts what generates, VQGAN and transformer, and no discriminator. Raises ValueError for a
    resolution that a network does not have.
    """
    with torch.device("meta"):
        generators: dict[str, nn.Module] = {
            "stylegan2": stylegan2.Generator(stylegan2.Sizes(resolution)),
            "alis": alis.Generator(alis.Sizes(resolution)),
            "alis-nocoords": alis.Generator(alis.Sizes(resolution, coordinates=False)),
            "locogan": locogan.Generator(locogan.Sizes(resolution)),
        }
        discriminator = parameters(stylegan2.Discriminator(resolution))
        coarsest = resolution // vqgan.Sizes().factor
        parts = {
            "vqgan": parameters(vqgan.VQGAN(vqgan.Sizes(resolution, attention_at=(coarsest,)))),
            "gpt": parameters(gpt.GPT(gpt.Sizes())),
        }
    whole = sum(parts.values())
    found: dict[str, Counts] = {
        model: {
            "generator": parameters(generator),
            "discriminator": discriminator,
            "total": parameters(generator) + discriminator,
        }
        for model, generator in generators.items()
    }
    return found | {"taming": {"generator": whole, "discriminator": 0, "total": whole, "parts": parts}}
