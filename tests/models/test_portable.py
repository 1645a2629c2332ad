"""A generator as a function of tensors gives its own pixels, as a `torch.export` program and as ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tiny
import torch
from torch import Tensor

from benchmarks import networks
from models import alis, counter_random, locogan, portable, stylegan2
from models.counter_random import Kind
from models.portable import Portable

SEED = 5
COLUMNS = torch.tensor([-9, -1, 0, 7, 8, 30])


def _generator(model: str) -> networks.Generator:
    """A small one whose noises are heard."""
    changed = {"patches": 4, "input_resolution": 4} if model == "alis" else {}
    generator, _ = networks.build(tiny.recipe(model, **changed))
    numbers = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=numbers))
        generator.mapping.w_avg.normal_(generator=numbers)
    return generator.eval()


def _inputs(made: Portable, count: int = 3) -> dict[str, Tensor]:
    numbers = torch.Generator().manual_seed(2)
    values = {}
    for name, one in made.inputs.items():
        values[name] = torch.randn((count, *one.shape[1:]), generator=numbers)
        if name == "column":
            values[name] = COLUMNS[:count]
        if name == "truncation":
            values[name] = torch.tensor(0.6)
    return values


def _run_onnx(path: Path, inputs: dict[str, Tensor]) -> Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (pixels,) = session.run(["pixels"], {name: one.numpy() for name, one in inputs.items()})
    return torch.from_numpy(np.asarray(pixels))


def test_columns_of_a_panorama_are_made_from_its_anchors_and_noise():
    generator = _generator("alis")
    assert isinstance(generator, alis.Generator)
    made = portable.portable(generator)
    anchor = COLUMNS.div(generator.sizes.span, rounding_mode="floor")
    left, right = (counter_random.normal(SEED, Kind.ANCHOR, 0, one, 8) for one in (anchor, anchor + 1))
    noise = generator.noise(SEED, Kind.NOISE, COLUMNS)
    with torch.no_grad():
        pixels = made.network(left, right, COLUMNS, torch.tensor(0.6), *noise)
    for at, column in enumerate(COLUMNS.tolist()):
        wanted = generator.columns(SEED, column, 1, truncation=0.6)
        assert torch.allclose(pixels[at], wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def test_a_picture_is_made_from_its_latent_and_noise():
    generator = _generator("stylegan2")
    assert isinstance(generator, stylegan2.Generator)
    index = torch.arange(3)
    z = counter_random.normal(SEED, Kind.LATENT, 0, index, 8)
    noise = generator.noise(SEED, Kind.IMAGE_NOISE, index)
    with torch.no_grad():
        pixels = portable.portable(generator).network(z, torch.tensor(1.0), *noise)
        from_styles = portable.portable(generator, styles=True).network(generator.styles(z), *noise)
    wanted = generator.samples(SEED, 0, 3)
    assert torch.allclose(pixels, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
    assert torch.equal(from_styles, pixels)


def test_a_frame_of_locogan_is_made_from_its_latent_spatial_noise_and_place():
    generator = _generator("locogan")
    assert isinstance(generator, locogan.Generator)
    index = torch.arange(3)
    z = counter_random.normal(SEED, Kind.FRAME_LATENT, 0, index, 8)
    shift = counter_random.integers(SEED, Kind.FRAME_SHIFT, index, generator.sizes.shifts)
    spatial = generator.frame_spatial(SEED, Kind.FRAME_SPATIAL, index)
    noise = generator.frame_noise(SEED, Kind.FRAME_NOISE, index)
    with torch.no_grad():
        pixels = portable.portable(generator).network(z, shift, spatial, torch.tensor(1.0), *noise)
    wanted = generator.samples(SEED, 0, 3)
    assert torch.allclose(pixels, wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["stylegan2", "alis", pytest.param("locogan", marks=pytest.mark.long)])
def test_a_program_that_is_loaded_again_gives_equal_pixels(model, tmp_path):
    made = portable.portable(_generator(model), styles=model == "locogan")
    portable.save_program(made, tmp_path / "net.pt2")
    about = {"about.json": ""}
    loaded = torch.export.load(tmp_path / "net.pt2", extra_files=about).module()
    assert json.loads(about["about.json"])["inputs"] == list(made.inputs)
    for count in (1, 5):
        inputs = _inputs(made, count)
        with torch.no_grad():
            assert torch.equal(loaded(*inputs.values()), made.network(*inputs.values()))


@pytest.mark.slow
def test_a_program_has_nothing_of_its_file_s_name_and_a_full_disk_is_an_error_like_any_other(tmp_path, monkeypatch):
    made = portable.portable(_generator("stylegan2"))
    exported = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    monkeypatch.setattr(portable, "program", lambda _: exported)
    for name in ("one.pt2", "other.pt2"):
        portable.save_program(made, tmp_path / name)
    assert (tmp_path / "one.pt2").read_bytes() == (tmp_path / "other.pt2").read_bytes()
    with pytest.raises(OSError, match="No space left"):
        portable.save_program(made, Path("/dev/full"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["alis", *(pytest.param(other, marks=pytest.mark.long) for other in ("stylegan2", "locogan"))]
)
def test_onnx_agrees_to_a_ten_thousandth(model, tmp_path):
    made = portable.portable(_generator(model))
    portable.save_onnx(made, tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]  # all weights are inside
    graph = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(graph)
    assert [one.name for one in graph.graph.input] == list(made.inputs)
    assert {one.key: one.value for one in graph.metadata_props}["resolution"] == "16"
    for count in (1, 5):
        inputs = _inputs(made, count)
        with torch.no_grad():
            wanted = made.network(*inputs.values())
        assert float((_run_onnx(tmp_path / "net.onnx", inputs) - wanted).abs().max() / wanted.abs().max()) < 1e-4
