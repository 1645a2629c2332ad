"""The published ALIS code (which holds its StyleGAN2 too) as a peer: imported from a checkout, networks built from it.

It needs `omegaconf`, and is never copied: what it does is timed beside what we do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

PEERS = ("stylegan2", "alis")  # those of our models that it has


@contextmanager
def importing(checkout: Path) -> Iterator[None]:
    """Imports come from the checkout first."""
    import numpy

    sys.path.insert(0, str(checkout))
    if not hasattr(numpy, "float"):
        numpy.float = float  # type: ignore[attr-defined] # what the published code calls it
    try:
        yield
    finally:
        sys.path.remove(str(checkout))


def synthesis_config(checkout: Path, model: str, grid: int) -> dict[str, Any]:
    """Its configuration of a model's synthesis; `grid`: columns in a frame of ALIS, and its input's resolution."""
    with importing(checkout):
        from omegaconf import OmegaConf  # type: ignore[import-not-found]

        config = OmegaConf.load(checkout / "configs" / ("alis.yml" if model == "alis" else "original.yml")).synthesis
        settings: dict[str, Any] = {"mode_max_norm": 1, **OmegaConf.to_container(config)}  # references resolve later
    if model == "alis":
        settings["input"]["resolution"] = settings["patchwise"]["grid_size"] = grid
    return settings


def generator(checkout: Path, model: str, resolution: int, grid: int) -> Any:
    """Its generator with random weights: 512 channels at most, base 16384, two layers of mapping."""
    config = synthesis_config(checkout, model, grid)
    with importing(checkout):
        from training.networks import Generator  # type: ignore[import-not-found]

        torch.manual_seed(0)
        sizes = {"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": resolution, "img_channels": 3}
        parts = {"mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": {"channel_base": 16384}}
        theirs = Generator(**sizes, **parts, synthesis_cfg=config)
        theirs.progressive_growing_update(1e6)  # else every frame stands at the left anchor
    return theirs


def discriminator(checkout: Path, resolution: int, group: int) -> Any:
    """Its discriminator with random weights; `group`: of the minibatch deviation."""
    with importing(checkout):
        from training.networks import Discriminator

        torch.manual_seed(0)
        return Discriminator(
            c_dim=0,
            img_resolution=resolution,
            img_channels=3,
            channel_base=16384,
            epilogue_kwargs={"mbstd_group_size": group},
        )


def loss(checkout: Path, model: str, grid: int, generator: Any, discriminator: Any, r1_weight: float) -> Any:
    """What it trains with, on the CPU: style mixing and path lengths as configured, no augmentation."""
    with importing(checkout):
        from training.loss import StyleGAN2Loss  # type: ignore[import-not-found]

        return StyleGAN2Loss(
            device=torch.device("cpu"),
            G_mapping=generator.mapping,
            G_synthesis=generator.synthesis,
            D=discriminator,
            r1_gamma=r1_weight,
            synthesis_cfg=synthesis_config(checkout, model, grid),
        )
