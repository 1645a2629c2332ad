"""The contract of a model of another package: what a recipe of it is, its generator, and how that is trained.

`lhq train <its name>` trains it, and everything that draws from a run or measures one draws from its generator. The
simplest trainer says what a part of a batch costs (`PluginTraining.loss`) and names an optimiser; cutting of batches,
workers that train together, checkpoints, running average and exact resumption are the same for all.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from benchmarks import batches, training_state
from benchmarks.execution import Execution, Losses, Told, cut, laid_out_as
from benchmarks.presets import preset
from benchmarks.recipes import OURS_ONLY, PLUGINS, Recipe
from manifests.errors import LhqError, MisuseError, SetupError
from manifests.plugins import misdeclared
from manifests.settings import validated
from models.counts import Counts, parameters

TYPES = {"float32": torch.float32, "float64": torch.float64}  # that such models train in


class ModelSettings(BaseModel):
    """What is the model's own in a recipe: numbers, words, true or false. `lhq train --set NAME=VALUE` changes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class Sizes:
    """What a generator makes: square frames, and panoramas in columns so many pixels wide, a divisor of a frame's."""

    resolution: int  # pixels
    column_width: int = 1

    @property
    def frame_columns(self) -> int:
        """Columns in a frame."""
        return self.resolution // self.column_width


class PluginGenerator(nn.Module, ABC):
    """Draws independent frames. Its randomness comes from `models.counter_random`, so that none is remembered."""

    sizes: Sizes

    @abstractmethod
    def samples(self, seed: int, first: int, count: int, *, truncation: float = 1.0, noise: bool = True) -> Tensor:
        """Frames first ... first + count - 1 of a seed: [count, 3, resolution, resolution], about [-1, 1].

        Frame k of a seed is the same whoever asks, in whatever batch, up to rounding. Draws without gradients.
        """


class PluginEndless(PluginGenerator):
    """Draws panoramas too, any stretch of them in any order."""

    period: int = 1  # columns after which a frame stands at the same place among what repeats, if anything does

    @abstractmethod
    def columns(
        self, seed: int, start: int, count: int, *, truncation: float = 1.0, noise: bool = True, batch: int = 64
    ) -> Tensor:
        """Columns start ... start + count - 1 of a seed's panorama: [3, height, count * column_width].

        Any start, also a negative one. A column is the same whoever asks, up to rounding, whatever `batch` (columns
        made at once) is. Draws without gradients.
        """

    @abstractmethod
    def placed(self, seed: int, index: Tensor, start: Tensor) -> Tensor:
        """Frames [n, 3, resolution, resolution] that share nothing, each as it stands in a panorama of its own.

        index: int64 [n], which frames of the seed; start: int64 [n], the columns where they begin, in [0, period).
        """


S = TypeVar("S", bound=ModelSettings)


class Model(ABC, Generic[S]):
    """A model of another package, with the settings of one recipe."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever the same recipe would learn or draw something else
    settings_type: ClassVar[type[ModelSettings]]

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @classmethod
    def problem(cls) -> str | None:
        """What is wrong with the class as it is declared; None where nothing is seen to be."""
        if wrong := misdeclared(cls, ModelSettings):
            return wrong
        if both := sorted(set(cls.settings_type.model_fields) & (set(Recipe.__dataclass_fields__) - set(OURS_ONLY))):
            return f"has a setting {both[0]!r}, which every recipe has"
        return None

    @classmethod
    @abstractmethod
    def preset(cls, budget: str, resolution: int) -> Mapping[str, Any]:
        """What a recipe of a budget (smoke, small, paper) sets: `images`, `batch`, others of `presets.COMMON`, its own.

        What is left out has its default. MisuseError for a resolution that it cannot have.
        """

    @abstractmethod
    def generator(self, recipe: Recipe) -> PluginGenerator:
        """The generator with its first weights, in float32 on the CPU; what PyTorch draws for it is of the seed."""

    def discriminator(self, recipe: Recipe) -> int:  # noqa: ARG002 (most have none)
        """How many parameters learn beside the generator's, for the leaderboard."""
        return 0

    @abstractmethod
    def training(self, recipe: Recipe, images: Tensor, device: torch.device, execution: Execution) -> PluginTraining:
        """The trainer before its first step; `images`: uint8 [n, 3, resolution, resolution]."""


class PluginTraining(ABC):
    """Trains one generator. `step` counts batches that are done; `average` is what is drawn from and measured."""

    def __init__(
        self,
        generator: PluginGenerator,
        recipe: Recipe,
        images: Tensor,
        device: torch.device,
        execution: Execution | None = None,
    ) -> None:
        """Raises MisuseError where the batch cannot be cut as asked, or what is asked for is not there.

        A subclass then puts its optimisers, one called `generator` and any others, into `optimisers`.
        """
        execution = execution or Execution()
        if execution.compile:
            raise MisuseError(f"--compile: the trainer of {recipe.model} is not compiled; leave it out")
        if recipe.precision not in TYPES:
            raise MisuseError(f"precision is {recipe.precision}; {recipe.model} trains in {' or '.join(TYPES)}")
        self.recipe, self.pictures, self.device, self.team = recipe, images, device, execution.team
        self._parts, self._mine = cut(recipe, execution)
        self._dtype = TYPES[recipe.precision]
        self.generator = generator.to(device, self._dtype).train()
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.step = 0
        self._order = batches.Order(recipe.seed, len(images))

    @property
    def images_seen(self) -> int:
        """Real pictures shown so far."""
        return self.step * self.recipe.batch

    @abstractmethod
    def loss(self, real: Tensor, index: Tensor) -> Losses:
        """Scalars of a part of a batch, of which `loss` is lowered; the others are written beside it.

        real: [n, 3, resolution, resolution] in [-1, 1]; index: int64 [n], the pictures' numbers in the training, of
        which everything random is a function (with `recipe.seed`), so that a resumed run learns the same.
        """

    def advance(self) -> Losses:
        """One batch; the losses are scalars, means over all processes. A subclass with several networks has its own."""
        told = Told()
        parameters = list(self.generator.parameters())
        mean: list[Tensor] = []
        for part in self._mine:
            losses = self.loss(*self.shown(part))
            told.add(**losses)
            share = losses["loss"] / len(self._mine)
            found = torch.autograd.grad(share, parameters, allow_unused=True, materialize_grads=True)
            mean = list(found) if not mean else [one + more for one, more in zip(mean, found, strict=True)]
        for parameter, gradient in zip(parameters, self.team.mean(mean), strict=True):
            parameter.grad = laid_out_as(parameter, gradient)
        self.optimisers["generator"].step()
        self.optimisers["generator"].zero_grad(set_to_none=True)
        self.done()
        means = told.means()
        return dict(zip(means, self.team.mean(list(means.values())), strict=True))

    def shown(self, part: int) -> tuple[Tensor, Tensor]:
        """The real pictures of a part of the next batch, and their numbers in the training; see `loss`."""
        rows = self._order.rows(self.images_seen, self.recipe.batch)[part :: self._parts]
        index = batches.numbers(self.recipe, self.images_seen, part, self._parts, self.device)
        real = batches.levels(self.pictures[rows], batches.mirrored(self.recipe, index), self.device, self._dtype)
        return real, index

    def done(self) -> None:
        """A batch is done: counts it, and moves the average."""
        self.step += 1
        batches.average_into(self.average, self.generator, batches.decay(self.recipe, self.images_seen))

    def networks(self) -> dict[str, nn.Module]:
        """Everything with weights that a checkpoint keeps; `average` is what generates."""
        return {"generator": self.generator, "average": self.average}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a later process needs to go on: tensors, and what JSON holds."""
        tensors = training_state.gathered(self.networks(), self.optimisers)
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, {"step": self.step}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from a state. Raises RuntimeError, KeyError or ValueError for one of other networks."""
        training_state.restore(tensors, self.networks(), self.optimisers)
        self.step = int(facts["step"])


def model_of(recipe: Recipe) -> Model[Any]:
    """The model of a recipe that another package brings. SetupError where that is absent, or of another version."""
    plugged = recipe.plugged
    assert plugged is not None
    kind = PLUGINS.load(recipe.model, plugged.package)
    if kind.version != plugged.version:
        raise SetupError(
            f"the run is of version {plugged.version} of {recipe.model}; the package {plugged.package} that is "
            f"installed has version {kind.version}: install the one that it was trained with"
        )
    return kind(validated(kind.settings_type, dict(plugged.settings)))


def build(recipe: Recipe) -> PluginGenerator:
    """The generator of such a recipe with the initial weights of its seed. MisuseError for what cannot be built."""
    model = model_of(recipe)
    with torch.random.fork_rng(devices=[]):  # what else is random in this process stays as it was
        torch.manual_seed(recipe.seed)
        try:
            return model.generator(recipe)
        except (ValueError, RuntimeError) as error:
            raise MisuseError(f"{recipe.model} cannot be built from its recipe: {error}") from error


def counts(recipe: Recipe) -> Counts:
    """Parameters of the networks of such a recipe, built without memory for them."""
    with torch.device("meta"):
        generator = parameters(build(recipe))
    discriminator = model_of(recipe).discriminator(recipe)
    return {"generator": generator, "discriminator": discriminator, "total": generator + discriminator}


def all_counts(resolution: int) -> tuple[dict[str, Counts], list[str]]:
    """Parameters of every model that other packages bring, at its paper budget; and of those without, why."""
    found: dict[str, Counts] = {}
    wrong: list[str] = []
    for plugin in PLUGINS.plugins():
        if (problem := PLUGINS.problem(plugin)) is not None:
            wrong.append(problem)
            continue
        try:
            found[plugin.name] = counts(preset(plugin.name, "", "paper", resolution))
        except LhqError as error:
            wrong.append(f"model {plugin}: {error}")
    return found, wrong
