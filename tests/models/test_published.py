"""Weights under their published names give the published numbers, to 1e-5 relative in float32."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from models import alis, counts, published, published_taming, weights
from models.gpt import GPT
from models.vqgan import VQGAN

GOLDEN = Path(__file__).parent / "golden"
OUTPUTS = {
    "stylegan2": ["ws", "ws_truncated_07", "images_noise_const", "images_noise_none"],
    "discriminator": ["logits", "r1_per_image"],
    "alis_grid16": ["ws", "images"],
    "alis_grid2": ["ws", "images"],
    "taming": ["pre_quant", "indices", "quantized", "commit_loss", "reconstruction", "logits"],
}


def _golden(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return json.loads((GOLDEN / "meta.json").read_text())[name], load_file(GOLDEN / f"{name}.safetensors")


def _error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours.double() - theirs.double()).norm() / theirs.double().norm())


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_published_weights_give_the_published_numbers(name: str) -> None:
    sizes, tensors = _golden(name)
    inputs = {key: tensor for key, tensor in tensors.items() if key not in OUTPUTS[name] or key == "ws"}
    outputs = published.run(name, sizes, tensors, inputs)
    assert {key: error for key in OUTPUTS[name] if (error := _error(outputs[key], tensors[key])) >= 1e-5} == {}


def test_a_frame_of_a_panorama_is_the_published_frame() -> None:
    """Columns asked for one by one, in the place that the left border names."""
    sizes, tensors = _golden("alis_grid16")
    generator, discriminator = published.load("alis", sizes, tensors)
    assert isinstance(generator, alis.Generator)
    assert discriminator is None
    for border, image in zip(tensors["left_borders_idx"].tolist(), tensors["images"], strict=True):
        columns = []
        for column in range(border, border + 16):
            left = torch.tensor([column // 32])
            places = alis.Places(left, torch.tensor([column % 32]), torch.tensor([column % 32]))
            with torch.no_grad():
                columns.append(generator.synthesis(tensors["ws"], places)[0])
        assert _error(torch.cat(columns, 2), image) < 1e-5


def test_sizes_that_do_not_fit_the_tensors_are_refused() -> None:
    sizes, tensors = _golden("stylegan2")
    with pytest.raises(RuntimeError, match=r"blocks\.4"):
        published.load("stylegan2", {**sizes, "resolution": 32}, tensors)
    with pytest.raises(ValueError, match="biggan"):
        published.load("biggan", sizes, tensors)


@pytest.mark.parametrize("name", ["stylegan2", "alis_grid16", "alis_grid2"])
def test_small_generators_have_the_published_number_of_parameters(name: str) -> None:
    sizes, tensors = _golden(name)
    generator, _ = published.load(name, sizes, tensors)
    assert generator is not None
    assert counts.parameters(generator) == sizes["params_G"]


def test_the_small_discriminator_has_the_published_number_of_parameters() -> None:
    sizes, tensors = _golden("discriminator")
    generator, discriminator = published.load("discriminator", sizes, tensors)
    assert generator is None
    assert discriminator is not None
    assert counts.parameters(discriminator) == sizes["params_D"]


def test_the_small_vqgan_and_transformer_have_the_published_number_of_parameters() -> None:
    sizes, tensors = _golden("taming")
    vqgan, gpt = published.load("taming", sizes, tensors)
    assert isinstance(vqgan, VQGAN)
    assert isinstance(gpt, GPT)
    assert counts.parameters(vqgan) == sizes["vqgan"]["params"]
    assert counts.parameters(gpt) == sizes["gpt"]["params"]
    alone = {name: one for name, one in tensors.items() if name.startswith("transformer.")}
    assert published.load("taming", sizes, alone)[0] is None


def _released(folder: Path, layout: str) -> tuple[Path, dict[str, Tensor]]:
    """The golden weights in a file as the released ones are laid out, with what else lies in these."""
    sizes, tensors = _golden("taming")
    first = {name: one for name, one in tensors.items() if name.startswith(published_taming._VQGAN)}
    losses = {"loss.discriminator.main.0.weight": torch.zeros(4, 3, 4, 4), "loss.logvar": torch.zeros(())}
    if layout == "vqgan":
        state, path = first | losses, folder / "last.ckpt"
    else:
        state = {f"first_stage_model.{name}": one for name, one in (first | losses).items()}
        state |= {name: one for name, one in tensors.items() if name.startswith("transformer.")}
        places = sizes["gpt"]["block_size"]
        state |= {"transformer.blocks.0.attn.mask": torch.ones(1, 1, places, places).tril()}
        path = folder / ("net2net.ckpt" if layout == "both" else "net2net.safetensors")
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        facts = {"epoch": 3, "global_step": 100, "pytorch-lightning_version": "1.0.8", "lr_schedulers": []}
        torch.save({**facts, "state_dict": state, "callbacks": {}}, path)
    return path, tensors


@pytest.mark.parametrize("layout", ["vqgan", "both", "safetensors"])
def test_a_released_checkpoint_gives_its_reconstruction_and_its_logits(tmp_path: Path, layout: str) -> None:
    path, tensors = _released(tmp_path, layout)
    found = published_taming.from_checkpoint(weights.read_tensors(path), resolution=64, heads=4)
    assert found.vqgan is not None
    with torch.no_grad():
        images, _, nearest = found.vqgan.reconstruct(tensors["images"])
        assert torch.equal(nearest.codes.flatten(1), tensors["indices"])
        assert _error(images, tensors["reconstruction"]) < 1e-5
        if layout == "vqgan":
            assert found.gpt is None
        else:
            assert found.gpt is not None
            assert _error(found.gpt(tensors["tokens"]), tensors["logits"]) < 1e-5


def test_a_checkpoint_of_something_else_or_with_a_hole_is_refused() -> None:
    _, tensors = _golden("taming")
    with pytest.raises(ValueError, match="neither"):
        published_taming.from_checkpoint({"fc.weight": torch.zeros(2, 2)})
    holed = {name: one for name, one in tensors.items() if name != "decoder.mid.attn_1.k.weight"}
    with pytest.raises(ValueError, match=r"decoder\.middle\.1\.key\.weight"):
        published_taming.from_checkpoint(holed, 64, 4)
    wrong = {**tensors, "transformer.blocks.1.attn.value.bias": torch.zeros(63)}
    with pytest.raises(ValueError, match="qkv"):
        published_taming.from_checkpoint(wrong, 64, 4)


def test_counts_at_256_are_those_of_the_paper() -> None:
    assert counts.counts(256) == {
        "stylegan2": {"generator": 23_191_522, "discriminator": 24_001_089, "total": 47_192_611},
        "alis": {"generator": 24_240_346, "discriminator": 24_001_089, "total": 48_241_435},
        "alis-nocoords": {"generator": 23_191_522, "discriminator": 24_001_089, "total": 47_192_611},
        "locogan": {"generator": 29_724_386, "discriminator": 24_001_089, "total": 53_725_475},
        "taming": {
            "generator": 377_074_563,
            "discriminator": 0,
            "total": 377_074_563,
            "parts": {"vqgan": 72_141_699, "gpt": 304_932_864},
        },
    }


def test_the_released_alis_sizes_have_the_counted_parameters() -> None:
    with torch.device("meta"):
        assert counts.parameters(alis.Generator(alis.Sizes(patches=2, input_resolution=4))) == 24_111_298
