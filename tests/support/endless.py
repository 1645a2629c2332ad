"""Small untrained generators of panoramas, and runs of such, whose noise is seen."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import tiny
import torch
from torch import nn

from benchmarks import checkpoints, networks, recipes
from models import alis, locogan

G = TypeVar("G", bound=nn.Module)
SMALL = {"resolution": 32, "z_dim": 16, "w_dim": 16, "channel_base": 256, "channel_max": 32}


@cache
def small_alis(patches: int = 16, anchor_distance: int = 2) -> alis.Generator:
    """32x32; columns of a pixel or two of 16 or 4 in a frame."""
    torch.manual_seed(0)
    sizes = alis.Sizes(**SMALL, patches=patches, input_resolution=max(4, patches), anchor_distance=anchor_distance)  # type: ignore[arg-type]
    return _noisy(alis.Generator(sizes))


@cache
def small_locogan() -> locogan.Generator:
    """32x32."""
    torch.manual_seed(0)
    return _noisy(locogan.Generator(locogan.Sizes(**SMALL)))  # type: ignore[arg-type]


def untrained_run(run: Path, model: str, **changed: Any) -> Path:
    """A run with a checkpoint of step 0, of 16x16 unless the recipe is changed."""
    recipe = dataclasses.replace(tiny.recipe(model), **changed)
    (run / checkpoints.FOLDER).mkdir(parents=True)
    recipes.save(recipe, run)
    generator = _noisy(networks.build(recipe)[0])
    tensors = {f"average.{name}": tensor.contiguous() for name, tensor in generator.state_dict().items()}
    checkpoints.save(run, 0, tensors, {"step": 0, "devices": {}})
    return run


def _noisy(generator: G) -> G:
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.3)
    return generator.eval().requires_grad_(False)
