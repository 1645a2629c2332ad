"""The model `sliced`: a small convolutional generator of endless pictures, trained without a discriminator.

Noise in cells, a latent for the whole panorama and the height above the ground become pixels by convolutions that see
a few cells to each side, so any stretch of a panorama can be made by itself. What is lowered is the sliced Wasserstein
distance of generated to real pictures (Rabin et al. 2012, 'Wasserstein barycenter and its application to texture
mixing', section 2): of small whole pictures, and of patches at the same height. It learns colours, layers and the
grain of things in minutes, and no shapes: a model to begin from, or to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.execution import Execution, Losses
from benchmarks.plugin_model import Model, ModelSettings, PluginEndless, PluginGenerator, PluginTraining, Sizes, build
from benchmarks.recipes import Recipe
from manifests.errors import MisuseError
from models import counter_random
from models.counter_random import Kind

CELL = 8  # pixels: a column of the panorama
MARGIN = 2  # cells that are made on each side and cut off, because convolutions see them
IMAGES = {"smoke": 4_000, "small": 400_000, "paper": 4_000_000}
WHOLE = 8  # pixels: the side of the small whole pictures
PATCH = 5  # pixels: the side of patches
ROWS = 4  # heights at which patches are compared, at each scale


class SlicedSettings(ModelSettings):
    """The size of the network, and how it learns."""

    width: int = Field(32, ge=4, le=1024)  # channels
    latent: int = Field(16, ge=1, le=1024)
    slices: int = Field(64, ge=1, le=4096)  # directions in which distributions are compared
    learning_rate: float = Field(0.002, gt=0, le=1)


class Generator(PluginEndless):
    """Cells of noise [n, width, rows, cells] and latents [n, latent] to pictures [n, 3, CELL * rows, ...]."""

    def __init__(self, resolution: int, settings: SlicedSettings) -> None:
        super().__init__()
        self.sizes = Sizes(resolution, column_width=CELL)
        self.rows, self.width, self.latent = resolution // CELL, settings.width, settings.latent
        self.style = nn.Linear(settings.latent, settings.width)
        self.layers = nn.ModuleList(nn.Conv2d(settings.width + 1, settings.width, 3) for _ in range(4))
        self.to_rgb = nn.Conv2d(settings.width, 3, 1)

    def forward(self, cells: Tensor, latent: Tensor) -> Tensor:
        """Of cells + 2 * MARGIN columns of cells: [n, 3, CELL * rows, CELL * cells], about [-1, 1]."""
        x = cells + self.style(latent)[:, :, None, None]
        for number, layer in enumerate(self.layers):
            if number:
                x = functional.interpolate(x, scale_factor=2, mode="nearest")
            n, _, height, width = x.shape
            up = torch.linspace(1, -1, height, dtype=x.dtype, device=x.device)[None, None, :, None]
            x = torch.cat([x, up.expand(n, 1, height, width)], 1)
            x = functional.pad(x, (0, 0, 1, 1), mode="replicate")  # above and below; to the sides the margin is used up
            x = functional.leaky_relu(layer(x), 0.2)
        cut = (x.shape[3] - CELL * (cells.shape[3] - 2 * MARGIN)) // 2
        return torch.tanh(self.to_rgb(x[..., cut : x.shape[3] - cut]))

    def cells(self, seed: int, kind: Kind, places: Tensor) -> Tensor:
        """The noise of columns of cells (int64 [n, cells]): [n, width, rows, cells]."""
        numbers = counter_random.normal(seed, kind, 0, places.flatten(), self.width * self.rows)
        return numbers.view(*places.shape, self.width, self.rows).permute(0, 2, 3, 1).to(self.style.weight.dtype)

    def latents(self, seed: int, kind: Kind, index: Tensor) -> Tensor:
        """Latents [n, latent] of these numbers (int64 [n])."""
        return counter_random.normal(seed, kind, 0, index, self.latent).to(self.style.weight.dtype)

    def frames(self, seed: int, index: Tensor, kinds: tuple[Kind, Kind], truncation: float, noise: float) -> Tensor:
        """Frames of these numbers, with gradients. `kinds`: of latents and of cells."""
        wide = self.sizes.frame_columns + 2 * MARGIN
        places = index[:, None] * wide + torch.arange(wide, device=index.device)
        cells, latents = self.cells(seed, kinds[1], places), self.latents(seed, kinds[0], index)
        return self.forward(noise * cells, truncation * latents)

    @torch.no_grad()
    def samples(self, seed: int, first: int, count: int, *, truncation: float = 1.0, noise: bool = True) -> Tensor:
        index = torch.arange(first, first + count, device=self.style.weight.device)
        return self.frames(seed, index, (Kind.FRAME_LATENT, Kind.FRAME_SPATIAL), truncation, float(noise))

    @torch.no_grad()
    def columns(
        self, seed: int, start: int, count: int, *, truncation: float = 1.0, noise: bool = True, batch: int = 64
    ) -> Tensor:
        device = self.style.weight.device
        latent = truncation * self.latents(seed, Kind.PANORAMA_LATENT, torch.zeros(1, dtype=torch.int64, device=device))
        parts = []
        for first in range(start, start + count, batch):
            end = min(first + batch, start + count)
            places = torch.arange(first - MARGIN, end + MARGIN, device=device)[None]
            parts.append(self(float(noise) * self.cells(seed, Kind.SPATIAL, places), latent)[0])
        return torch.cat(parts, 2)

    @torch.no_grad()
    def placed(self, seed: int, index: Tensor, start: Tensor) -> Tensor:  # noqa: ARG002 (all places are alike)
        return self.frames(seed, index, (Kind.FRAME_LATENT, Kind.FRAME_SPATIAL), 1.0, 1.0)


class Sliced(Model[SlicedSettings]):
    """See the module."""

    name = "sliced"
    version = 1
    settings_type = SlicedSettings

    @classmethod
    def preset(cls, budget: str, resolution: int) -> Mapping[str, Any]:
        """Larger budgets show more pictures to a wider network."""
        if resolution % CELL or resolution < 2 * CELL:
            raise MisuseError(f"sliced makes pictures whose side is a multiple of {CELL}, from {2 * CELL} on")
        settings = {"images": IMAGES[budget], "batch": 32, "average_kimg": 2.0, "average_ramp": 0.1}
        return settings if budget == "smoke" else {**settings, "width": 128, "slices": 256}

    def generator(self, recipe: Recipe) -> Generator:
        return Generator(recipe.resolution, self.settings)

    def training(self, recipe: Recipe, images: Tensor, device: torch.device, execution: Execution) -> Training:
        return Training(build(recipe), self.settings, recipe, images, device, execution)


class Training(PluginTraining):
    """Lowers the sliced distance of a part of a batch to as many pictures."""

    def __init__(
        self,
        generator: PluginGenerator,
        settings: SlicedSettings,
        recipe: Recipe,
        images: Tensor,
        device: torch.device,
        execution: Execution,
    ) -> None:
        super().__init__(generator, recipe, images, device, execution)
        self.slices = settings.slices
        self.optimisers["generator"] = torch.optim.Adam(self.generator.parameters(), settings.learning_rate)

    def loss(self, real: Tensor, index: Tensor) -> Losses:
        """See `PluginTraining.loss`. `whole`: of small whole pictures; `patches`: mean of those at all heights."""
        assert isinstance(self.generator, Generator)
        kinds = (Kind.TRAINING_LATENT, Kind.TRAINING_SPATIAL)
        both = (real, self.generator.frames(self.recipe.seed, index, kinds, 1.0, 1.0))
        whole = self._distance([pooled(images, WHOLE) for images in both], index)
        patches = whole.new_zeros(())
        places = counter_random.uniform(self.recipe.seed, Kind.TRAINING_AUGMENT, index[:1], 4 * ROWS).view(2, ROWS, 2)
        for shrunk, drawn in enumerate(places, 1):
            images = [pooled(one, one.shape[3] // shrunk) for one in both]
            for y, x in (drawn * (images[0].shape[3] - PATCH + 1)).long().tolist():
                here = [one[:, :, y : y + PATCH, x : x + PATCH] for one in images]
                patches = patches + self._distance(here, index) / (2 * ROWS)
        return {"loss": whole + patches, "whole": whole, "patches": patches}

    def _distance(self, both: list[Tensor], index: Tensor) -> Tensor:
        """Mean over directions of the squared distance between two sets of points, each seen along that direction."""
        size = both[0][0].numel()
        drawn = counter_random.normal(self.recipe.seed, Kind.TRAINING_AUGMENT, 0, index[:1], size * self.slices)
        directions = functional.normalize(drawn.view(size, self.slices).to(both[0].dtype), dim=0)
        real, fake = ((points.flatten(1) @ directions).sort(0).values for points in both)
        return (real - fake).square().mean()


def pooled(images: Tensor, side: int) -> Tensor:
    """[n, 3, side, side], each pixel the mean of those it stands for."""
    return functional.adaptive_avg_pool2d(images, side)
