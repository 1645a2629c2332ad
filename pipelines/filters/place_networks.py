"""The classifiers that the invariance stage may learn with, behind one face: the small network, or a ResNet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from manifests.errors import SetupError
from models import patch_classifier, resnet_classifier
from models.patch_classifier import RGB
from models.weights import WeightsError, read_tensors

Judge = Callable[[Sequence[Tensor]], Tensor]  # tiles uint8 [parts, 3, height, width] of n photos: [n, part, place]


class Learner(Protocol):
    """Learns places from pictures, and judges by what was learned."""

    steps: int  # how often `train` says that it went on

    def train(
        self, pictures: Sequence[Tensor], seed: int, advance: Callable[[], None]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, and the sizes that `judge` needs, after learning from tiles uint8 [parts, 3, height, width]."""


class Small:
    """The small network, from random weights."""

    steps = 1

    def __init__(self, parts: int, mirrored: bool) -> None:
        self._parts, self._mirrored = parts, mirrored

    def train(
        self, pictures: Sequence[Tensor], seed: int, advance: Callable[[], None]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Learner`."""
        width = patch_classifier.width_for(len(pictures))
        sizes = patch_classifier.Sizes(parts=self._parts, width=width, mirrored=self._mirrored)
        nothing = torch.empty(0, self._parts, 3, patch_classifier.TILE_HEIGHT, patch_classifier.TILE_WIDTH)
        network = patch_classifier.train(torch.stack(list(pictures)) if pictures else nothing, sizes, seed=seed)
        advance()
        return dict(network.state_dict()), asdict(sizes)


class ResNet:
    """A ResNet, from pretrained weights; SetupError where the file's tensors are not of this network."""

    steps = resnet_classifier.EPOCHS

    def __init__(self, network: str, parts: int, mirrored: bool, file: Path) -> None:
        self._sizes = resnet_classifier.Sizes(network, parts, mirrored)
        try:
            self._pretrained = read_tensors(file)
            resnet_classifier.begin(resnet_classifier.build(self._sizes, 0), self._pretrained)
        except (WeightsError, ValueError) as error:
            raise SetupError(f"{file} does not fit {network}: {error}") from error

    def train(
        self, pictures: Sequence[Tensor], seed: int, advance: Callable[[], None]
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Learner`."""
        network = resnet_classifier.train(pictures, self._sizes, seed, self._pretrained, advance, self.steps)
        return dict(network.state_dict()), asdict(self._sizes)


def judge(network: str, sizes: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Judge:
    """What a learned network says of photos: for each part the probability of every place."""
    if network == "small":
        small = patch_classifier.load(patch_classifier.Sizes(**sizes), weights)
        return lambda pictures: patch_classifier.probabilities(small, torch.stack(list(pictures)))
    resnet = resnet_classifier.load(resnet_classifier.Sizes(**sizes), weights)
    return lambda pictures: resnet_classifier.probabilities(resnet, pictures)


def cut(network: str, image: RGB, parts: int) -> Tensor:
    """The parts of an image as the network takes them: uint8 [parts, 3, height, width]."""
    return patch_classifier.cut(image, parts) if network == "small" else resnet_classifier.cut(image, parts)
