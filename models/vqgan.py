"""VQGAN: pictures to small maps of codes and back, a convolutional auto-encoder around a codebook.

Esser, Rombach and Ommer 2021, 'Taming Transformers for High-Resolution Image Synthesis' (arXiv:2012.09841), section
3.1; the layers are those of Ho et al. 2020 (arXiv:2006.11239, appendix B): residual blocks of GroupNorm, swish and
convolution, with attention at small resolutions. Nothing here knows the size of a picture: what is coded may be as
high and wide as one likes, in multiples of `factor`. GroupNorm and attention see all of what is given at once, so
pixels hang on every code that is decoded with them: `models/taming.py` tells of wide pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6  # of the group normalisation


@dataclass(frozen=True)
class Sizes:
    """Of a VQGAN; the defaults are the published ones."""

    resolution: int = 256  # pixels of a frame: says only which levels have attention
    channels: int = 128
    multiples: tuple[int, ...] = (1, 1, 2, 2, 4)  # of the channels, from the finest level to that of the codes
    blocks: int = 2  # residual ones on each level of the encoder; the decoder has one more
    attention_at: tuple[int, ...] = (16,)  # resolutions
    latent: int = 256  # channels on both sides of the codes
    code_width: int = 256
    codes: int = 1024
    groups: int = 32  # of the normalisation

    def __post_init__(self) -> None:
        if self.resolution % self.factor:
            raise ValueError(f"{len(self.multiples)} levels halve {self.resolution} pixels {self.factor.bit_length()}x")
        if odd := [self.channels * one for one in self.multiples if self.channels * one % self.groups]:
            raise ValueError(f"{odd[0]} channels cannot be cut into {self.groups} groups")

    @property
    def factor(self) -> int:
        """Pixels a side of what one code stands for."""
        return int(2 ** (len(self.multiples) - 1))

    @property
    def side(self) -> int:
        """Codes a side of a frame."""
        return self.resolution // self.factor

    @property
    def widths(self) -> list[int]:
        """Channels of each level."""
        return [self.channels * multiple for multiple in self.multiples]

    def attends(self, level: int) -> bool:
        """Whether the blocks of a level are followed by attention."""
        return self.resolution >> level in self.attention_at


class ResidualBlock(nn.Module):
    """Twice normalise, swish, convolve; the sum with what came in."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm0, self.conv0 = nn.GroupNorm(groups, inputs, EPSILON), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm1, self.conv1 = nn.GroupNorm(groups, outputs, EPSILON), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv0(functional.silu(self.norm0(x)))
        h = self.conv1(functional.silu(self.norm1(h)))
        return cast(Tensor, h + (x if self.skip is None else self.skip(x)))


class Attention(nn.Module):
    """Every place asks every other one, with one head."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, EPSILON)
        self.query, self.key, self.value, self.out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        query, key, value = (one(h).flatten(2).mT[:, None] for one in (self.query, self.key, self.value))
        found = functional.scaled_dot_product_attention(query, key, value)  # [batch, 1, height * width, channels]
        return x + cast(Tensor, self.out(found[:, 0].mT.reshape_as(x)))


class Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention where the level has it."""

    def __init__(self, inputs: int, outputs: int, count: int, groups: int, *, attention: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ResidualBlock(inputs if at == 0 else outputs, outputs, groups) for at in range(count)
        )
        self.attentions = nn.ModuleList(Attention(outputs, groups) for _ in range(count if attention else 0))

    def forward(self, x: Tensor) -> Tensor:
        for at, block in enumerate(self.blocks):
            x = block(x)
            if self.attentions:
                x = self.attentions[at](x)
        return x


class Middle(nn.Sequential):
    """Between the levels and the codes."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__(
            ResidualBlock(channels, channels, groups),
            Attention(channels, groups),
            ResidualBlock(channels, channels, groups),
        )


class Halve(nn.Module):
    """A convolution with stride 2 that begins at the first pixel: zeros stand below and to the right only."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(functional.pad(x, (0, 1, 0, 1))))


class Double(nn.Module):
    """Each pixel four times, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest")))


class Encoder(nn.Module):
    """Pictures [batch, 3, height, width] to [batch, latent, height / factor, width / factor]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths, groups = sizes.widths, sizes.groups
        inputs = [sizes.channels, *widths[:-1]]
        self.first = nn.Conv2d(3, sizes.channels, 3, padding=1)
        self.levels = nn.ModuleList(
            Level(before, after, sizes.blocks, groups, attention=sizes.attends(at))
            for at, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )
        self.halves = nn.ModuleList(Halve(width) for width in widths[:-1])
        self.middle = Middle(widths[-1], groups)
        self.norm = nn.GroupNorm(groups, widths[-1], EPSILON)
        self.last = nn.Conv2d(widths[-1], sizes.latent, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(images)
        for at, level in enumerate(self.levels):
            x = level(x)
            if at < len(self.halves):
                x = self.halves[at](x)
        return cast(Tensor, self.last(functional.silu(self.norm(self.middle(x)))))


class Decoder(nn.Module):
    """The way back. `levels` go from the codes' resolution to that of the picture."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        widths, groups = sizes.widths[::-1], sizes.groups
        inputs = [widths[0], *widths[:-1]]
        finest = len(widths) - 1
        self.first = nn.Conv2d(sizes.latent, widths[0], 3, padding=1)
        self.middle = Middle(widths[0], groups)
        self.levels = nn.ModuleList(
            Level(before, after, sizes.blocks + 1, groups, attention=sizes.attends(finest - at))
            for at, (before, after) in enumerate(zip(inputs, widths, strict=True))
        )
        self.doubles = nn.ModuleList(Double(width) for width in widths[:-1])
        self.norm = nn.GroupNorm(groups, widths[-1], EPSILON)
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def features(self, x: Tensor) -> Tensor:
        """What the last convolution is given: [batch, channels, height, width]."""
        x = self.middle(self.first(x))
        for at, level in enumerate(self.levels):
            x = level(x)
            if at < len(self.doubles):
                x = self.doubles[at](x)
        return functional.silu(self.norm(x))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.last(self.features(x)))


class Quantised(NamedTuple):
    """The nearest codes of a map [batch, code_width, height, width]."""

    codes: Tensor  # int64 [batch, height, width]
    vectors: Tensor  # of the codes, [batch, code_width, height, width]


class VQGAN(nn.Module):
    """Pictures about [-1, 1] to codes and back."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder, self.decoder = Encoder(sizes), Decoder(sizes)
        self.to_codes = nn.Conv2d(sizes.latent, sizes.code_width, 1)
        self.from_codes = nn.Conv2d(sizes.code_width, sizes.latent, 1)
        self.codebook = nn.Parameter(torch.empty(sizes.codes, sizes.code_width).uniform_(-1, 1) / sizes.codes)
        self.to(memory_format=torch.channels_last)

    def encode(self, images: Tensor) -> Tensor:
        """What is quantised: [batch, code_width, height / factor, width / factor]."""
        x: Tensor = self.encoder(images.contiguous(memory_format=torch.channels_last))
        return cast(Tensor, self.to_codes(x))

    def quantise(self, encoded: Tensor) -> Quantised:
        """The code whose vector is nearest, at each place."""
        vectors = encoded.permute(0, 2, 3, 1)  # [batch, height, width, code_width]
        flat = vectors.reshape(-1, vectors.shape[-1])
        lengths = self.codebook.square().sum(1)
        codes = (lengths - 2 * flat @ self.codebook.T).argmin(1).view(vectors.shape[:-1])
        return Quantised(codes, self.vectors(codes))

    def vectors(self, codes: Tensor) -> Tensor:
        """[batch, code_width, height, width] of codes int64 [batch, height, width]."""
        return functional.embedding(codes, self.codebook).permute(0, 3, 1, 2)

    def decode(self, vectors: Tensor) -> Tensor:
        """Pictures of the vectors of codes."""
        return cast(Tensor, self.decoder(self.from_codes(vectors)))

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Pictures [batch, 3, height * factor, width * factor] of codes int64 [batch, height, width]."""
        return self.decode(self.vectors(codes))

    def reconstruct(self, images: Tensor) -> tuple[Tensor, Tensor, Quantised]:
        """Pictures by way of their codes, what was quantised, and the codes.

        The gradient of the pictures passes the codes as if nothing had been quantised (section 3.1).
        """
        encoded = self.encode(images)
        nearest = self.quantise(encoded)
        straight = encoded + (nearest.vectors - encoded).detach()
        return self.decode(straight), encoded, nearest


def codebook_loss(encoded: Tensor, nearest: Tensor, commitment: float) -> Tensor:
    """Codes move to what they stand for, and that, `commitment` times as hard, to them.

    van den Oord et al. 2017 (arXiv:1711.00937), equation 3, as a mean over all numbers.
    """
    to_codes = (nearest - encoded.detach()).square().mean()
    return to_codes + commitment * (encoded - nearest.detach()).square().mean()
