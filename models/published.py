"""Networks built from weights under their published parameter names, so that ours can be held to others' numbers.

`load` and `run` take a model's id, the sizes as they stand beside the published numbers (`resolution`, `z_dim`,
`w_dim`, `channel_base`, `channel_max`, `mapping_layers`, `grid_size`, `input_resolution`, `w_coord_dist`,
`mbstd_group_size`; and, where a network has them, `clamp` and `float16_styles_from`) and tensors whose names begin
with `G.` (generator) or `D.` (discriminator). What comes out is computed by this project's own code. The id `taming`
is answered by `models/published_taming.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from models import alis, published_taming, stylegan2
from models.gpt import GPT
from models.vqgan import VQGAN

Tensors = Mapping[str, Tensor]
Inputs = Mapping[str, Any]
Generator = stylegan2.Generator | alis.Generator

_CONV1 = r"G\.synthesis\.b(\d{1,6})\.conv1\.weight"
_CONSTANTS = ("resample_filter", "basis", "max_shift_strength")  # known to the code here, or not needed by it
_TRUNCATION = 0.7  # of the outputs named so
FAMILIES = ("stylegan2", "alis")
OF_ALIS = ("grid_size", "input_resolution", "w_coord_dist")  # sizes that StyleGAN2 does not have

Network = tuple[str, nn.Module, Callable[[str], str | None]]  # its half's prefix, and how its names become ours


def family(model: str) -> str:
    """`alis_grid2` -> `alis`. Raises ValueError for another than these and `discriminator`."""
    found = model.partition("_")[0]
    if found not in (*FAMILIES, "discriminator"):
        raise ValueError(f"{model}: published weights are known for {' and '.join(FAMILIES)}")
    return found


def load(
    model: str, sizes: Inputs, tensors: Tensors
) -> tuple[Generator | VQGAN | None, stylegan2.Discriminator | GPT | None]:
    """Generator and discriminator with these weights, in evaluation mode; None for a half that has no tensors.

    `model`: `stylegan2`, `alis`, or one of these with a suffix (`alis_grid2`), or `discriminator`; for `taming` the
    halves are VQGAN and transformer. Raises ValueError for another one, RuntimeError when names or shapes do not fit
    the sizes.
    """
    if model.partition("_")[0] == "taming":
        return published_taming.load(sizes, tensors)
    generator: Generator | None = None
    discriminator: stylegan2.Discriminator | None = None
    for prefix, network, rename in _networks(model, sizes, tensors):
        _fill(network, _half(tensors, prefix), rename)
        if isinstance(network, stylegan2.Discriminator):
            discriminator = network
        elif isinstance(network, Generator):
            generator = network
    return generator, discriminator


def misfits(model: str, sizes: Inputs, tensors: Tensors) -> list[str]:
    """What keeps `load` from taking these, a line each: names that are missing or too many, other shapes.

    Takes no memory for the networks. Raises ValueError as `load` does, also for sizes that do not fit each other.
    """
    found = []
    with torch.device("meta"):
        networks = list(_networks(model, sizes, tensors))
    for prefix, network, rename in networks:
        missing = {name: tensor.shape for name, tensor in network.state_dict().items()}
        for name, tensor in _half(tensors, prefix).items():
            try:
                ours = rename(name)
            except ValueError:
                ours = name
            if ours is None:
                continue
            if (wanted := missing.pop(ours, None)) is None:
                found.append(f"{prefix}{name} is one too many")
            elif wanted != tensor.shape:
                found.append(f"{prefix}{name} is {_shape(tensor.shape)} and should be {_shape(wanted)}")
            elif not tensor.is_floating_point():
                found.append(f"{prefix}{name} holds {tensor.dtype}, no fractions")
        found += [f"{prefix}{name} is missing" for name in missing]
    return found


def told_sizes(tensors: Tensors) -> dict[str, int]:
    """Those sizes of a generator (names begin with `G.`) that the shapes of its tensors tell; empty where it is none.

    `channel_max` and `channel_base` are the least that give the network its channels.
    """
    resolutions = [int(found[1]) for name in tensors if (found := re.fullmatch(_CONV1, name))]
    try:
        last = max(resolutions)
        widths = {place: len(tensors[f"G.synthesis.b{place}.conv1.weight"]) for place in (4, last)}
        sizes = {
            "resolution": last,
            "z_dim": tensors["G.mapping.fc0.weight"].shape[1],
            "w_dim": tensors["G.mapping.w_avg"].shape[0],
            "channel_base": widths[last] * last,
            "channel_max": widths[4],
            "mapping_layers": sum(re.fullmatch(r"G\.mapping\.fc\d+\.weight", name) is not None for name in tensors),
        }
        if (column := tensors.get("G.synthesis.b4.input.input.input_column")) is not None:
            sizes["input_resolution"] = column.shape[1]
    except (KeyError, IndexError, TypeError, ValueError):
        return {}
    return sizes


def _shape(size: torch.Size) -> str:
    return "x".join(map(str, size)) or "one number"


def _networks(model: str, sizes: Inputs, tensors: Tensors) -> Iterator[Network]:
    """The halves that have tensors, with initial weights."""
    kind = family(model)
    if _half(tensors, "G."):
        if kind == "alis":
            yield "G.", _alis(sizes), _alis_name
        else:
            yield "G.", stylegan2.Generator(_stylegan2(sizes)), _generator_name
    if _half(tensors, "D."):
        discriminator = stylegan2.Discriminator(
            sizes["resolution"],
            sizes["channel_base"],
            sizes.get("channel_max", 512),
            sizes.get("mbstd_group_size", 4),
        )
        yield "D.", discriminator, _discriminator_name(sizes["resolution"])


def run(model: str, sizes: Inputs, tensors: Tensors, inputs: Inputs) -> dict[str, Tensor]:
    """What the network gives for published inputs, each output under its published name.

    stylegan2: `z` [n, z_dim] gives ws and ws_truncated_07; `ws` [n, num_ws, w_dim] (else those of z) gives
    images_noise_const and images_noise_none. alis: `ws` [3, num_ws, w_dim] (left, centre, right; else those of z)
    and `left_borders_idx` [n] give images, without noise. Discriminator: `images` give logits and r1_per_image.
    taming: `images` give pre_quant, indices, quantized, commit_loss and reconstruction; `tokens` give logits.
    """
    generator, discriminator = load(model, sizes, tensors)
    outputs: dict[str, Tensor] = {}
    if isinstance(generator, VQGAN) or isinstance(discriminator, GPT):
        vqgan = generator if isinstance(generator, VQGAN) else None
        gpt = discriminator if isinstance(discriminator, GPT) else None
        return published_taming.run(vqgan, gpt, sizes, inputs)
    if generator is not None:
        with torch.no_grad():
            outputs |= _run_generator(generator, inputs)
    if discriminator is not None and "images" in inputs:
        images = inputs["images"].detach().clone().requires_grad_()
        logits = discriminator(images)
        (gradient,) = torch.autograd.grad(logits.sum(), images)
        outputs |= {"logits": logits.detach(), "r1_per_image": gradient.square().sum((1, 2, 3))}
    return outputs


def _run_generator(generator: Generator, inputs: Inputs) -> dict[str, Tensor]:
    outputs: dict[str, Tensor] = {}
    if "z" in inputs:
        outputs["ws"] = generator.styles(inputs["z"])
        outputs["ws_truncated_07"] = generator.styles(inputs["z"], _TRUNCATION)
    ws = inputs["ws"] if "ws" in inputs else outputs["ws"]
    if isinstance(generator, alis.Generator):
        border = torch.as_tensor(inputs["left_borders_idx"], dtype=torch.int64)
        return outputs | {"images": generator.frames(ws[None].expand(len(border), -1, -1, -1), border)}
    return outputs | {
        "images_noise_const": generator.synthesis(ws, generator.synthesis.constant_noise()),
        "images_noise_none": generator.synthesis(ws),
    }


def _stylegan2(sizes: Inputs) -> stylegan2.Sizes:
    return stylegan2.Sizes(
        resolution=sizes["resolution"],
        z_dim=sizes["z_dim"],
        w_dim=sizes["w_dim"],
        channel_base=sizes["channel_base"],
        channel_max=sizes["channel_max"],
        mapping_layers=sizes["mapping_layers"],
        clamp=sizes.get("clamp", 0.0),
    )


def _alis(sizes: Inputs) -> alis.Generator:
    return alis.Generator(
        alis.Sizes(
            **vars(_stylegan2(sizes)),
            patches=sizes["grid_size"],
            input_resolution=sizes["input_resolution"],
            anchor_distance=sizes["w_coord_dist"] // 2,
            float16_styles_from=sizes.get("float16_styles_from", 0),
        )
    )


def _half(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """The tensors of one network that carry learned numbers."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix) and not name.endswith(_CONSTANTS)
    }


def _fill(network: nn.Module, tensors: Tensors, rename: Callable[[str], str | None]) -> None:
    renamed = {new: tensor for name, tensor in tensors.items() if (new := rename(name)) is not None}
    network.load_state_dict(renamed)
    network.eval()


def _generator_name(name: str) -> str:
    """`synthesis.b8.conv0.noise_const` -> `synthesis.blocks.1.conv0.noise`, and the like."""
    name = re.sub(r"^mapping\.fc(\d+)\.", r"mapping.layers.\1.", name)
    name = re.sub(r"synthesis\.b4\.(const|input\.input)\b", "synthesis.input", name)  # StyleGAN2-ADA's, ALIS's
    name = re.sub(r"\.b(\d+)\.", lambda found: f".blocks.{int(found[1]).bit_length() - 3}.", name)
    return name.replace(".torgb.", ".to_rgb.").replace(".noise_const", ".noise")


def _alis_name(name: str) -> str | None:
    """As `_generator_name`; the noise that is tied to a frame has no place in a panorama."""
    return None if name.endswith("noise_const") else _generator_name(name).replace(".input_column", ".column")


def _discriminator_name(resolution: int) -> Callable[[str], str]:
    """`b64.conv0.weight` -> `blocks.0.conv0.weight` at resolution 64, and the like."""
    last = {"conv": "conv", "fc": "dense", "out": "out"}

    def rename(name: str) -> str:
        block, layer, rest = name.split(".", 2)
        if layer in last and block == "b4":
            return f"{last[layer]}.{rest}"
        if layer == "fromrgb":
            return f"from_rgb.{rest}"
        index = resolution.bit_length() - int(block.removeprefix("b")).bit_length()
        return f"blocks.{index}.{layer}.{rest}".replace(".skip.weight", ".skip")

    return rename
