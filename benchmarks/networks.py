"""From a recipe to its networks, and how a generator is fed while it trains.

Everything random about a fake is a function of (seed, what it is for, its number), so a training remembers no state
of any random generator and a sample is the same whichever process makes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.recipes import Recipe
from manifests.errors import MisuseError
from models import alis, counter_random, locogan, stylegan2
from models.counter_random import Kind

Endless = alis.Generator | locogan.Generator  # those that make a panorama, column by column
Generator = stylegan2.Generator | Endless


def build(recipe: Recipe) -> tuple[Generator, stylegan2.Discriminator]:
    """Generator and discriminator with the initial weights of the recipe's seed, on the CPU.

    Raises MisuseError for sizes that do not fit each other.
    """
    with torch.random.fork_rng(devices=[]):  # what else is random in this process stays as it was
        torch.manual_seed(recipe.seed)
        try:
            generator = _generator(recipe)
            discriminator = stylegan2.Discriminator(
                recipe.resolution, recipe.channel_base, recipe.channel_max, recipe.deviation_group
            )
        except (ValueError, RuntimeError) as error:
            raise MisuseError(f"{recipe.model} cannot be built from its recipe: {error}") from error
    return generator, discriminator


def check(recipe: Recipe) -> None:
    """MisuseError where the recipe's sizes do not fit each other. Takes no memory to speak of."""
    with torch.device("meta"):
        build(recipe)


def _generator(recipe: Recipe) -> Generator:
    plain = stylegan2.Sizes(
        resolution=recipe.resolution,
        z_dim=recipe.z_dim,
        w_dim=recipe.w_dim,
        channel_base=recipe.channel_base,
        channel_max=recipe.channel_max,
        mapping_layers=recipe.mapping_layers,
    )
    if recipe.model == "stylegan2":
        return stylegan2.Generator(plain)
    if recipe.model == "locogan":
        return locogan.Generator(locogan.Sizes(**vars(plain)))
    return alis.Generator(
        alis.Sizes(
            **vars(plain),
            patches=recipe.patches,
            input_resolution=recipe.input_resolution,
            anchor_distance=recipe.anchor_distance,
            normalisation=recipe.normalisation,
            coordinates=recipe.model == "alis",
        )
    )


@dataclass(frozen=True)
class Draw:
    """A batch of fakes: which numbers their randomness is taken from. `index`: int64 [batch], on the device."""

    seed: int
    index: Tensor

    def latents(self, style: int, per_fake: int, dim: int) -> Tensor:
        """z [batch * per_fake, dim]; `style` 0 is the first, 1 the one that is mixed in."""
        places = per_fake * self.index[:, None] + torch.arange(per_fake, device=self.index.device)
        return counter_random.normal(self.seed, Kind.TRAINING_LATENT, style, places.flatten(), dim)

    def second_from(self, layers: int, probability: float) -> Tensor:
        """int64 [batch]: the layer from which on a fake has its second style; `layers` where it has none."""
        chance, where = counter_random.uniform(self.seed, Kind.TRAINING_MIXING, self.index, 2).unbind(1)
        layer = 1 + (where * (layers - 1)).long()  # 1 ... layers - 1
        return torch.where(chance < probability, layer, layers)


def styles(generator: Generator, draw: Draw, mixing: float) -> Tensor:
    """ws of a batch of fakes: [batch, num_ws, w_dim], for ALIS [batch, 3, num_ws, w_dim].

    Style mixing (Karras et al. 2019, arXiv:1812.04948, section 3.1): a fake takes its later layers from a second
    latent. In ALIS all three anchors do, from the same layer on.
    """
    anchors = alis.ANCHORS if isinstance(generator, alis.Generator) else 1
    first, second = (generator.styles(draw.latents(style, anchors, generator.sizes.z_dim)) for style in (0, 1))
    layers = first.shape[1]
    switch = draw.second_from(layers, mixing).repeat_interleave(anchors)  # [batch * anchors]
    ws = torch.where((torch.arange(layers, device=switch.device) < switch[:, None])[:, :, None], first, second)
    return ws.view(-1, anchors, *ws.shape[1:]) if anchors > 1 else ws


def images(generator: Generator, ws: Tensor, draw: Draw) -> Tensor:
    """The fakes [batch, 3, resolution, resolution] of these styles, with noise; endless ones at random shifts."""
    if isinstance(generator, stylegan2.Generator):
        image: Tensor = generator.synthesis(ws, generator.noise(draw.seed, Kind.TRAINING_NOISE, draw.index))
        return image
    if isinstance(generator, locogan.Generator):
        return generator.frames(
            ws,
            counter_random.integers(draw.seed, Kind.TRAINING_SHIFT, draw.index, generator.sizes.shifts),
            generator.frame_spatial(draw.seed, Kind.TRAINING_SPATIAL, draw.index),
            generator.frame_noise(draw.seed, Kind.TRAINING_NOISE, draw.index),
        )
    sizes = generator.sizes
    columns = sizes.patches * draw.index[:, None] + torch.arange(sizes.patches, device=draw.index.device)
    noise = generator.noise(draw.seed, Kind.TRAINING_NOISE, columns.flatten())
    border = counter_random.integers(draw.seed, Kind.TRAINING_SHIFT, draw.index, sizes.shifts)
    return generator.frames(ws, border, noise)


@torch.no_grad()
def placed(generator: Endless, seed: int, index: Tensor, start: Tensor) -> Tensor:
    """Independent frames [n, 3, resolution, resolution], each as it stands in a panorama of its own.

    index: int64 [n], which frames of the seed: their latents are those of `samples`. start: int64 [n], the columns
    where they begin, for ALIS in [0, shifts) from an anchor at an even frame.
    """
    z = generator.sizes.z_dim
    if isinstance(generator, locogan.Generator):
        ws = generator.styles(counter_random.normal(seed, Kind.FRAME_LATENT, 0, index, z))
        spatial = generator.frame_spatial(seed, Kind.FRAME_SPATIAL, index)
        return generator.frames(
            ws, start % generator.sizes.shifts, spatial, generator.frame_noise(seed, Kind.FRAME_NOISE, index)
        )
    patches = generator.sizes.patches
    anchors = alis.ANCHORS * index[:, None] + torch.arange(alis.ANCHORS, device=index.device)
    ws = generator.styles(counter_random.normal(seed, Kind.FRAME_LATENT, 0, anchors.flatten(), z))
    columns = patches * index[:, None] + torch.arange(patches, device=index.device)
    noise = generator.noise(seed, Kind.FRAME_NOISE, columns.flatten())
    return generator.frames(ws.view(len(index), alis.ANCHORS, *ws.shape[1:]), start, noise)


@torch.no_grad()
def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the running average of a network towards it; buffers are taken over."""
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)
