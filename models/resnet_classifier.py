"""A pretrained ResNet that learns to tell the parts of a picture apart: the classifier of ALIS, Algorithm 1.

As the authors trained it (arXiv:2104.06954, section 3.4, and their release): Adam at 1e-5, at 1e-4 for the new last
layer, 10 epochs of batches of 64 pictures, whole pictures mirrored by chance, 256 pixels high, ImageNet's colours.
They give the halves one logit of being the right one; here every place has a logit, which for two places is the same
family of classifiers.

Pictures are uint8 tensors [parts, 3, TILE_HEIGHT, TILE_WIDTH], parts from left to right.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import patch_classifier
from models.patch_classifier import RGB

TILE_HEIGHT, TILE_WIDTH = 256, 128  # of one part, pixels: half of a square
BATCH = 64  # pictures
EPOCHS = 10
BODY_RATE, HEAD_RATE = 1e-5, 1e-4
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours, in [0, 1]
SCORED = 16  # pictures that go through the network at once when they are judged

NETWORKS = ("resnet18", "wide_resnet50_2")


@dataclass(frozen=True)
class Sizes:
    """What a network is built from. `mirrored`: it learned from mirrored pictures too."""

    network: str  # one of NETWORKS
    parts: int = 2
    mirrored: bool = True


def build(sizes: Sizes, seed: int) -> nn.Module:
    """The network with random weights drawn from the seed; the global generator is left as it was."""
    from torchvision import models as published

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # torchvision's constructors draw from the global generator
        network: nn.Module = {"resnet18": published.resnet18, "wide_resnet50_2": published.wide_resnet50_2}[
            sizes.network
        ](weights=None)
        network.fc = nn.Linear(network.fc.in_features, sizes.parts)  # type: ignore[arg-type,union-attr]
    return network


def begin(network: nn.Module, pretrained: Mapping[str, Tensor]) -> None:
    """Take over pretrained weights, all but the last layer's, as float32. Raises ValueError where they do not fit."""
    known = {name: tensor.float() for name, tensor in pretrained.items() if not name.startswith("fc.")}
    counters = {name for name in network.state_dict() if name.endswith("num_batches_tracked")}  # old files lack them
    own = {name for name in network.state_dict() if not name.startswith("fc.")}
    if missing := sorted(own - counters - known.keys()):
        raise ValueError(f"{len(missing)} tensors are missing, such as {missing[0]}")
    try:
        network.load_state_dict({name: known[name] for name in own if name in known}, strict=False)
    except RuntimeError as error:
        raise ValueError(str(error).replace("\n", " ")) from error


def cut(image: RGB, parts: int) -> Tensor:
    """The parts of an image [height, width, 3], equally wide: uint8 [parts, 3, TILE_HEIGHT, TILE_WIDTH].

    The whole picture is squeezed to its size before it is cut, as area means of its pixels.
    """
    return patch_classifier.cut(image, parts, TILE_HEIGHT, TILE_WIDTH)


def train(
    pictures: Sequence[Tensor],
    sizes: Sizes,
    seed: int,
    pretrained: Mapping[str, Tensor],
    advance: Callable[[], None] = lambda: None,
    epochs: int = EPOCHS,
) -> nn.Module:
    """The pretrained network after `epochs` passes over the pictures, in evaluation mode, on the CPU.

    On one machine the same weights for the same pictures, sizes, seed and threads. `advance` is called after every
    epoch. With no picture it stays as it began, its last layer random.
    """
    network = build(sizes, seed)
    begin(network, pretrained)
    if len(pictures):
        device = _device()
        generator = torch.Generator().manual_seed(seed)
        with _repeatable():
            _descend(network.to(device), pictures, sizes, generator, advance, epochs)
    return network.to("cpu").eval()


def _descend(
    network: nn.Module,
    pictures: Sequence[Tensor],
    sizes: Sizes,
    generator: torch.Generator,
    advance: Callable[[], None],
    epochs: int,
) -> None:
    device = next(network.parameters()).device
    head = [weight for name, weight in network.named_parameters() if name.startswith("fc.")]
    body = [weight for name, weight in network.named_parameters() if not name.startswith("fc.")]
    optimizer = torch.optim.Adam([{"params": body, "lr": BODY_RATE}, {"params": head, "lr": HEAD_RATE}])
    network.train()
    for _ in range(epochs):
        for chosen in torch.split(torch.randperm(len(pictures), generator=generator), BATCH):
            batch = torch.stack([pictures[at] for at in chosen.tolist()])
            if sizes.mirrored:
                flip = torch.rand(len(batch), 1, 1, 1, 1, generator=generator) < 0.5
                batch = torch.where(flip, patch_classifier.mirror(batch), batch)
            if len(batch) * sizes.parts < 2:
                continue  # batch normalisation needs two tiles
            places = torch.arange(sizes.parts, device=device).repeat(len(batch))
            loss = functional.cross_entropy(network(normalised(batch.flatten(0, 1).to(device))), places)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        advance()


def load(sizes: Sizes, weights: Mapping[str, Tensor]) -> nn.Module:
    """The network of these sizes with these weights, in evaluation mode, on the GPU where there is one."""
    network = build(sizes, 0)
    network.load_state_dict(weights)
    return network.to(_device()).eval()


@torch.no_grad()
def probabilities(network: nn.Module, pictures: Sequence[Tensor]) -> Tensor:
    """For each part of uint8 pictures [parts, 3, height, width] the softmax over places: [n, part, place].

    Where the memory of the GPU does not reach for a batch it is halved.
    """
    device = next(network.parameters()).device
    found: list[Tensor] = []
    most = SCORED
    while len(found) < len(pictures):
        batch = pictures[len(found) : len(found) + most]
        try:
            logits = network(normalised(torch.cat(list(batch)).to(device))).float()  # [n * parts, places]
        except torch.OutOfMemoryError:
            if most == 1:
                raise
            most = most // 2
            continue
        found.extend(torch.softmax(logits, 1).cpu().view(len(batch), -1, logits.shape[1]))
    return torch.stack(found)


def normalised(tiles: Tensor) -> Tensor:
    """Tiles [n, 3, height, width] with levels 0 ... 255 as ImageNet's networks want them."""
    mean, deviation = (torch.tensor(one, device=tiles.device).view(3, 1, 1) for one in (MEAN, DEVIATION))
    return (tiles.float() / 255 - mean) / deviation


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def _repeatable() -> Iterator[None]:
    """Convolutions on a GPU by one algorithm that gives the same sums each time."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
