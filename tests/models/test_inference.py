"""A generator made ready to generate draws what the one it was made from draws."""

from functools import cache

import pytest
import torch
from torch import Tensor

from models import alis, inference, locogan, stylegan2

NETWORKS = ("stylegan2", "alis", "alis-nocoords", "alis-patch", "locogan")


@cache
def _generator(model: str) -> inference.Generator:
    torch.manual_seed(0)
    plain = {"resolution": 32, "z_dim": 32, "w_dim": 32, "channel_base": 512, "channel_max": 64}
    generator: inference.Generator
    if model == "stylegan2":
        generator = stylegan2.Generator(stylegan2.Sizes(**plain))
    elif model == "locogan":
        generator = locogan.Generator(locogan.Sizes(**plain))
    else:
        normalisation = "patch" if model == "alis-patch" else "demodulate"
        generator = alis.Generator(
            alis.Sizes(**plain, coordinates=model != "alis-nocoords", normalisation=normalisation)
        )
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)
    return generator.eval()


def _error(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == torch.float32
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2), (torch.float16, 2e-2)])
def test_every_format_draws_the_same_up_to_its_rounding(model: str, dtype: torch.dtype, tolerance: float) -> None:
    generator = _generator(model)
    made = inference.ready(generator, dtype)
    assert made.synthesis.dtype == dtype
    with torch.no_grad():
        assert _error(made.samples(3, 0, 4), generator.samples(3, 0, 4)) <= tolerance
        if not isinstance(generator, stylegan2.Generator):
            assert _error(made.columns(3, -5, 20), generator.columns(3, -5, 20)) <= tolerance
    assert all(parameter.dtype == torch.float32 for parameter in generator.parameters())  # the first is left alone
    assert all(parameter.requires_grad for parameter in generator.parameters())


def test_the_fastest_way_is_taken_and_one_that_fails_is_told() -> None:
    generator = _generator("alis")

    def draw(one: inference.Generator) -> Tensor:
        if one.synthesis.dtype == torch.bfloat16:
            raise RuntimeError("no such thing here\nand more")
        return one.samples(0, 0, 1)

    choice = inference.fastest(generator, draw)
    assert choice.name == "float32"
    assert choice.seconds["bfloat16"] is None
    assert choice.reasons["bfloat16"] == "RuntimeError: no such thing here"
    with pytest.raises(ZeroDivisionError):
        inference.fastest(generator, lambda _: 1 // 0)  # type: ignore[arg-type, return-value]


@pytest.mark.long
def test_a_compiled_generator_draws_the_same() -> None:
    generator = _generator("alis")
    made = inference.compiled(inference.ready(generator))
    with torch.no_grad():
        assert _error(made.samples(3, 0, 2), generator.samples(3, 0, 2)) <= 1e-5


def test_a_generator_that_was_trained_in_a_smaller_format_is_made_ready_in_any():
    torch.manual_seed(0)
    plain = {"resolution": 32, "z_dim": 32, "w_dim": 32, "channel_base": 512, "channel_max": 64}
    generator = alis.Generator(alis.Sizes(**plain)).eval()
    exact = inference.ready(generator).samples(0, 0, 2)
    generator.synthesis.computing = torch.bfloat16
    assert torch.equal(inference.ready(generator).samples(0, 0, 2), exact)
    assert _error(inference.ready(generator, torch.bfloat16).samples(0, 0, 2), exact) < 0.05
