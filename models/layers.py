"""Layers that the generators and the discriminator share: equalised rates, modulation, FIR resampling.

Karras et al. 2020, 'Analyzing and Improving the Image Quality of StyleGAN' (arXiv:1912.04958), is the source
unless another is named. Nothing here builds a weight per sample: styles scale the activations, one convolution
serves the whole batch, and what demodulation would do to the weights is done to its output, which is the same.
Tensors are channels_last wherever a convolution reads them.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2  # of the leaky ReLU on the negative side
GAIN = math.sqrt(2)  # after each leaky ReLU: keeps the variance
FIR = (1.0, 3.0, 3.0, 1.0)
EPSILON = 1e-8


def channels_at(resolution: int, base: int, most: int) -> int:
    """Feature maps of the block that works at this resolution."""
    return min(base // resolution, most)


def resolutions(last: int) -> list[int]:
    """4, 8, ... up to the resolution of the image. Raises ValueError unless it is a power of two, 8 to 1024."""
    if last not in (8, 16, 32, 64, 128, 256, 512, 1024):
        raise ValueError(f"resolution {last}: choose a power of two from 8 to 1024")
    return [2**level for level in range(2, last.bit_length())]


def normalise(z: Tensor) -> Tensor:
    """Latents [batch, dim] scaled to mean square one."""
    return z * (z.square().mean(1, keepdim=True) + EPSILON).rsqrt()


class Dense(nn.Module):
    """A linear layer [batch, inputs] -> [batch, outputs] with equalised learning rate (arXiv:1710.10196, 4.1).

    Weights are stored at unit variance over `rate` and scaled when used; `rate` is the layer's learning rate
    relative to the others'.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0, activate: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.rate, self.activate = rate, activate

    def forward(self, x: Tensor) -> Tensor:
        gain = self.rate / math.sqrt(self.weight.shape[1])
        x = functional.linear(x, self.weight * gain, self.bias * self.rate)
        return functional.leaky_relu(x, SLOPE) * GAIN if self.activate else x


class Mapping(nn.Module):
    """The mapping network: z [batch, z_dim] to w [batch, w_dim]; `w_avg` is the running mean that training keeps."""

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int, layers: int) -> None:
        super().__init__()
        widths = [z_dim] + [w_dim] * layers
        self.z_dim = z_dim
        self.layers = nn.ModuleList(Dense(n, m, rate=0.01, activate=True) for n, m in itertools.pairwise(widths))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor) -> Tensor:
        w = normalise(z.to(self.w_avg.dtype))
        for layer in self.layers:
            w = layer(w)
        return w

    def truncate(self, w: Tensor, truncation: float) -> Tensor:
        """w [..., w_dim] moved towards its mean: 1 leaves it, 0 gives the mean."""
        return w if truncation == 1 else self.w_avg + truncation * (w - self.w_avg)


class _Fir(torch.autograd.Function):
    """The 4x4 low-pass filter of x [batch, channels, h, w], channel by channel, or (`adjoint`) its transpose.

    A function of its own because PyTorch, asked for a second derivative, would also compute one with respect to the
    filter, group by group, which takes longer than everything else together.
    """

    @staticmethod
    def forward(x: Tensor, gain: float, stride: int, padding: int, adjoint: bool) -> Tensor:
        taps = torch.tensor(FIR, dtype=x.dtype, device=x.device)
        channels = x.shape[1]
        kernel = (taps[:, None] * taps * (gain / sum(FIR) ** 2)).expand(channels, 1, 4, 4)
        if adjoint and stride > 1:
            return functional.conv_transpose2d(x, kernel, stride=stride, padding=padding, groups=channels)
        padding = 3 - padding if adjoint else padding  # the filter is symmetric
        return functional.conv2d(x, kernel, stride=stride, padding=padding, groups=channels)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ARG004
        ctx.how = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        gain, stride, padding, adjoint = ctx.how
        return _fir(gradient, gain, stride, padding, not adjoint), None, None, None, None


def _fir(x: Tensor, gain: float, stride: int, padding: int, adjoint: bool) -> Tensor:
    filtered: Tensor = _Fir.apply(x, gain, stride, padding, adjoint)
    return filtered


def smooth(x: Tensor, padding: int, *, gain: float = 1.0) -> Tensor:
    """Low-pass filtered: [batch, channels, h, w] grows by 2 * padding - 3 pixels."""
    return _fir(x, gain, 1, padding, False)


def halve(x: Tensor) -> Tensor:
    """Half the size (which is even): the filter at every other pixel."""
    return _fir(x, 1.0, 2, 1, False)


def double(x: Tensor) -> Tensor:
    """Twice the size: zeros between the pixels, then the filter with gain 4."""
    return _fir(x, 4.0, 2, 1, True)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, up: bool = False, down: bool = False) -> Tensor:
    """Convolution of [batch, in, h, w] with [out, in, k, k], keeping the size, doubling or halving it."""
    if up:
        x = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [batch, out, 2h+1, 2w+1]
        x = smooth(x, 1, gain=4.0)
        return x if bias is None else x.add_(bias[:, None, None])
    if down:
        return functional.conv2d(smooth(x, 2), weight, bias, stride=2)  # smooth: [batch, in, h+1, w+1]
    if x.shape[3] == 1:  # a strip of one pixel: the outer taps would only see the padding
        middle = weight.shape[3] // 2
        weight = weight[..., middle : middle + 1]
        return functional.conv2d(x, weight, bias, padding=(middle, 0))
    return functional.conv2d(x, weight, bias, padding=weight.shape[2] // 2)


def activate(x: Tensor, scale: Tensor, bias: Tensor, noise: Tensor | None = None) -> Tensor:
    """leaky_relu(scale * x + bias + noise) * sqrt(2); scale [batch or 1, channels], noise broadcastable to x.

    sqrt(2) goes inside, because the leaky ReLU commutes with it.
    """
    scale = (scale * GAIN).to(x.dtype)
    x = torch.addcmul((bias * GAIN).to(x.dtype)[:, None, None], x, scale[:, :, None, None])
    return _noisy(x, noise)


def _noisy(x: Tensor, noise: Tensor | None) -> Tensor:
    """leaky_relu(x + sqrt(2) * noise), in place."""
    if noise is not None:
        x = x.add_(noise.to(x.dtype), alpha=GAIN)
    return functional.leaky_relu_(x, SLOPE)


class StyledConv(nn.Module):
    """What a styled 3x3 convolution owns: weights, its style's affine map, bias and the strength of its noise.

    `noise`: the size of a constant noise [noise, noise] that belongs to the layer; None for none. `bound`: what it
    gives is clamped to +-bound; 0 for not.
    """

    noise: Tensor
    bound: float = 0.0

    def __init__(self, inputs: int, outputs: int, w_dim: int, *, up: bool = False, noise: int | None = None) -> None:
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3).contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.up = up
        self.folded = False
        if noise is not None:
            self.register_buffer("noise", torch.randn(noise, noise))

    def run(self, x: Tensor, style: Tensor, demodulation: Tensor | None, noise: Tensor | None) -> Tensor:
        """x [batch, inputs, h, w], style broadcastable to it, demodulation [batch or 1, outputs], None where folded."""
        made = self._run(x, style, demodulation, None if noise is None else noise * self.noise_strength)
        return clamped(made, self.bound)

    def _run(self, x: Tensor, style: Tensor, demodulation: Tensor | None, noise: Tensor | None) -> Tensor:
        weight = self.weight.to(x.dtype)
        if demodulation is None:
            return _noisy(convolve(x * style.to(x.dtype), weight, self.bias, up=self.up), noise)
        if x.dtype == torch.float16:  # sums over many channels would leave its range: scaled before, not after
            gain = math.sqrt(self.weight[0].numel())
            style, demodulation = style / gain, demodulation * gain
        return activate(convolve(x * style.to(x.dtype), weight, up=self.up), demodulation, self.bias, noise)

    def fold(self, demodulation: Tensor) -> None:
        """Take a demodulation [outputs] that no style changes, and the gain, into weights and bias: for generating."""
        self.weight = nn.Parameter(self.weight * (demodulation * GAIN)[:, None, None, None], requires_grad=False)
        self.bias = nn.Parameter(self.bias * GAIN, requires_grad=False)
        self.folded = True


def clamped(x: Tensor, bound: float) -> Tensor:
    """x within +-bound; 0: as it is."""
    return x.clamp(-bound, bound) if bound else x


class Synthesising(nn.Module):
    """A network of styled convolutions, which may compute in another number format than that of their weights."""

    computing: torch.dtype | None = None
    num_ws: int  # styles that it takes

    def clamp(self, bound: float) -> None:
        """Bound what every convolution and every picture of a block gives, as published networks do (256); 0: not."""
        for layer in self.modules():
            if isinstance(layer, StyledConv | ToRGB):
                layer.bound = bound

    @property
    def dtype(self) -> torch.dtype:
        """What the convolutions compute in."""
        return self.computing or next(layer.weight.dtype for layer in self.modules() if isinstance(layer, StyledConv))


class ToRGB(nn.Module):
    """A styled 1x1 convolution to colours, not demodulated; `bound` as in a StyledConv."""

    bound: float = 0.0

    def __init__(self, inputs: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Dense(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))

    def run(self, x: Tensor, style: Tensor) -> Tensor:
        """x [batch, inputs, h, w], style broadcastable to it -> [batch, 3, h, w], float32 at least."""
        gain = 1 / math.sqrt(self.weight.shape[1])
        picture = functional.conv2d(x * (style * gain).to(x.dtype), self.weight.to(x.dtype))
        return clamped(picture.to(self.bias.dtype) + self.bias[:, None, None], self.bound)


class StyledGenerator(nn.Module):
    """What the generators share: a mapping network, whose w every layer of the synthesis has for its style."""

    synthesis: Synthesising

    def __init__(self, z_dim: int, w_dim: int, mapping_layers: int) -> None:
        super().__init__()
        self.mapping = Mapping(z_dim, w_dim, mapping_layers)

    @property
    def device(self) -> torch.device:
        return self.mapping.w_avg.device

    def styles(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """ws [batch, num_ws, w_dim] of z [batch, z_dim]: the same w for every layer."""
        return self.every_layer(self.mapping(z), truncation)

    def every_layer(self, w: Tensor, truncation: float) -> Tensor:
        """ws [batch, num_ws, w_dim] of w [batch, w_dim]."""
        return self.mapping.truncate(w, truncation)[:, None].expand(-1, self.synthesis.num_ws, -1)
