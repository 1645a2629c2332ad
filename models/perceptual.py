"""How unlike two pictures look to a network that knows photographs.

Zhang et al. 2018 (arXiv:1801.03924, section 3): features of VGG-16 after each of its five stages, scaled to unit
length at every place; the mean squared difference. Their learned weights of channels are not used, so numbers are not
LPIPS. The weights are torchvision's, `lhq weights fetch vgg16`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models import weights

NAME = "vgg16"
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # channels of the convolutions
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of pictures in [0, 1], as torchvision states
EPSILON = 1e-10


class Perceptual(nn.Module):
    """Two batches of images [batch, 3, height, width] about [-1, 1], at least 16 pixels a side, to a scalar."""

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        before = 3
        for at, stage in enumerate(STAGES):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if at else []
            for after in stage:
                layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
                before = after
            self.stages.append(nn.Sequential(*layers))
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(SPREAD)[:, None, None], persistent=False)

    def forward(self, ours: Tensor, theirs: Tensor) -> Tensor:
        x = torch.cat([ours, theirs])
        x = ((x + 1) / 2 - self.mean) / self.spread
        total = x.new_zeros(())
        for stage in self.stages:
            x = stage(x)
            unit = x / (x.square().sum(1, keepdim=True) + EPSILON).sqrt()
            one, other = unit.chunk(2)
            total = total + (one - other).square().sum(1).mean()
        return total


def load(cache: Path | None = None) -> tuple[Perceptual, str]:
    """The network with its weights, and their SHA-256. Raises WeightsError where the file is not there or another."""
    found = weights.find(NAME, cache=cache)
    network = Perceptual()
    convolutions = [layer for stage in network.stages for layer in stage.modules() if isinstance(layer, nn.Conv2d)]
    stored = weights.read_tensors(found.path)
    names = [name.removesuffix(".weight") for name in stored if name.startswith("features.") and name[-6:] == "weight"]
    try:
        for name, layer in zip(sorted(names, key=lambda one: int(one.split(".")[1])), convolutions, strict=True):
            layer.load_state_dict({"weight": stored[f"{name}.weight"], "bias": stored[f"{name}.bias"]})
    except (ValueError, KeyError, RuntimeError) as error:
        raise weights.WeightsError(f"{found.path} does not hold the convolutions of VGG-16: {error}") from error
    return network.eval().requires_grad_(False), found.sha256
