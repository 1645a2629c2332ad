"""From a recipe to its networks, and how a generator is fed while it trains.

Everything random about a fake is a function of (seed, what it is for, its number), so a training remembers no state
of any random generator and a sample is the same whichever process makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks import plugin_model
from benchmarks.plugin_model import PluginEndless, PluginGenerator
from benchmarks.recipes import Recipe
from manifests.errors import MisuseError
from models import alis, counter_random, gpt, locogan, stylegan2, taming, vqgan
from models.counter_random import Kind
from models.patch_discriminator import PatchDiscriminator

Placed = alis.Generator | locogan.Generator  # ours that make a panorama, column by column
Endless = Placed | PluginEndless
Styled = stylegan2.Generator | Placed  # those that a latent gives its style
Generator = Styled | taming.Generator | PluginGenerator

DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}


def build(recipe: Recipe) -> tuple[Styled, stylegan2.Discriminator]:
    """Generator and discriminator of a styled model with the initial weights of the recipe's seed, on the CPU.

    Weights are float32, of a recipe in float64 that; in a smaller number format only convolutions compute. Raises
    MisuseError for sizes that do not fit each other.
    """
    with torch.random.fork_rng(devices=[]):  # what else is random in this process stays as it was
        torch.manual_seed(recipe.seed)
        try:
            generator = _generator(recipe)
            discriminator = stylegan2.Discriminator(
                recipe.resolution, recipe.channel_base, recipe.channel_max, recipe.deviation_group
            )
        except (ValueError, RuntimeError) as error:
            raise _cannot_be_built(recipe, error) from error
    dtype = DTYPES[recipe.precision]
    if dtype.itemsize >= 4:
        return generator.to(dtype), discriminator.to(dtype)
    generator.synthesis.computing = discriminator.computing = dtype
    return generator, discriminator


def build_taming(recipe: Recipe) -> tuple[taming.Generator, PatchDiscriminator]:
    """VQGAN with transformer, and patch discriminator, as `build` does it; with bfloat16 weights are float32."""
    if recipe.hours:
        raise MisuseError("hours: taming may end before its transformer has learned; set images instead")
    if recipe.precision == "float16":
        raise MisuseError("precision is float16; taming trains in float32, bfloat16 or float64")
    dtype = torch.float64 if recipe.precision == "float64" else torch.float32
    multiples = tuple(int(one) for one in recipe.vqgan_multiples.split(","))
    side = recipe.resolution // 2 ** (len(multiples) - 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        try:
            coder = vqgan.VQGAN(
                vqgan.Sizes(
                    resolution=recipe.resolution,
                    channels=recipe.vqgan_channels,
                    multiples=multiples,
                    blocks=recipe.vqgan_blocks,
                    attention_at=(side,),
                    latent=recipe.vqgan_latent or recipe.code_width,
                    code_width=recipe.code_width,
                    codes=recipe.codes,
                    groups=recipe.vqgan_groups,
                )
            )
            transformer = gpt.GPT(
                gpt.Sizes(recipe.codes, recipe.gpt_places, recipe.gpt_layers, recipe.gpt_heads, recipe.gpt_width)
            )
            halvings = min(3, max(1, recipe.resolution.bit_length() - 5))  # patches smaller than the picture
            judge = PatchDiscriminator(recipe.patch_channels, halvings)
            return taming.Generator(coder, transformer).to(dtype), judge.to(dtype)
        except (ValueError, RuntimeError) as error:
            raise _cannot_be_built(recipe, error) from error


def _cannot_be_built(recipe: Recipe, error: Exception) -> MisuseError:
    why = "it needs more memory than there is" if "allocate" in str(error) else error
    return MisuseError(f"{recipe.model} cannot be built from its recipe: {why}")


def build_generator(recipe: Recipe) -> Generator:
    """The generator alone, of any model."""
    if recipe.plugged is not None:
        return plugin_model.build(recipe)
    return build_taming(recipe)[0] if recipe.model == "taming" else build(recipe)[0]


def check(recipe: Recipe) -> None:
    """MisuseError where the recipe's sizes do not fit each other. Takes no memory to speak of."""
    with torch.device("meta"):
        build_generator(recipe)


def _generator(recipe: Recipe) -> Styled:
    plain = stylegan2.Sizes(
        resolution=recipe.resolution,
        z_dim=recipe.z_dim,
        w_dim=recipe.w_dim,
        channel_base=recipe.channel_base,
        channel_max=recipe.channel_max,
        mapping_layers=recipe.mapping_layers,
        clamp=recipe.clamp,
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
            float16_styles_from=recipe.float16_styles_from,
        )
    )


@dataclass(frozen=True)
class Draw:
    """Some fakes: which numbers their randomness is taken from. `index`: int64 [batch], on the device."""

    seed: int
    index: Tensor


class Chance(NamedTuple):
    """Everything random about a batch of fakes, in the number format of the weights."""

    z: Tensor  # [2, batch * anchors, z_dim]: of the first styles, and of those that are mixed in
    switch: Tensor  # int64 [batch]: the layer from which on a fake has its second style
    noise: tuple[Tensor, ...]  # one per convolution
    shift: Tensor | None  # int64 [batch]: where the frames of endless ones stand
    spatial: Tensor | None  # LocoGAN's input


def chance(generator: Styled, draw: Draw, mixing: float) -> Chance:
    """The randomness of these fakes, of which the share `mixing` has a second style."""
    index, seed = draw.index, draw.seed
    anchors, dtype = _anchors(generator), generator.mapping.w_avg.dtype
    places = (anchors * index[:, None] + torch.arange(anchors, device=index.device)).flatten()
    dim = generator.sizes.z_dim
    z = [counter_random.normal(seed, Kind.TRAINING_LATENT, style, places, dim) for style in (0, 1)]
    shift, spatial = None, None
    if isinstance(generator, stylegan2.Generator):
        noise = generator.noise(seed, Kind.TRAINING_NOISE, index)
    else:
        shift = counter_random.integers(seed, Kind.TRAINING_SHIFT, index, generator.sizes.shifts)
        if isinstance(generator, locogan.Generator):
            spatial = generator.frame_spatial(seed, Kind.TRAINING_SPATIAL, index).to(dtype)
            noise = generator.frame_noise(seed, Kind.TRAINING_NOISE, index)
        else:
            patches = generator.sizes.patches
            columns = patches * index[:, None] + torch.arange(patches, device=index.device)
            noise = generator.noise(seed, Kind.TRAINING_NOISE, columns.flatten())
    switch = _second_from(draw, generator.synthesis.num_ws, mixing)
    return Chance(torch.stack(z).to(dtype), switch, tuple(one.to(dtype) for one in noise), shift, spatial)


def _anchors(generator: Styled) -> int:
    """Styles of a fake."""
    return alis.ANCHORS if isinstance(generator, alis.Generator) else 1


def _second_from(draw: Draw, layers: int, probability: float) -> Tensor:
    """int64 [batch]: the layer from which on a fake has its second style; `layers` where it has none."""
    happens, where = counter_random.uniform(draw.seed, Kind.TRAINING_MIXING, draw.index, 2).unbind(1)
    layer = 1 + (where * (layers - 1)).long()  # 1 ... layers - 1
    return torch.where(happens < probability, layer, layers)


def styles(generator: Styled, chance: Chance) -> Tensor:
    """ws of a batch of fakes: [batch, num_ws, w_dim], for ALIS [batch, 3, num_ws, w_dim].

    Style mixing (Karras et al. 2019, arXiv:1812.04948, section 3.1): a fake takes its later layers from a second
    latent. In ALIS all three anchors do, from the same layer on.
    """
    anchors = _anchors(generator)
    first, second = generator.styles(chance.z.flatten(0, 1)).chunk(2)
    layers = first.shape[1]
    switch = chance.switch.repeat_interleave(anchors)  # [batch * anchors]
    ws = torch.where((torch.arange(layers, device=switch.device) < switch[:, None])[:, :, None], first, second)
    return ws.view(-1, anchors, *ws.shape[1:]) if anchors > 1 else ws


def images(generator: Styled, ws: Tensor, chance: Chance) -> Tensor:
    """The fakes [batch, 3, resolution, resolution] of these styles, with noise; endless ones at random shifts."""
    if isinstance(generator, stylegan2.Generator):
        image: Tensor = generator.synthesis(ws, chance.noise)
        return image
    assert chance.shift is not None
    if isinstance(generator, locogan.Generator):
        assert chance.spatial is not None
        return generator.frames(ws, chance.shift, chance.spatial, chance.noise)
    return generator.frames(ws, chance.shift, chance.noise)


@torch.no_grad()
def placed(generator: Endless, seed: int, index: Tensor, start: Tensor) -> Tensor:
    """Independent frames [n, 3, resolution, resolution], each as it stands in a panorama of its own.

    index: int64 [n], which frames of the seed: their latents are those of `samples`. start: int64 [n], the columns
    where they begin, for ALIS in [0, shifts) from an anchor at an even frame.
    """
    if isinstance(generator, PluginEndless):
        return generator.placed(seed, index, start)
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
