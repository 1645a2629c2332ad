"""StyleGAN2: mapping network, skip generator, residual discriminator.

Karras et al. 2020, 'Analyzing and Improving the Image Quality of StyleGAN' (arXiv:1912.04958): weight
demodulation (section 2.2, equations 1 and 3), skip generator and residual discriminator (section 4.1, figure 7),
halved channels (configuration E). Minibatch standard deviation and equalised learning rates are those of
Karras et al. 2018 (arXiv:1710.10196, sections 3 and 4.1).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import counter_random, layers
from models.counter_random import Kind
from models.layers import EPSILON, Dense, StyledConv, StyledGenerator, Synthesising, ToRGB, convolve, double, halve


@dataclass(frozen=True)
class Sizes:
    """What a generator is built from. `channel_base` 16384 is configuration E at 256x256.

    `clamp`: the bound of what each convolution and each block's picture gives; 0 for none. Published networks were
    trained with 256, so that float16 would do.
    """

    resolution: int = 256
    z_dim: int = 512
    w_dim: int = 512
    channel_base: int = 16384
    channel_max: int = 512
    mapping_layers: int = 2
    clamp: float = 0.0

    def channels(self, resolution: int) -> int:
        return layers.channels_at(resolution, self.channel_base, self.channel_max)


class Block(nn.Module):
    """Two styled convolutions at one resolution (one in the first block) and a picture of what they made."""

    def __init__(self, inputs: int | None, outputs: int, w_dim: int, resolution: int) -> None:
        super().__init__()
        self.conv0 = None if inputs is None else StyledConv(inputs, outputs, w_dim, up=True, noise=resolution)
        self.conv1 = StyledConv(outputs, outputs, w_dim, noise=resolution)
        self.to_rgb = ToRGB(outputs, w_dim)

    @property
    def convolutions(self) -> list[StyledConv]:
        return [self.conv1] if self.conv0 is None else [self.conv0, self.conv1]


def styled(layer: StyledConv, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
    """One modulated and demodulated convolution: equations 1 and 3, the latter applied to the output."""
    style = layer.affine(w)  # [batch, inputs]
    power = layer.weight.to(style.dtype).square().sum((2, 3))  # [outputs, inputs]
    demodulation = (style.square() @ power.T + EPSILON).rsqrt()  # [batch, outputs]
    return layer.run(x, style[:, :, None, None], demodulation, noise)


class Synthesis(Synthesising):
    """Styles ws [batch, num_ws, w_dim] to images [batch, 3, resolution, resolution], about [-1, 1]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        places = layers.resolutions(sizes.resolution)
        widths = [sizes.channels(place) for place in places]
        self.input = nn.Parameter(torch.randn(widths[0], 4, 4))
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, sizes.w_dim, place)
            for inputs, outputs, place in zip([None, *widths], widths, places, strict=False)
        )
        self.num_ws = 2 * len(places)  # one per convolution, and one for the last picture
        self.clamp(sizes.clamp)

    @property
    def stages(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    @property
    def convolutions(self) -> list[StyledConv]:
        """The styled convolutions in their order, each of which takes one noise."""
        return [layer for block in self.stages for layer in block.convolutions]

    def constant_noise(self) -> list[Tensor]:
        """The noise that belongs to the network, one [size, size] per convolution."""
        return [layer.noise for layer in self.convolutions]

    def forward(self, ws: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """`noise`: one tensor per convolution, broadcastable to [batch, 1, size, size]; None for none."""
        styles = iter(ws.unbind(1))
        noises = iter(noise if noise is not None else [None] * (self.num_ws - 1))
        x = self.input.to(self.dtype).expand(ws.shape[0], -1, -1, -1)  # [batch, c, 4, 4]
        x = x.contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        w = next(styles)
        for block in self.stages:
            for layer in block.convolutions:
                x = styled(layer, x, w, next(noises))  # [batch, c, size, size]
                w = next(styles)  # a picture shares its style with the convolution that follows it
            picture = block.to_rgb.run(x, block.to_rgb.affine(w)[:, :, None, None])  # [batch, 3, size, size]
            image = picture if image is None else double(image) + picture
        assert image is not None
        return image


class Generator(StyledGenerator):
    """z [batch, z_dim] to images [batch, 3, resolution, resolution], about [-1, 1], not clamped."""

    synthesis: Synthesis

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes.z_dim, sizes.w_dim, sizes.mapping_layers)
        self.sizes = sizes
        self.synthesis = Synthesis(sizes)

    def forward(self, z: Tensor, truncation: float = 1.0, noise: Sequence[Tensor] | None = None) -> Tensor:
        image: Tensor = self.synthesis(self.styles(z, truncation), noise)
        return image

    def noise(self, seed: int, kind: Kind, index: Tensor) -> list[Tensor]:
        """For each convolution the noise [n, 1, size, size] of images (int64 [n]), the same whoever asks."""
        constants = self.synthesis.constant_noise()
        numbers = counter_random.normals(seed, kind, index, [constant.numel() for constant in constants])
        return [one.view(-1, 1, *constant.shape) for one, constant in zip(numbers, constants, strict=True)]

    @torch.no_grad()
    def samples(self, seed: int, first: int, count: int, *, truncation: float = 1.0, noise: bool = True) -> Tensor:
        """Images first ... first + count - 1 of a seed: [count, 3, resolution, resolution].

        Raises ValueError for a seed that is not in [0, 2**64).
        """
        index = torch.arange(first, first + count, device=self.device)
        z = counter_random.normal(seed, Kind.LATENT, 0, index, self.sizes.z_dim)
        image: Tensor = self(z, truncation, self.noise(seed, Kind.IMAGE_NOISE, index) if noise else None)
        return image


class EqualisedConv(nn.Module):
    """A convolution with equalised learning rate, bias and leaky ReLU; `gain` times the usual gain of sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, down: bool = False, gain: float = 1.0) -> None:
        super().__init__()
        weight = torch.randn(outputs, inputs, kernel, kernel)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.down, self.gain = down, gain

    def forward(self, x: Tensor) -> Tensor:
        bias = (self.bias * (layers.GAIN * self.gain)).to(x.dtype)[:, None, None]
        scale = layers.GAIN * self.gain / math.sqrt(self.weight[0].numel())
        if x.dtype == torch.float16:  # sums over many channels would leave its range: scaled before, not after
            x, scale = convolve(x, (self.weight * scale).to(x.dtype), down=self.down), 1.0
        else:
            x = convolve(x, self.weight.to(x.dtype), down=self.down)
        x = torch.add(bias, x, alpha=scale)
        return functional.leaky_relu_(x, layers.SLOPE)


class ResidualBlock(nn.Module):
    """Halves the resolution; both branches are scaled so that their sum keeps the variance."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = EqualisedConv(inputs, inputs, 3)
        self.conv1 = EqualisedConv(inputs, outputs, 3, down=True, gain=math.sqrt(0.5))
        self.skip = nn.Parameter(torch.randn(outputs, inputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        gain = math.sqrt(0.5 / self.skip.shape[1])
        skip = functional.conv2d(halve(x), (self.skip * gain).to(x.dtype))  # [batch, outputs, h/2, w/2]
        x = self.conv1(self.conv0(x))
        return x + skip


def minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """x [batch, channels, h, w] with one more channel: how much the members of a group differ, on average.

    The batch is cut into batch / group groups; the members of a group stand batch / group apart. The last batch
    of an epoch may be smaller than a group. Raises ValueError for a larger batch that is no multiple of it.
    """
    batch, _, height, width = x.shape
    group = min(group, batch)
    if batch % group:
        raise ValueError(f"a batch of {batch} images is no multiple of {group}, the group of the minibatch deviation")
    members = x.reshape(group, batch // group, -1)  # [group, groups, channels * h * w]
    spread = (members.var(0, unbiased=False) + EPSILON).sqrt().mean(1)  # [groups]
    channel = spread.repeat(group)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, channel], 1)


class Discriminator(nn.Module):
    """Images [batch, 3, resolution, resolution] to logits [batch, 1]; high means real.

    The batch must be a multiple of `group`, or smaller. `computing`: the number format of the blocks, where it is not
    that of their weights; what compares pictures with each other, and all after it, keeps that of the weights.
    """

    computing: torch.dtype | None = None

    def __init__(self, resolution: int, channel_base: int = 16384, channel_max: int = 512, group: int = 4) -> None:
        super().__init__()
        places = layers.resolutions(resolution)[::-1]
        widths = [layers.channels_at(place, channel_base, channel_max) for place in places]
        last = widths[-1]
        self.from_rgb = EqualisedConv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(n, m) for n, m in itertools.pairwise(widths)))
        self.conv = EqualisedConv(last + 1, last, 3)
        self.dense = Dense(last * 4 * 4, last, activate=True)
        self.out = Dense(last, 1)
        self.group = group

    def forward(self, images: Tensor) -> Tensor:
        x = images.to(self.computing or self.from_rgb.weight.dtype, memory_format=torch.channels_last)
        x = self.blocks(self.from_rgb(x))  # [batch, last, 4, 4]
        x = x.to(self.conv.weight.dtype)
        x = self.conv(minibatch_deviation(x, self.group))
        logits: Tensor = self.out(self.dense(x.flatten(1)))
        return logits
