"""ALIS: a generator whose unit is a column at a place of an endless panorama.

Skorokhodov et al. 2021, 'Aligning Latent and Image Spaces to Connect the Unconnectable' (arXiv:2104.06954): latent
anchors stand along the panorama, each patch is made without its neighbours from the styles of the two anchors
around it, mixed by the distance to them, and from coordinates. Here a patch as wide as a column of the grid is the
batch's item: a frame is `patches` columns, a panorama any number of them, in any order. StyleGAN2 does the rest.

Anchor k stands at frame k * anchor_distance; column 0 begins at anchor 0. Equation 5 of the paper has its two cases
swapped: a place between two anchors mixes just these, with weights that are never negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models import counter_random, layers, stylegan2
from models.anchors import FRAME_ANCHORS, OWN, Anchors
from models.counter_random import Kind
from models.layers import EPSILON, Dense, StyledConv, StyledGenerator, Synthesising, ToRGB

ANCHORS = FRAME_ANCHORS  # left, centre and right of a frame that is trained on


@dataclass(frozen=True)
class Sizes(stylegan2.Sizes):
    """What a generator is built from. The released 1024x1024 model has 2 patches and input_resolution 4.

    `normalisation`: `demodulate` divides by the norm of the weights alone, as the released networks do; `patch`
    also divides what enters a convolution by its standard deviation within the patch (equation 6).

    `float16_styles_from`: from this resolution on each anchor's style of a convolution is divided by its largest
    value, coordinates' included; 0 for nowhere. The released code does so where it computes in float16 (its four
    highest resolutions), and never undoes it, so that its float16 is another function than its float32. Here it is
    a property of the network, whatever the number format.
    """

    patches: int = 16  # columns in a frame
    input_resolution: int = 16
    anchor_distance: int = 2  # frames
    normalisation: Literal["demodulate", "patch"] = "demodulate"
    coordinates: bool = True  # without them (`alis-nocoords`) the learned column is taken as it is, not scaled
    float16_styles_from: int = 0  # pixels

    def __post_init__(self) -> None:
        if self.input_resolution % self.patches or self.resolution < self.input_resolution:
            raise ValueError(
                f"{self.patches} patches, input {self.input_resolution}, resolution {self.resolution}: "
                "each must divide the next"
            )

    @property
    def column_width(self) -> int:
        """Pixels."""
        return self.resolution // self.patches

    @property
    def frame_columns(self) -> int:
        return self.patches

    @property
    def span(self) -> int:
        """Columns from one anchor to the next."""
        return self.anchor_distance * self.patches

    @property
    def shifts(self) -> int:
        """How many left borders, in columns from the left anchor, a frame among three anchors may have."""
        return (ANCHORS - 1) * self.span - self.patches + 1


class Coordinates(nn.Module):
    """Sines and cosines of each pixel's place, [n, channels, height, width of a column]; they repeat every two frames.

    Four directions (upwards, along, two diagonals) times frequencies that double: pi, 2 pi, ... along the axes and
    half of that in x and y on the diagonals; their number belongs to the resolution of the block. x rises by 2 in a
    frame, y falls from 1 (exclusive) to -1. Only tables for x and for y are kept; the sum formulas do the rest.
    """

    sin_x: Tensor
    cos_x: Tensor
    sin_y: Tensor
    cos_y: Tensor

    def __init__(self, resolution: int, height: int, patches: int) -> None:
        super().__init__()
        bands = math.pi * 2.0 ** torch.arange(resolution.bit_length() - 2, dtype=torch.float64)
        none, half = torch.zeros_like(bands), bands / 2
        along, upwards = torch.cat([none, bands, -half, half]), torch.cat([bands, none, half, half])
        x = torch.arange(2 * height, dtype=torch.float64) * (2 / height)  # of two frames, which are as wide as high
        y = 1 - torch.arange(1, height + 1, dtype=torch.float64) * (2 / height)
        x_angle = (x[:, None] * along).view(2 * patches, height // patches, -1)  # [column, pixel, waves]
        y_angle = y[:, None] * upwards  # [height, waves]
        for name, table in {
            "sin_x": x_angle.sin(),
            "cos_x": x_angle.cos(),
            "sin_y": y_angle.sin(),
            "cos_y": y_angle.cos(),
        }.items():
            self.register_buffer(name, table.float(), persistent=False)
        self.channels = 2 * len(along)
        self.known: Tensor | None = None  # of every column, once `remember` was called

    def remember(self, dtype: torch.dtype) -> None:
        """Keep the features of all columns, which repeat, in memory: for generating."""
        self.known = None
        self.known = self(torch.arange(len(self.sin_x), device=self.sin_x.device)).to(dtype)

    def forward(self, column: Tensor) -> Tensor:
        """`column`: int64 [n], modulo two frames."""
        if self.known is not None:
            return self.known[column]
        sin_x, cos_x = self.sin_x[column][:, None], self.cos_x[column][:, None]  # [n, 1, width, waves]
        sin_y, cos_y = self.sin_y[:, None], self.cos_y[:, None]  # [height, 1, waves]
        features = torch.cat([sin_x * cos_y + cos_x * sin_y, cos_x * cos_y - sin_x * sin_y], 3)
        return features.permute(0, 3, 1, 2)  # in channels_last


class Input(nn.Module):
    """What the network starts from: a learned column of features, scaled by the styles, and coordinates.

    Without coordinates the column alone.
    """

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__()
        self.column = nn.Parameter(torch.randn(channels, sizes.input_resolution))
        self.affine: Dense | None = None
        self.coordinates: Coordinates | None = None
        if sizes.coordinates:
            self.affine = Dense(sizes.w_dim, channels)
            self.coordinates = Coordinates(sizes.input_resolution, sizes.input_resolution, sizes.patches)


class Block(nn.Module):
    """A styled convolution that also sees coordinates, where there are any (not in the first block), another one,
    and a picture.

    Blocks below the input's resolution work at that resolution and enlarge nothing.
    """

    def __init__(self, inputs: int, outputs: int, sizes: Sizes, resolution: int) -> None:
        super().__init__()
        self.size = max(resolution, sizes.input_resolution)
        self.up = resolution > sizes.input_resolution
        self.divided = resolution >= sizes.float16_styles_from > 0  # styles, by their largest
        self.coordinates: Coordinates | None = None
        self.conv0: StyledConv | None = None
        if resolution > 4:
            if sizes.coordinates:
                self.coordinates = Coordinates(self.size, self.size // (1 + self.up), sizes.patches)
                inputs += self.coordinates.channels
            self.conv0 = StyledConv(inputs, outputs, sizes.w_dim, up=self.up)
            inputs = outputs
        self.conv1 = StyledConv(inputs, outputs, sizes.w_dim)
        self.to_rgb = ToRGB(outputs, sizes.w_dim)


@dataclass(frozen=True)
class Places:
    """Where the n columns of a batch stand.

    left: int64 [n], the row of a column's left anchor among those given; the right one is the next row.
    offset: int64 [n], columns from the left anchor, in [0, span).
    column: int64 [n], columns from anchor 0, modulo two frames.
    """

    left: Tensor
    offset: Tensor
    column: Tensor


class Synthesis(Synthesising):
    """Styles of anchors [anchors, num_ws, w_dim] and places of n columns to pixels [n, 3, height, column_width]."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        places = layers.resolutions(sizes.resolution)
        widths = [sizes.channels(place) for place in places]
        self.input = Input(widths[0], sizes)
        entering = [widths[0] + (self.input.coordinates.channels if self.input.coordinates else 0), *widths]
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, sizes, place)
            for inputs, outputs, place in zip(entering, widths, places, strict=False)
        )
        self.num_ws = 2 * len(places) + sizes.coordinates  # one per convolution, the last picture's, the input's
        sizes_of_noise = [max(place, sizes.input_resolution) for place in places for _ in range(2)]
        self.noise_sizes = sizes_of_noise[1:]  # the first block has one convolution
        self.clamp(sizes.clamp)

    def forward(self, ws: Tensor, places: Places, noise: Sequence[Tensor] | None = None) -> Tensor:
        """`noise`: one tensor per convolution, [n, 1, size, size / patches]; None for none."""
        styles = iter(ws.unbind(1))
        noises = iter(noise if noise is not None else [None] * len(self.noise_sizes))
        x: Tensor = self.input.column[:, :, None]  # [c, height, 1]
        if self.input.affine is None:
            x = x.expand(places.left.shape[0], -1, -1, self.sizes.input_resolution // self.sizes.patches)
        else:
            x = x * self._mixed(self.input.affine, next(styles), places, self.sizes.input_resolution)
        x = self._with_coordinates(x.to(self.dtype), self.input.coordinates, places)
        image: Tensor | None = None
        w = next(styles)
        for block in cast(list[Block], list(self.blocks)):
            if block.conv0 is not None:
                x = self._with_coordinates(x, block.coordinates, places)
                x = self._convolved(block, block.conv0, x, w, places, next(noises))  # [n, c, size, size / patches]
                w = next(styles)
            x = self._convolved(block, block.conv1, x, w, places, next(noises))
            w = next(styles)  # a picture shares its style with the convolution that follows it
            picture = block.to_rgb.run(x, self._mixed(block.to_rgb.affine, w, places, block.size))
            if image is not None:
                picture = (layers.double(image) if block.up else image) + picture
            image = picture
        assert image is not None
        return image

    def _mixed(self, affine: Dense, w: Tensor, places: Places, size: int, *, divided: bool = False) -> Tensor:
        """The style of each pixel of a column's width, [n, channels, 1, width]: a straight line between anchors.

        `divided`: each anchor's style by its largest value.
        """
        width = size // self.sizes.patches
        inside = (torch.arange(width, device=w.device, dtype=w.dtype) + 0.5) / width  # pixels are told by their centres
        fraction = (places.offset[:, None] + inside) / self.sizes.span  # [n, width]
        style = affine(w)  # [anchors, channels]: affine maps and straight lines commute
        if divided:
            style = style / style.abs().amax(1, keepdim=True)
        left, right = style.index_select(0, places.left), style.index_select(0, places.left + 1)  # [n, channels]
        return torch.lerp(left[:, :, None], right[:, :, None], fraction[:, None])[:, :, None]

    def _convolved(
        self, block: Block, layer: StyledConv, x: Tensor, w: Tensor, places: Places, noise: Tensor | None
    ) -> Tensor:
        if self.sizes.normalisation == "patch":  # equation 6
            variance = x.float().var((2, 3), unbiased=False, keepdim=True)  # in float16 it may be out of range
            x = x * (variance + EPSILON).rsqrt().to(x.dtype)
        style = self._mixed(layer.affine, w, places, x.shape[2], divided=block.divided)
        return layer.run(x, style, None if layer.folded else demodulation(layer)[None], noise)

    def _with_coordinates(self, x: Tensor, coordinates: Coordinates | None, places: Places) -> Tensor:
        if coordinates is not None:
            x = torch.cat([x, coordinates(places.column).to(x.dtype)], 1)
        return x.contiguous(memory_format=torch.channels_last)


def demodulation(layer: StyledConv) -> Tensor:
    """One over the norm of the weights that lead to each output: [outputs]; no style has a part in it."""
    return (layer.weight.square().sum((1, 2, 3)) + EPSILON).rsqrt()


def _joined(columns: Tensor, frames: int) -> Tensor:
    """Columns [frames * k, 3, height, width], side by side: [frames, 3, height, k * width]."""
    apart = columns.reshape(frames, -1, *columns.shape[1:])  # [frames, k, 3, height, width]
    return apart.permute(0, 2, 3, 1, 4).flatten(3)


class Generator(StyledGenerator):
    """An endless panorama for each seed; pixels about [-1, 1], not clamped."""

    synthesis: Synthesis

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes.z_dim, sizes.w_dim, sizes.mapping_layers)
        self.sizes = sizes
        self.synthesis = Synthesis(sizes)

    def frames(self, ws: Tensor, border: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Images [batch, 3, resolution, resolution] of frames that each have their own three anchors.

        ws [batch, 3, num_ws, w_dim]: left, centre, right. border: int64 [batch], columns from the left anchor to
        the frame's left border, in [0, sizes.shifts). noise: as `noise` makes it, for batch * patches columns.
        """
        batch, sizes = len(ws), self.sizes
        column = border[:, None] + torch.arange(sizes.patches, device=border.device)  # [batch, patches]
        first = ANCHORS * torch.arange(batch, device=border.device)[:, None]
        left = first + column.div(sizes.span, rounding_mode="floor")
        places = self._places(left.flatten(), column.flatten())
        return _joined(self.synthesis(ws.flatten(0, 1), places, noise), batch)

    def noise(self, seed: int, kind: Kind, column: Tensor) -> list[Tensor]:
        """For each convolution the noise [n, 1, size, width] of columns (int64 [n]), the same whoever asks."""
        sizes, patches = self.synthesis.noise_sizes, self.sizes.patches
        numbers = counter_random.normals(seed, kind, column, [size * size // patches for size in sizes])
        return [one.view(-1, 1, size, size // patches) for one, size in zip(numbers, sizes, strict=True)]

    @torch.no_grad()
    def columns(
        self,
        seed: int,
        start: int,
        count: int,
        *,
        truncation: float = 1.0,
        noise: bool = True,
        batch: int = 64,
        anchors: Anchors = OWN,
    ) -> Tensor:
        """Columns start ... start + count - 1 of a seed's panorama: [3, height, count * column_width].

        Any start, also a negative one, in the range of int64. The numbers depend on seed, place and anchors alone, up
        to the rounding of float32, whatever `batch` (columns made at once) is. Raises ValueError for a seed that is
        not in [0, 2**64), or a count below 1.
        """
        if count < 1 or batch < 1:
            raise ValueError(f"{count} columns in batches of {batch}: at least one is needed")
        parts = []
        for first in range(start, start + count, batch):
            column = first + torch.arange(min(batch, start + count - first), device=self.device)
            anchor = column.div(self.sizes.span, rounding_mode="floor")  # the left one's number
            known = anchor[0] + torch.arange(int(anchor[-1] - anchor[0]) + 2, device=self.device)
            ws = self.every_layer(anchors.w(self.mapping, seed, known), truncation)
            places = self._places(anchor - anchor[0], column)
            noises = anchors.noise(self.noise, seed, column, self.sizes) if noise else None
            parts.append(_joined(self.synthesis(ws, places, noises), 1)[0])
        return torch.cat(parts, 2)

    @torch.no_grad()
    def samples(self, seed: int, first: int, count: int, *, truncation: float = 1.0, noise: bool = True) -> Tensor:
        """Independent frames first ... first + count - 1 of a seed: [count, 3, resolution, resolution].

        Each has three anchors of its own and stands at any of the `shifts` places among them, all alike likely.
        """
        index = torch.arange(first, first + count, device=self.device)
        anchors = ANCHORS * index[:, None] + torch.arange(ANCHORS, device=self.device)
        z = counter_random.normal(seed, Kind.FRAME_LATENT, 0, anchors.flatten(), self.sizes.z_dim)
        ws = self.styles(z, truncation).reshape(count, ANCHORS, self.synthesis.num_ws, -1)
        border = counter_random.integers(seed, Kind.FRAME_SHIFT, index, self.sizes.shifts)
        columns = self.sizes.patches * index[:, None] + torch.arange(self.sizes.patches, device=self.device)
        noises = self.noise(seed, Kind.FRAME_NOISE, columns.flatten()) if noise else None
        return self.frames(ws, border, noises)

    def _places(self, left: Tensor, column: Tensor) -> Places:
        return Places(left, column % self.sizes.span, column % (2 * self.sizes.patches))
