"""VQGAN and transformer from weights under their published names: of both, or of a checkpoint as it was released.

A released checkpoint of a transformer holds its VQGAN below `first_stage_model.` and itself below `transformer.`; one
of a VQGAN alone has its names at the top. What else lies there (losses, discriminator, masks) is left aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models import gpt as gpts
from models import vqgan as vqgans
from models.gpt import GPT
from models.vqgan import VQGAN

Tensors = Mapping[str, Tensor]
Inputs = Mapping[str, Any]

_VQGAN = ("encoder.", "decoder.", "quantize.", "quant_conv.", "post_quant_conv.")
_GPT = "transformer."
_FIRST_STAGE = "first_stage_model."
_MASK = ".attn.mask"  # known to the code here
_RESOLUTION, _HEADS = 256, 16  # of the released ones; no shape tells them
_QKV = ("query", "key", "value")


@dataclass(frozen=True)
class Imported:
    """The networks of a checkpoint, None for one that it does not hold. In evaluation mode."""

    vqgan: VQGAN | None
    gpt: GPT | None


def load(sizes: Inputs, tensors: Tensors) -> tuple[VQGAN | None, GPT | None]:
    """Networks of these sizes (`{"vqgan": {...}, "gpt": {...}}`) with these weights, in evaluation mode.

    Raises RuntimeError where names or shapes do not fit.
    """
    vqgan = gpt = None
    if half := {name: tensor for name, tensor in tensors.items() if name.startswith(_VQGAN)}:
        vqgan = VQGAN(_vqgan_sizes(sizes["vqgan"])).eval()
        vqgan.load_state_dict(vqgan_weights(half))
    if half := {name: tensor for name, tensor in tensors.items() if name.startswith(_GPT)}:
        gpt = GPT(_gpt_sizes(sizes["gpt"])).eval()
        gpt.load_state_dict(gpt_weights(half))
    return vqgan, gpt


def from_checkpoint(tensors: Tensors, resolution: int = _RESOLUTION, heads: int = _HEADS) -> Imported:
    """The networks of a released checkpoint's tensors (`models.weights.read_tensors`), their sizes read off.

    Resolution and heads stand in no shape. Raises ValueError for tensors of something else, or that do not fit.
    """
    found = {name.removeprefix(_FIRST_STAGE): tensor for name, tensor in tensors.items()}
    try:
        sizes: dict[str, Any] = {}
        if "quantize.embedding.weight" in found:
            sizes["vqgan"] = _read_vqgan_sizes(found, resolution)
        if "transformer.tok_emb.weight" in found:
            sizes["gpt"] = _read_gpt_sizes(found, heads)
        if any(half.get(count, 0) > len(found) for half in sizes.values() for count in ("layers", "res_blocks")):
            raise ValueError("it names more layers than it has tensors")
        if not sizes:
            raise ValueError("neither a VQGAN nor a transformer by the published names is in it")
        return Imported(*load(sizes, {name: one for name, one in found.items() if _wanted(name, sizes)}))
    except (KeyError, RuntimeError, IndexError, ZeroDivisionError) as error:
        raise ValueError(f"its tensors do not fit each other: {error}") from error


def run(vqgan: VQGAN | None, gpt: GPT | None, sizes: Inputs, inputs: Inputs) -> dict[str, Tensor]:
    """What the networks give for published inputs, each output under its published name."""
    outputs: dict[str, Tensor] = {}
    with torch.no_grad():
        if vqgan is not None and "images" in inputs:
            images, encoded, nearest = vqgan.reconstruct(inputs["images"])
            loss = vqgans.codebook_loss(encoded, nearest.vectors, sizes["vqgan"]["beta"])
            outputs |= {"pre_quant": encoded, "indices": nearest.codes.flatten(1), "quantized": nearest.vectors}
            outputs |= {"commit_loss": loss.view(1), "reconstruction": images}
        if gpt is not None and "tokens" in inputs:
            outputs["logits"] = gpt(inputs["tokens"])
    return outputs


def vqgan_weights(tensors: Tensors) -> dict[str, Tensor]:
    """A VQGAN's weights under our names."""
    finest = max(int(found[1]) for name in tensors if (found := re.match(r"decoder\.up\.(\d+)\.", name)))
    return {_vqgan_name(name, finest): tensor for name, tensor in tensors.items()}


def gpt_weights(tensors: Tensors) -> dict[str, Tensor]:
    """A transformer's weights under our names; queries, keys and values are one layer with us."""
    renamed: dict[str, Tensor] = {}
    for published, tensor in tensors.items():
        name = published.removeprefix(_GPT)
        if name.endswith(_MASK) or ".attn.key." in name or ".attn.value." in name:
            continue
        if ".attn.query." in name:
            three = [tensors[published.replace(".query.", f".{one}.")] for one in _QKV]
            renamed[name.replace("attn.query", "qkv")] = torch.cat(three)
            continue
        for theirs, ours in _GPT_NAMES:
            name = re.sub(theirs, ours, name)
        renamed[name] = tensor[0] if name == "places" else tensor
    return renamed


_GPT_NAMES = (
    (r"^tok_emb\.", "codes."),
    (r"^pos_emb$", "places"),
    (r"^ln_f\.", "norm."),
    (r"\.ln1\.", ".norm0."),
    (r"\.ln2\.", ".norm1."),
    (r"\.attn\.proj\.", ".out."),
    (r"\.mlp\.0\.", ".up."),
    (r"\.mlp\.2\.", ".down."),
)
_VQGAN_NAMES = (
    (r"^quantize\.embedding\.weight$", "codebook"),
    (r"^quant_conv\.", "to_codes."),
    (r"^post_quant_conv\.", "from_codes."),
    (r"\.conv_in\.", ".first."),
    (r"\.conv_out\.", ".last."),
    (r"\.norm_out\.", ".norm."),
    (r"\.mid\.block_1\.", ".middle.0."),
    (r"\.mid\.attn_1\.", ".middle.1."),
    (r"\.mid\.block_2\.", ".middle.2."),
    (r"\.down\.(\d+)\.downsample\.", r".halves.\1."),
    (r"\.up\.(\d+)\.upsample\.", r".doubles.\1."),
    (r"\.(?:down|up)\.(\d+)\.block\.", r".levels.\1.blocks."),
    (r"\.(?:down|up)\.(\d+)\.attn\.", r".levels.\1.attentions."),
    (r"\.conv1\.", ".conv0."),
    (r"\.conv2\.", ".conv1."),
    (r"\.norm1\.", ".norm0."),
    (r"\.norm2\.", ".norm1."),
    (r"\.nin_shortcut\.", ".skip."),
    (r"\.q\.", ".query."),
    (r"\.k\.", ".key."),
    (r"\.v\.", ".value."),
    (r"\.proj_out\.", ".out."),
)


def _vqgan_name(name: str, finest: int) -> str:
    """Ours; the decoder's levels are published in the order of the encoder's, here in the order of their use."""
    if found := re.match(r"decoder\.up\.(\d+)\.", name):
        name = name.replace(found[0], f"decoder.up.{finest - int(found[1])}.", 1)
    for theirs, ours in _VQGAN_NAMES:
        name = re.sub(theirs, ours, name)
    return name


def _vqgan_sizes(sizes: Inputs) -> vqgans.Sizes:
    return vqgans.Sizes(
        resolution=sizes["resolution"],
        channels=sizes["channels"],
        multiples=tuple(sizes["mult"]),
        blocks=sizes["res_blocks"],
        attention_at=tuple(sizes["attention_at"]),
        latent=sizes["z_channels"],
        code_width=sizes["embed_dim"],
        codes=sizes["codes"],
    )


def _gpt_sizes(sizes: Inputs) -> gpts.Sizes:
    return gpts.Sizes(
        codes=sizes["vocab"],
        places=sizes["block_size"],
        layers=sizes["layers"],
        heads=sizes["heads"],
        width=sizes["width"],
    )


def _read_vqgan_sizes(tensors: Tensors, resolution: int) -> dict[str, Any]:
    channels = tensors["encoder.conv_in.weight"].shape[0]
    levels = 1 + _last(tensors, r"encoder\.down\.(\d+)\.")
    attending = {int(found[1]) for name in tensors if (found := re.match(r"encoder\.down\.(\d+)\.attn\.", name))}
    codes, code_width = tensors["quantize.embedding.weight"].shape
    return {
        "resolution": resolution,
        "channels": channels,
        "mult": [tensors[f"encoder.down.{at}.block.0.conv1.weight"].shape[0] // channels for at in range(levels)],
        "res_blocks": 1 + _last(tensors, r"encoder\.down\.0\.block\.(\d+)\."),
        "attention_at": [resolution >> level for level in sorted(attending)],
        "z_channels": tensors["quant_conv.weight"].shape[1],
        "embed_dim": code_width,
        "codes": codes,
    }


def _read_gpt_sizes(tensors: Tensors, heads: int) -> dict[str, Any]:
    vocabulary, width = tensors["transformer.tok_emb.weight"].shape
    return {
        "vocab": vocabulary,
        "block_size": tensors["transformer.pos_emb"].shape[1],
        "layers": 1 + _last(tensors, r"transformer\.blocks\.(\d+)\."),
        "heads": heads,
        "width": width,
    }


def _last(tensors: Tensors, pattern: str) -> int:
    return max((int(found[1]) for name in tensors if (found := re.match(pattern, name))), default=-1)


def _wanted(name: str, sizes: Inputs) -> bool:
    return ("vqgan" in sizes and name.startswith(_VQGAN)) or ("gpt" in sizes and name.startswith(_GPT))
