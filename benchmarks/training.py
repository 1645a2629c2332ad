"""The trainer: StyleGAN2's game for every generator, one process, exact to resume.

Karras et al. 2020 (arXiv:1912.04958): non-saturating loss, R1 and path-length regularisation every so many batches
(lazy: section 3.1 and appendix B, with the optimisers' corrections), style mixing, a running average of the
generator. In ALIS a fake is a frame at a random place among three anchors of its own. Arithmetic is float32.
"""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import losses, networks
from benchmarks.networks import Draw, Generator
from benchmarks.recipes import Recipe
from models import counter_random
from models.counter_random import Kind

PHASES = 3  # of a step in which fakes are made; each phase has its own random numbers
DISCRIMINATOR, GENERATOR, PATH = range(PHASES)

Losses = dict[str, Tensor]


class Order:
    """Which real picture comes when: each epoch shows all once, in an order of its own."""

    def __init__(self, seed: int, pictures: int) -> None:
        self.seed, self.pictures = seed, pictures
        self._shuffled = functools.lru_cache(maxsize=2)(self._shuffle)  # epochs that a batch may touch

    def rows(self, first: int, count: int) -> Tensor:
        """int64 [count]: rows of the pictures shown as numbers first ... first + count - 1 of the training."""
        numbers = range(first, first + count)
        return torch.stack([self._shuffled(number // self.pictures)[number % self.pictures] for number in numbers])

    def _shuffle(self, epoch: int) -> Tensor:
        every = torch.arange(self.pictures) + epoch * self.pictures
        return counter_random.uniform(self.seed, Kind.TRAINING_ORDER, every, 1)[:, 0].argsort(stable=True)


class Training:
    """Networks, their optimisers and how far they are. `step` counts batches that are done."""

    def __init__(self, recipe: Recipe, images: Tensor, device: torch.device) -> None:
        """`images`: uint8 [n, 3, resolution, resolution], kept where they are."""
        self.recipe, self.pictures, self.device = recipe, images, device
        generator, discriminator = networks.build(recipe)
        self.generator: Generator = generator.to(device).train()
        self.discriminator = discriminator.to(device).train()
        self.average: Generator = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.optimisers = {
            "generator": _adam(self.generator, recipe, recipe.path_every if recipe.path_weight else 0),
            "discriminator": _adam(self.discriminator, recipe, recipe.r1_every if recipe.r1_weight else 0),
        }
        self.path_mean = torch.zeros((), device=device)
        self.step = 0
        self._order = Order(recipe.seed, len(images))

    @property
    def images_seen(self) -> int:
        """Real pictures shown so far."""
        return self.step * self.recipe.batch

    def advance(self) -> Losses:
        """One batch: each network learns once, and the regularisers whose turn it is. Losses are scalars."""
        recipe = self.recipe
        told = self._generator_learns()
        if recipe.path_weight and self.step % recipe.path_every == 0:
            told |= self._paths_even_out()
        real = self._real()
        told |= self._discriminator_learns(real)
        if recipe.r1_weight and self.step % recipe.r1_every == 0:
            told |= self._gradients_flatten(real)
        self.step += 1
        networks.average_into(self.average, self.generator, self._decay())
        return told

    def _generator_learns(self) -> Losses:
        draw = self._draw(GENERATOR, self.recipe.batch)
        ws = networks.styles(self.generator, draw, self.recipe.mixing)
        loss = losses.generator_loss(self.discriminator(networks.images(self.generator, ws, draw)))
        self._descend("generator", loss)
        w = ws[..., 0, :].detach().flatten(0, -2).mean(0)  # the first layer always has the first style
        self.generator.mapping.w_avg.lerp_(w, 1 - self.recipe.centre_decay)
        return {"generator_loss": loss.detach()}

    def _paths_even_out(self) -> Losses:
        recipe = self.recipe
        draw = self._draw(PATH, recipe.batch // recipe.path_shrink)
        ws = networks.styles(self.generator, draw, recipe.mixing)
        images = networks.images(self.generator, ws, draw)
        numbers = counter_random.normal(recipe.seed, Kind.TRAINING_PATH, 0, draw.index, images[0].numel())
        lengths = losses.path_lengths(images, ws, numbers.view_as(images))
        mean = self.path_mean.lerp(lengths.detach().mean(), recipe.path_decay)
        penalty = (lengths - mean).square().mean()
        self._descend("generator", penalty * (recipe.path_weight * recipe.path_every))
        self.path_mean = mean
        return {"path_length": lengths.detach().mean(), "path_penalty": penalty.detach()}

    def _discriminator_learns(self, real: Tensor) -> Losses:
        draw = self._draw(DISCRIMINATOR, self.recipe.batch)
        with torch.no_grad():
            ws = networks.styles(self.generator, draw, self.recipe.mixing)
            fake = networks.images(self.generator, ws, draw)
        for_real, for_fake = self.discriminator(real), self.discriminator(fake)
        loss = losses.discriminator_loss(for_real, for_fake)
        self._descend("discriminator", loss)
        return {
            "discriminator_loss": loss.detach(),
            "real_logit": for_real.detach().mean(),
            "fake_logit": for_fake.detach().mean(),
        }

    def _gradients_flatten(self, real: Tensor) -> Losses:
        recipe = self.recipe
        real = real.requires_grad_()
        penalty = losses.r1(self.discriminator(real), real)
        self._descend("discriminator", penalty * (recipe.r1_weight / 2 * recipe.r1_every))
        return {"r1": penalty.detach()}

    def _descend(self, name: str, loss: Tensor) -> None:
        """One optimiser step of one network; the other one's weights get no gradient."""
        optimiser = self.optimisers[name]
        network: nn.Module = self.generator if name == "generator" else self.discriminator
        parameters = list(network.parameters())
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    def _draw(self, phase: int, count: int) -> Draw:
        number = self.images_seen + torch.arange(count, device=self.device)
        return Draw(self.recipe.seed, PHASES * number + phase)

    def _real(self) -> Tensor:
        """The next batch of real pictures, [-1, 1], every second one (by chance) mirrored."""
        first, count = self.images_seen, self.recipe.batch
        images = self.pictures[self._order.rows(first, count)].to(self.device).float() / 127.5 - 1
        if self.recipe.mirror:
            number = torch.arange(first, first + count, device=self.device)
            turned = counter_random.integers(self.recipe.seed, Kind.TRAINING_MIRROR, number, 2).bool()
            images = torch.where(turned[:, None, None, None], images.flip(3), images)
        return images

    def _decay(self) -> float:
        """Of the running average: its half-life grows with what was seen, up to the recipe's."""
        half_life = min(self.recipe.average_kimg * 1000, self.images_seen * self.recipe.average_ramp)
        return math.exp(-math.log(2) * self.recipe.batch / max(half_life, 1e-8))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a later process needs to go on: tensors, and what JSON holds."""
        tensors = {"path_mean": self.path_mean}
        for name, network in self._networks().items():
            tensors |= {f"{name}.{key}": value for key, value in network.state_dict().items()}
        for name, optimiser in self.optimisers.items():
            for at, moments in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{name}.{at}.{key}": value for key, value in moments.items()}
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, {"step": self.step}

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from a state. Raises RuntimeError, KeyError or ValueError for one of other networks."""
        for name, network in self._networks().items():
            network.load_state_dict(_below(tensors, name))
        for name, optimiser in self.optimisers.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, tensor in _below(tensors, f"optimiser.{name}").items():
                at, _, what = key.partition(".")
                moments.setdefault(int(at), {})[what] = tensor
            optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        self.path_mean = tensors["path_mean"].to(self.device)
        self.step = int(facts["step"])

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}


def _below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}


def _adam(network: nn.Module, recipe: Recipe, every: int) -> torch.optim.Adam:
    """Adam for a network with a regulariser every so many batches (0: none), which adds a step of its own to those:
    rate and decays are corrected so that a batch moves as far as without it (arXiv:1912.04958, appendix B)."""
    share = every / (every + 1) if every else 1.0
    return torch.optim.Adam(
        network.parameters(),
        lr=recipe.learning_rate * share,
        betas=(recipe.beta1**share, recipe.beta2**share),
        eps=1e-8,
    )
