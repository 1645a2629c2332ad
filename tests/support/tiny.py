"""Networks and pictures so small that a training step takes milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks.recipes import Recipe

SETTINGS = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8, "r1_every": 4, "average_kimg": 0.05}
TAMING = {"codes": 16, "code_width": 4, "vqgan_channels": 8, "vqgan_multiples": "1,2,2", "vqgan_blocks": 1}
TAMING |= {"vqgan_groups": 4, "patch_channels": 8, "gpt_layers": 2, "gpt_heads": 2, "gpt_width": 16, "gpt_places": 16}
TAMING |= {"vqgan_rate": 1e-3, "gpt_rate": 1e-3, "perceptual_weight": 0.0, "average_kimg": 0.05}
OPTIONS = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]  # for `lhq train`


def recipe(model: str, **changed: object) -> Recipe:
    """A training of 20 steps at 16x16."""
    settings = {"images": 80, "batch": 4, **SETTINGS, **changed}
    if model == "taming":
        unused = {"deviation_group": 1, "path_shrink": 1, "r1_weight": 0.0, "path_weight": 0.0}
        settings = {"images": 80, "batch": 4, **TAMING, **unused, **changed}
    return Recipe(model=model, dataset="tiny", budget="smoke", resolution=16, **settings)  # type: ignore[arg-type]


def images(count: int = 40, resolution: int = 16, seed: int = 0) -> Tensor:
    """uint8 [count, 3, resolution, resolution]: skies over land, each with its own colours and horizon."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.randint(40, 216, (count, 2, 3, 1, 1), generator=generator)
    horizon = torch.randint(resolution // 4, 3 * resolution // 4, (count, 1, 1, 1), generator=generator)
    below = torch.arange(resolution)[:, None] >= horizon
    grain = torch.randint(-20, 20, (count, 3, resolution, resolution), generator=generator)
    return (torch.where(below, colours[:, 1], colours[:, 0]) + grain).to(torch.uint8)


def write(folder: Path, pictures: Tensor) -> Path:
    """PNG files of uint8 [n, 3, h, w]."""
    folder.mkdir(parents=True)
    for at, picture in enumerate(pictures):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{at:04d}.png")
    return folder
