"""A small network that tells from one part of a picture where in the frame the part lies.

Algorithm 1 of ALIS (Skorokhodov et al. 2021, arXiv:2104.06954, section 3.4) fine-tunes a pretrained
network to tell the left from the right half of a photo; photos whose halves are told apart are not
spatially invariant. Here the network is tiny and learns from nothing but the set itself, often from 64
photos of which few tell anything, so nearly everything in this file is there against learning by heart:
strong jitter of colour, blending of pictures, dropout, weight decay, few steps, an average of the weights.

Pictures are uint8 tensors [pictures, parts, 3, TILE_HEIGHT, TILE_WIDTH], parts from left to right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

RGB = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]  # [height, width, 3]

TILE_HEIGHT, TILE_WIDTH = 32, 24  # of one part, pixels
DEPTH = 3  # convolutions of stride 2
DROPOUT = 0.5
BATCH = 32  # pictures
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.1
COLOUR_JITTER = 0.6  # standard deviation of each entry added to the 3x3 colour matrix
VERTICAL_SHIFT = TILE_HEIGHT // 4  # pixels, at most, up or down
AVERAGE = 0.98  # decay of the weights' moving average
CONTRAST_FLOOR = 0.05  # of [0, 1]: keeps the noise of an empty tile from being blown up


@dataclass(frozen=True)
class Sizes:
    """What a network is built from. `mirrored`: it also looks at the mirrored tile, as one trained with flips may."""

    parts: int = 2
    width: int = 8  # channels after the first convolution; doubled by each further one
    mirrored: bool = True


class PatchClassifier(nn.Module):
    """Tiles [batch, 3, TILE_HEIGHT, TILE_WIDTH] in [0, 1] to logits [batch, parts] of their place.

    Convolutions halve the tile three times; rows are then averaged, columns are kept, because the place
    of a thing within its tile (cut by its right edge, say) is what tells. No statistics of the batch enter.
    """

    def __init__(self, sizes: Sizes, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        self.generator = generator  # of initial weights and dropout: never the global one
        channels = [3, *(sizes.width * 2**level for level in range(DEPTH))]
        columns = math.ceil(TILE_WIDTH / 2**DEPTH)
        with torch.device("meta"):  # the constructors would draw from the global generator
            convolutions = [nn.Conv2d(n, m, 3, stride=2, padding=1) for n, m in itertools.pairwise(channels)]
            norms = [nn.GroupNorm(4, n) for n in channels[1:]]
            self.head = nn.Linear(channels[-1] * columns, sizes.parts)
        self.convolutions, self.norms = nn.ModuleList(convolutions), nn.ModuleList(norms)
        self.to_empty(device="cpu")
        for convolution, norm in zip(convolutions, norms, strict=True):
            nn.init.kaiming_uniform_(convolution.weight, a=math.sqrt(5), generator=generator)
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
            norm.reset_parameters()
        nn.init.zeros_(self.head.weight)  # an untrained network says 1 / parts of every tile
        nn.init.zeros_(self.head.bias)

    def forward(self, tiles: Tensor) -> Tensor:
        """Logits [batch, parts]. A mirrored tile of place i is one of place parts - 1 - i."""
        x = standardise(tiles)
        logits: Tensor = self._logits(x)
        if self.sizes.mirrored:
            logits = (logits + self._logits(x.flip(3)).flip(1)) / 2
        return logits

    def _logits(self, x: Tensor) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = functional.gelu(norm(convolution(x)))  # [batch, width * 2**level, height / 2, width / 2]
        x = x.mean(2).flatten(1)  # [batch, channels * columns]
        if self.training:
            kept = torch.rand(x.shape, generator=self.generator) >= DROPOUT
            x = x * kept / (1 - DROPOUT)
        logits: Tensor = self.head(x)
        return logits


def standardise(tiles: Tensor) -> Tensor:
    """Each tile [batch, 3, height, width] without its mean colour, at unit contrast."""
    centred = tiles - tiles.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((1, 2, 3), keepdim=True).sqrt() + CONTRAST_FLOOR)


def cut(image: RGB, parts: int, height: int = TILE_HEIGHT, width: int = TILE_WIDTH) -> Tensor:
    """The parts of an image [height, width, 3], equally wide, as tiles: uint8 [parts, 3, height, width].

    Every pixel of a tile is the mean of the pixels it covers; the aspect ratio is given up.
    """
    pixels = torch.tensor(image).permute(2, 0, 1).float()[None]
    small = functional.adaptive_avg_pool2d(pixels, (height, parts * width))[0]
    tiles = torch.stack(small.chunk(parts, 2))  # [parts, 3, height, width]
    return tiles.round().clamp(0, 255).to(torch.uint8).contiguous()


def mirror(pictures: Tensor) -> Tensor:
    """Whole pictures [..., parts, 3, height, width] mirrored: part i is the mirrored part parts - 1 - i."""
    return pictures.flip(-1, -4)


def augment(pictures: Tensor, generator: torch.Generator, flip: bool) -> Tensor:
    """Pictures [batch, parts, 3, height, width] in [0, 1], changed in ways that keep every part in its place.

    Whole pictures are mirrored by chance (half of them), seen in other colours, moved up or down, and blended
    with another picture of the batch (mixup of Zhang et al. 2017, arXiv:1710.09412, among equal labels).
    """
    batch = len(pictures)

    def uniform() -> Tensor:
        return torch.rand(batch, 1, 1, 1, 1, generator=generator)

    if flip:
        pictures = torch.where(uniform() < 0.5, mirror(pictures), pictures)
    colours = torch.eye(3) + COLOUR_JITTER * torch.randn(batch, 3, 3, generator=generator)
    pictures = torch.einsum("bij,bpjhw->bpihw", colours, pictures - 0.5) + 0.5
    shift = torch.randint(-VERTICAL_SHIFT, VERTICAL_SHIFT + 1, (batch, 1), generator=generator)
    rows = (torch.arange(TILE_HEIGHT) + shift).clamp(0, TILE_HEIGHT - 1)  # [batch, height]
    pictures = pictures.gather(3, rows[:, None, None, :, None].expand_as(pictures))
    share = 0.5 + 0.5 * uniform()
    return share * pictures + (1 - share) * pictures[torch.randperm(batch, generator=generator)]


def width_for(pictures: int) -> int:
    """Channels for a training set of this size: more pictures can teach more filters."""
    return 8 if pictures < 512 else 16


def steps_for(pictures: int) -> int:
    """Steps for a training set of this size: 200 for 64, by the square root beyond, at most 3,000."""
    return min(max(round(200 * math.sqrt(pictures / 64)), 100), 3000)


def train(pictures: Tensor, sizes: Sizes, seed: int, steps: int | None = None) -> PatchClassifier:
    """A network trained on uint8 pictures [n, parts, 3, TILE_HEIGHT, TILE_WIDTH], in evaluation mode.

    The same bytes of weights for the same pictures, sizes and seed. One thread computes: so small a network
    gains nothing from more, and their number would change the weights. With no picture the network stays
    untrained and says 1 / parts of every tile.
    """
    network = PatchClassifier(sizes, torch.Generator().manual_seed(seed))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if len(pictures):
            _descend(network, pictures, steps or steps_for(len(pictures)))
    finally:
        torch.set_num_threads(threads)
    return network.eval()


def _descend(network: PatchClassifier, pictures: Tensor, steps: int) -> None:
    """AdamW with a short warm-up and a cosine; the network ends with the moving average of its weights."""
    generator = network.generator
    weights: list[Tensor] = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True)
    batch = min(BATCH, len(pictures))
    places = torch.arange(network.sizes.parts).repeat(batch)  # [batch * parts]
    network.train()
    for step in range(steps):
        warm_up, cosine = min(1.0, (step + 1) / 20), 0.5 + 0.5 * math.cos(math.pi * step / steps)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * warm_up * cosine
        chosen = torch.randperm(len(pictures), generator=generator)[:batch]
        tiles = augment(pictures[chosen].float() / 255, generator, flip=network.sizes.mirrored).flatten(0, 1)
        loss = functional.cross_entropy(network(tiles), places)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, weights, 1 - min(AVERAGE, (step + 1) / (step + 10)))
    with torch.no_grad():
        torch._foreach_copy_(weights, average)


def load(sizes: Sizes, weights: Mapping[str, Tensor]) -> PatchClassifier:
    """The network of these sizes with these weights, in evaluation mode."""
    network = PatchClassifier(sizes, torch.Generator())
    network.load_state_dict(weights)
    return network.eval()


@torch.no_grad()
def probabilities(network: PatchClassifier, pictures: Tensor) -> Tensor:
    """For each part of uint8 pictures [n, parts, 3, height, width] the softmax over places: [n, part, place]."""
    parts = network.sizes.parts
    return torch.softmax(network(pictures.flatten(0, 1).float() / 255), 1).view(-1, parts, parts)
