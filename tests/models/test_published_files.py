"""What files of published networks hold is read, and nothing in them is run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import published_pickle
import pytest
import torch
from safetensors.torch import load_file, save_file

from models import alis, published, published_files
from models.weights import WeightsError

GOLDEN = Path(__file__).parent / "golden"


def _golden(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    return json.loads((GOLDEN / "meta.json").read_text())[name], load_file(GOLDEN / f"{name}.safetensors")


def _networks(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: one for name, one in tensors.items() if name.startswith(("G.", "D."))}


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_pickle_of_the_published_structure_holds_its_tensors_and_sizes(tmp_path, protocol):
    sizes, tensors = _golden("alis_grid16")
    half = _networks(tensors) | _networks(_golden("discriminator")[1])
    stored = published_pickle.networks(half, patchwise={"grid_size": 16, "w_coord_dist": 4}, float16_from=16)
    found = published_files.read(published_pickle.write(tmp_path / "network.pkl", stored, protocol))
    assert found.networks == ("G_ema", "D")
    assert found.family == "alis"
    assert found.tensors.keys() == half.keys()
    assert all(torch.equal(found.tensors[name], half[name]) for name in half)
    sizes["channel_max"] = 128  # as many as the first block has: more would give the same network
    ours = {name: sizes[name] for name in sizes.keys() & found.sizes.keys()}
    assert ours == {name: found.sizes[name] for name in ours}
    assert len(ours) == 9
    told = {"clamp": 256, "float16_styles_from": 16, "mbstd_group_size": 4}
    assert {name: found.sizes[name] for name in told} == told


def test_the_imported_network_makes_the_published_pictures(tmp_path):
    _, tensors = _golden("alis_grid2")
    stored = published_pickle.networks(_networks(tensors), patchwise={"grid_size": 2, "w_coord_dist": 4}, clamp=None)
    found = published_files.read(published_pickle.write(tmp_path / "network.pkl", stored))
    outputs = published.run("alis", found.sizes, found.tensors, {"ws": tensors["ws"], **_borders(tensors)})
    error = (outputs["images"] - tensors["images"]).norm() / tensors["images"].norm()
    assert float(error) < 1e-5


def _borders(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {"left_borders_idx": tensors["left_borders_idx"]}


def test_sizes_are_told_by_the_shapes_of_tensors():
    for name in ("stylegan2", "alis_grid2", "alis_grid16"):
        sizes, tensors = _golden(name)
        told = published.told_sizes(tensors)
        sizes["channel_max"] = 128
        assert told == {key: sizes[key] for key in told}
        assert len(told) == (7 if name.startswith("alis") else 6)
    assert published.told_sizes({}) == {}
    assert published.told_sizes({"G.synthesis.b8.conv1.weight": torch.zeros(2, 2)}) == {}


def test_stylegan2_ada_calls_its_first_tensor_otherwise(tmp_path):
    sizes, tensors = _golden("stylegan2")
    half = {name.replace("b4.input.input", "b4.const"): one for name, one in _networks(tensors).items()}
    assert "G.synthesis.b4.const" in half
    found = published_files.read(published_pickle.write(tmp_path / "a.pkl", published_pickle.networks(half)))
    assert published.misfits("stylegan2", found.sizes, found.tensors) == []
    ours, theirs = published.load("stylegan2", sizes, found.tensors)[0], published.load("stylegan2", sizes, tensors)[0]
    assert ours is not None
    assert theirs is not None
    assert all(torch.equal(one, other) for one, other in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_what_differs_is_named():
    sizes, tensors = _golden("alis_grid2")
    half = _networks(tensors)
    assert published.misfits("alis", sizes, half) == []
    del half["G.synthesis.b8.conv0.bias"]
    half["G.synthesis.b16.extra"] = torch.zeros(1)
    half["G.mapping.w_avg"] = torch.zeros(3)
    half["G.synthesis.b64.conv1.bias"] = half["G.synthesis.b64.conv1.bias"].to(torch.int64)
    assert set(published.misfits("alis", sizes, half)) == {
        "G.synthesis.blocks.1.conv0.bias is missing",
        "G.synthesis.b16.extra is one too many",
        "G.mapping.w_avg is 3 and should be 64",
        "G.synthesis.b64.conv1.bias holds torch.int64, no fractions",
    }
    discriminator = {"D.bx.conv.weight": torch.zeros(1), "D.weight": torch.zeros(1)}
    assert {line.split(" ")[0] for line in published.misfits("alis", sizes, discriminator)} >= set(discriminator)


def test_networks_of_a_kind_that_is_not_known_are_refused(tmp_path):
    half = _networks(_golden("alis_grid2")[1])
    usual = {"grid_size": 2, "w_coord_dist": 4}
    for what, stored in {
        "c_dim": published_pickle.networks(half, patchwise=usual, c_dim=10),
        "instance_norm": published_pickle.networks(half, patchwise={**usual, "instance_norm": True}),
        "w_lerp_multiplier": published_pickle.networks(half, patchwise={**usual, "w_lerp_multiplier": 2.0}),
        "G_ema nor G": {"D": published_pickle.module({"a": torch.zeros(1)})},
        "no generator": {"G_ema": published_pickle.module({"a": torch.zeros(1)})},
        "no networks": [1, 2],
        "without _parameters": {"G_ema": published_pickle.Persistent("Generator", {"_modules": {}})},
        "no tensor": {"G_ema": published_pickle.module({}, _parameters={"a": 3})},
        "no proper names": {"G_ema": published_pickle.module({}, _parameters={"a\x1b[31m": 3})},
    }.items():
        path = published_pickle.write(tmp_path / "network.pkl", stored)
        with pytest.raises(WeightsError, match=re.escape(what)) as caught:
            published_files.read(path)
        assert str(path) in str(caught.value)
        assert "\x1b" not in str(caught.value)


def test_modules_that_hold_themselves_end(tmp_path):
    around = published_pickle.module({"a": torch.zeros(1)})
    for _ in range(25):
        around = published_pickle.module({}, _modules={"a": around, "b": around})
    path = published_pickle.write(tmp_path / "network.pkl", {"G_ema": around})
    with pytest.raises(WeightsError, match=r"modules, or 20 in each other"):
        published_files.read(path)


def test_tensors_by_name_and_files_that_are_none(tmp_path):
    _, tensors = _golden("stylegan2")
    path = tmp_path / "weights.safetensors"
    save_file(tensors, path)
    found = published_files.read(path)
    assert (found.networks, found.family) == (("G",), "stylegan2")
    assert "images_noise_none" in tensors
    assert all(name.startswith("G.") for name in found.tensors)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="holds no plain weights"):
        published_files.read(path)
    with pytest.raises(WeightsError, match="is not there"):
        published_files.read(tmp_path / "none.pkl")


def test_the_released_float16_styles_are_dividing_each_anchor_s_style_by_its_largest_value():
    """Held to a plain network whose affine maps give the divided styles of these three anchors.

    The maps are solved for in float64: three anchors, and more dimensions than that.
    """
    sizes, tensors = _golden("alis_grid2")
    ws = tensors["ws"]  # [3, num_ws, w_dim]
    released = published.load("alis", {**sizes, "float16_styles_from": 16}, tensors)[0]
    plain = published.load("alis", sizes, tensors)[0]
    assert isinstance(released, alis.Generator)
    assert isinstance(plain, alis.Generator)
    layer = 1  # of the styles: the first belongs to the input
    for at, block in enumerate(plain.synthesis.blocks):
        for convolution in (block.conv0, block.conv1):
            if convolution is None:
                continue
            if 4 * 2**at >= 16:
                _divide(convolution.affine, ws[:, layer])
            layer += 1
    border = tensors["left_borders_idx"]
    anchors = ws[None].expand(len(border), -1, -1, -1)
    with torch.no_grad():
        ours, theirs = released.frames(anchors, border), plain.frames(anchors, border)
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-5
    other = (ours - tensors["images"]).norm() / tensors["images"].norm()
    assert float(other) > 0.5  # facts: another function altogether


@torch.no_grad()
def _divide(affine: Any, w: torch.Tensor) -> None:
    """Change an affine map so that it gives, for each w, what it gave divided by its largest value."""
    gain = affine.rate / affine.weight.shape[1] ** 0.5
    known = torch.cat([w.double(), torch.ones(len(w), 1, dtype=torch.float64)], 1)
    style = w.double() @ (affine.weight.double() * gain).T + affine.bias.double() * affine.rate
    wanted = style / style.abs().max(1, keepdim=True).values
    solved = torch.linalg.lstsq(known, wanted, driver="gelsd").solution  # [w_dim + 1, channels]
    assert torch.allclose(known @ solved, wanted, atol=1e-10)
    affine.weight.copy_(solved[:-1].T / gain)
    affine.bias.copy_(solved[-1] / affine.rate)


def test_a_clamped_network_clamps_every_convolution_and_every_picture_of_a_block():
    sizes, tensors = _golden("stylegan2")
    generator, _ = published.load("stylegan2", {**sizes, "clamp": 0.25}, tensors)
    wide, _ = published.load("stylegan2", {**sizes, "clamp": 1e6}, tensors)
    plain, _ = published.load("stylegan2", sizes, tensors)
    assert generator is not None
    assert wide is not None
    assert plain is not None
    largest = []
    for layer in generator.modules():
        if hasattr(layer, "run"):
            run = layer.run
            layer.run = lambda *given, run=run: _noted(run(*given), largest)
    with torch.no_grad():
        generator(tensors["z"])
        assert torch.equal(wide(tensors["z"]), plain(tensors["z"]))
    assert largest == [0.25] * 14  # nine convolutions, five pictures


def _noted(made: torch.Tensor, largest: list[float]) -> torch.Tensor:
    largest.append(float(made.abs().max()))
    return made
