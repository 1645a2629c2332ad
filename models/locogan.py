"""LocoGAN with StyleGAN2's layers and Fourier features: one style for a panorama, spatial noise that goes on.

A reconstruction. Struski et al. 2020, 'LocoGAN: Locally Convolutional GAN' (arXiv:2002.07897), make a picture from
noise that has a place (local) and noise that has none (global), and know where they are by coordinates. The ALIS
paper (arXiv:2104.06954) compares itself with such a network with StyleGAN2's layers and Fourier features, and says
little more of it than its number of parameters, 53.7 millions with the discriminator. These sizes have 53,725,475.

What stands here: the global latent gives StyleGAN2's styles; the input is normal noise [channels, 4, 4] per frame,
which extends to both sides as far as one likes; before each block that enlarges, the features get sines and cosines
(Tancik et al. 2020, arXiv:2006.10739) of the place of each pixel, at frequencies that the style sets. The place is
(x, y) in [-1, 1]: x rises through one frame and falls through the next, so that it stays bounded, without a jump.

Convolutions see their neighbours, so a stretch is made with a margin (`Extents`) that is cut off layer by layer:
what is left never saw an edge, and is the same from whichever stretch it is cut. A column is a cell of the input,
a quarter of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from models import counter_random, layers, stylegan2
from models.counter_random import Kind
from models.layers import Dense, StyledConv, StyledGenerator, Synthesising, ToRGB
from models.stylegan2 import styled

CELLS = 4  # columns in a frame
PERIOD = 2 * CELLS  # columns after which coordinates repeat
WAVES = 128  # frequencies per block
SCALE = 10.0  # deviation of the frequencies, radians per unit, at the beginning


@dataclass(frozen=True)
class Sizes(stylegan2.Sizes):
    """What a generator is built from."""

    @property
    def column_width(self) -> int:
        """Pixels."""
        return self.resolution // CELLS

    @property
    def frame_columns(self) -> int:
        return CELLS

    @property
    def shifts(self) -> int:
        """How many places, in columns, a frame may have among the coordinates."""
        return PERIOD


@dataclass(frozen=True)
class Extent:
    """A stretch at one resolution, in pixels from the left border of what is asked for: [first, end)."""

    first: int
    end: int

    @property
    def width(self) -> int:
        return self.end - self.first

    def grown(self, by: int) -> Extent:
        return Extent(self.first - by, self.end + by)

    def doubled(self) -> Extent:
        return Extent(2 * self.first, 2 * self.end)

    def needed(self) -> Extent:
        """At half the resolution: what a convolution that enlarges, or a picture that is enlarged, needs for this."""
        return Extent(self.first // 2 - 1, -(-self.end // 2) + 1)

    def cut(self, x: Tensor, stretch: Extent) -> Tensor:
        """This extent of x [..., width], which covers `stretch`."""
        return x[..., self.first - stretch.first : self.end - stretch.first]


class Extents:
    """What each block of a network has to make, for a number of columns at its end."""

    def __init__(self, resolution: int, columns: int) -> None:
        last = Extent(0, columns * resolution // CELLS)
        self.blocks = [last]  # what a block gives on, from 4x4 to the image
        for _ in layers.resolutions(resolution)[1:]:
            self.blocks.insert(0, self.blocks[0].grown(1).needed())
        self.input = self.blocks[0].grown(1)

    @property
    def noise(self) -> list[Extent]:
        """For each convolution what it makes, before its edges are cut off."""
        made = [self.blocks[0].grown(1)]
        for before, block in zip(self.blocks, self.blocks[1:], strict=False):
            made += [before.doubled(), block.grown(1)]
        return made


class Fourier(nn.Module):
    """Sines and cosines of each pixel's place, [n, 2 * WAVES, resolution, width], at frequencies and phases from w."""

    channels = 2 * WAVES

    def __init__(self, w_dim: int, resolution: int) -> None:
        super().__init__()
        self.affine = Dense(w_dim, 3 * WAVES)
        self.resolution = resolution

    def forward(self, w: Tensor, first: Tensor, width: int) -> Tensor:
        """w [n, w_dim]; first: int64 [n], pixels from the panorama's beginning to the stretch's left border."""
        along, upwards, phase = (self.affine(w).view(-1, 3, WAVES) * SCALE).unbind(1)  # [n, waves]
        pixel = first[:, None] + torch.arange(width, device=first.device)  # [n, width]
        frames = ((pixel % (2 * self.resolution)).to(w.dtype) + 0.5) / self.resolution  # in (0, 2)
        x = 1 - 2 * (1 - frames).abs()
        y = 1 - (2 * torch.arange(self.resolution, device=w.device, dtype=w.dtype) + 1) / self.resolution
        x_angle = (x[:, :, None] * along[:, None] + phase[:, None])[:, None]  # [n, 1, width, waves]
        y_angle = (y[:, None] * upwards[:, None])[:, :, None]  # [n, resolution, 1, waves]
        sin_x, cos_x, sin_y, cos_y = x_angle.sin(), x_angle.cos(), y_angle.sin(), y_angle.cos()
        features = torch.cat([sin_x * cos_y + cos_x * sin_y, cos_x * cos_y - sin_x * sin_y], 3)
        return features.permute(0, 3, 1, 2)  # in channels_last


class Block(nn.Module):
    """In the first block one styled convolution, else one that sees Fourier features and enlarges, and another."""

    def __init__(self, inputs: int | None, outputs: int, w_dim: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.fourier: Fourier | None = None
        self.conv0: StyledConv | None = None
        if inputs is not None:
            self.fourier = Fourier(w_dim, resolution // 2)
            self.conv0 = StyledConv(inputs + Fourier.channels, outputs, w_dim, up=True)
        self.conv1 = StyledConv(outputs, outputs, w_dim)
        self.to_rgb = ToRGB(outputs, w_dim)


class Synthesis(Synthesising):
    """Styles ws [n, num_ws, w_dim] and spatial noise to stretches of `columns`, [n, 3, resolution, width]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        places = layers.resolutions(sizes.resolution)
        widths = [sizes.channels(place) for place in places]
        self.inputs = widths[0]
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, sizes.w_dim, place)
            for inputs, outputs, place in zip([None, *widths], widths, places, strict=False)
        )
        self.num_ws = 2 * len(places)  # one per convolution, and one for the last picture
        self.noise_sizes = [place for place in places for _ in range(2)][1:]  # resolution of each convolution
        self.clamp(sizes.clamp)

    def forward(
        self, ws: Tensor, spatial: Tensor, first: Tensor, columns: int, noise: Sequence[Tensor] | None = None
    ) -> Tensor:
        """`spatial` [n, inputs, 4, cells] and `noise`, one [n, 1, size, width] per convolution: as `Extents` says.

        first: int64 [n], columns from the panorama's beginning to the stretch's.
        """
        extents = Extents(self.sizes.resolution, columns)
        styles = iter(ws.unbind(1))
        noises = iter(noise if noise is not None else [None] * len(self.noise_sizes))
        x, have = spatial.to(self.dtype).contiguous(memory_format=torch.channels_last), extents.input
        image: Tensor | None = None
        w = next(styles)
        for block, wanted in zip(cast(list[Block], list(self.blocks)), extents.blocks, strict=True):
            made = have
            if block.conv0 is not None and block.fourier is not None:
                x = self._with_places(block.fourier, x, w, first, have)
                x = styled(block.conv0, x, w, next(noises))  # [n, c, size, 2 * width]
                w, made = next(styles), have.doubled()
            inner = wanted.grown(1)
            x = styled(block.conv1, inner.cut(x, made), w, next(noises))
            x = wanted.cut(x, inner)
            w = next(styles)  # a picture shares its style with the convolution that follows it
            picture = block.to_rgb.run(x, block.to_rgb.affine(w)[:, :, None, None])
            image = picture if image is None else wanted.cut(layers.double(image), made) + picture
            have = wanted
        assert image is not None
        return image

    def _with_places(self, fourier: Fourier, x: Tensor, w: Tensor, first: Tensor, have: Extent) -> Tensor:
        pixel = first % PERIOD * (fourier.resolution // CELLS) + have.first
        features = fourier(w, pixel, have.width).to(x.dtype)
        return torch.cat([x, features], 1).contiguous(memory_format=torch.channels_last)


class Generator(StyledGenerator):
    """An endless panorama for each seed; pixels about [-1, 1], not clamped."""

    synthesis: Synthesis

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes.z_dim, sizes.w_dim, sizes.mapping_layers)
        self.sizes = sizes
        self.synthesis = Synthesis(sizes)

    def frames(self, ws: Tensor, shift: Tensor, spatial: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Images [batch, 3, resolution, resolution] of frames that each have a style and noise of their own.

        shift: int64 [batch], their places among the coordinates, in columns. spatial, noise: as `frame_spatial` and
        `frame_noise` make them.
        """
        image: Tensor = self.synthesis(ws, spatial, shift, CELLS, noise)
        return image

    def frame_spatial(self, seed: int, kind: Kind, index: Tensor) -> Tensor:
        """The input [n, channels, 4, cells] of frames (int64 [n])."""
        width = Extents(self.sizes.resolution, CELLS).input.width
        cells = width * index[:, None] + torch.arange(width, device=index.device)
        return self._cells(seed, kind, cells)

    def frame_noise(self, seed: int, kind: Kind, index: Tensor) -> list[Tensor]:
        """For each convolution the noise [n, 1, size, width] of frames (int64 [n])."""
        sizes, extents = self.synthesis.noise_sizes, Extents(self.sizes.resolution, CELLS).noise
        lines = [extent.width * index[:, None] + torch.arange(extent.width, device=index.device) for extent in extents]
        return [self._lines(seed, kind, *one) for one in zip(range(len(sizes)), sizes, lines, strict=True)]

    @torch.no_grad()
    def columns(
        self, seed: int, start: int, count: int, *, truncation: float = 1.0, noise: bool = True, batch: int = 64
    ) -> Tensor:
        """Columns start ... start + count - 1 of a seed's panorama: [3, height, count * column_width].

        Any start, also a negative one, in the range of int64 less the last frames. The numbers depend on seed and
        place alone, up to the rounding of float32, whatever `batch` (columns made at once) is. Raises ValueError for
        a seed that is not in [0, 2**64), or a count below 1.
        """
        if count < 1 or batch < 1:
            raise ValueError(f"{count} columns in batches of {batch}: at least one is needed")
        zero = torch.zeros(1, dtype=torch.int64, device=self.device)
        z = counter_random.normal(seed, Kind.PANORAMA_LATENT, 0, zero, self.sizes.z_dim)
        ws = self.styles(z, truncation)
        parts = []
        for first in range(start, start + count, batch):
            many = min(batch, start + count - first)
            noises = self._panorama_noise(seed, first, many) if noise else None
            parts.append(self.synthesis(ws, self._panorama_input(seed, first, many), zero + first, many, noises)[0])
        return torch.cat(parts, 2)

    @torch.no_grad()
    def samples(self, seed: int, first: int, count: int, *, truncation: float = 1.0, noise: bool = True) -> Tensor:
        """Independent frames first ... first + count - 1 of a seed: [count, 3, resolution, resolution].

        Each has a style and an input of its own, and stands at any of the `shifts` places, all alike likely.
        """
        index = torch.arange(first, first + count, device=self.device)
        ws = self.styles(counter_random.normal(seed, Kind.FRAME_LATENT, 0, index, self.sizes.z_dim), truncation)
        shift = counter_random.integers(seed, Kind.FRAME_SHIFT, index, self.sizes.shifts)
        noises = self.frame_noise(seed, Kind.FRAME_NOISE, index) if noise else None
        return self.frames(ws, shift, self.frame_spatial(seed, Kind.FRAME_SPATIAL, index), noises)

    def _panorama_input(self, seed: int, first: int, columns: int) -> Tensor:
        extent = Extents(self.sizes.resolution, columns).input
        cells = first + extent.first + torch.arange(extent.width, device=self.device)
        return self._cells(seed, Kind.SPATIAL, cells[None])

    def _panorama_noise(self, seed: int, first: int, columns: int) -> list[Tensor]:
        noises = []
        extents = Extents(self.sizes.resolution, columns).noise
        for layer, (size, extent) in enumerate(zip(self.synthesis.noise_sizes, extents, strict=True)):
            pixels = first * (size // CELLS) + extent.first + torch.arange(extent.width, device=self.device)
            noises.append(self._lines(seed, Kind.NOISE, layer, size, pixels[None]))
        return noises

    def _cells(self, seed: int, kind: Kind, cells: Tensor) -> Tensor:
        """Normal numbers of the cells (int64 [n, width]): [n, channels, 4, width]."""
        channels = self.synthesis.inputs
        numbers = counter_random.normal(seed, kind, 0, cells.flatten(), channels * 4)
        return numbers.view(*cells.shape, channels, 4).permute(0, 2, 3, 1)

    def _lines(self, seed: int, kind: Kind, layer: int, size: int, pixels: Tensor) -> Tensor:
        """Normal numbers of lines of pixels (int64 [n, width]), `size` high: [n, 1, size, width]."""
        numbers = counter_random.normal(seed, kind, layer, pixels.flatten(), size)
        return numbers.view(*pixels.shape, size).transpose(1, 2)[:, None]
