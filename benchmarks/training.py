"""The trainer: StyleGAN2's game for every generator, in one process or many, exact to resume.

Karras et al. 2020 (arXiv:1912.04958): non-saturating loss, R1 and path-length regularisation every so many batches
(lazy: section 3.1 and appendix B, with the optimisers' corrections), style mixing, a running average of the
generator. In ALIS a fake is a frame at a random place among three anchors of its own, in LocoGAN a chunk of an
endless noise at a random place.

A batch is cut into `parts`: process r of a team of W takes part r, r + W, ... of them one after the other, and part p
of P holds the samples p, p + P, ... of the batch. Whole groups of the minibatch deviation, whose members stand
batch / group apart, thus lie in one part, and however a batch is cut the networks learn the same, up to rounding.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import augment, batches, losses, networks, training_state
from benchmarks.execution import Enlarged, Execution, Losses, Told, cut, laid_out_as
from benchmarks.networks import Chance, Draw, Styled
from benchmarks.recipes import Recipe
from models import counter_random
from models.counter_random import Kind

PHASES = 3  # of a step in which fakes are made; each phase has its own random numbers
DISCRIMINATOR, GENERATOR, PATH = range(PHASES)
REAL = PATH - DISCRIMINATOR  # from a discriminator's fake to its real picture: path lengths augment nothing
FLOAT16_INNER = 2.0**10  # by which the gradients within regularisers are enlarged


class Training:
    """Networks, their optimisers and how far they are. `step` counts batches that are done."""

    def __init__(
        self, recipe: Recipe, images: Tensor, device: torch.device, execution: Execution | None = None
    ) -> None:
        """`images`: uint8 [n, 3, resolution, resolution], kept where they are.

        Raises MisuseError where the batch cannot be cut as asked.
        """
        execution = execution or Execution()
        self.recipe, self.pictures, self.device, self.team = recipe, images, device, execution.team
        self._parts, self._mine = cut(recipe, execution)
        generator, discriminator = networks.build(recipe)
        self.generator: Styled = generator.to(device).train()
        self.discriminator = discriminator.to(device).train()
        self.average: Styled = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.optimisers = {
            "generator": _adam(self.generator, recipe, recipe.path_every if recipe.path_weight else 0),
            "discriminator": _adam(self.discriminator, recipe, recipe.r1_every if recipe.r1_weight else 0),
        }
        self.path_mean = torch.zeros((), device=device, dtype=self._dtype)
        self.step = 0
        self.adaptive = augment.Adaptive.start(device)
        self._order = batches.Order(recipe.seed, len(images))
        low = recipe.precision == "float16"
        self._inner = FLOAT16_INNER if low else 1.0
        self._enlarged = {name: Enlarged() for name in self.optimisers} if low else {}
        made: Callable[[Any], Any] = torch.compile if execution.compile else lambda function: function
        # Not the regularisers: PyTorch 2.15 loses what passes the filters' own gradients when it compiles second ones.
        self._fooled, self._told_apart = made(self._fooling), made(self._telling_apart)
        self._fakes = made(self._drawn)

    @property
    def images_seen(self) -> int:
        """Real pictures shown so far."""
        return self.step * self.recipe.batch

    @property
    def _dtype(self) -> torch.dtype:
        return self.generator.mapping.w_avg.dtype

    def advance(self) -> Losses:
        """One batch: each network learns once, and the regularisers whose turn it is. Losses are scalars."""
        recipe = self.recipe
        told = self._generator_learns()
        if recipe.path_weight and self.step % recipe.path_every == 0:
            told |= self._paths_even_out()
        told |= self._discriminator_learns()
        if recipe.r1_weight and self.step % recipe.r1_every == 0:
            told |= self._gradients_flatten()
        self.step += 1
        batches.average_into(self.average, self.generator, batches.decay(self.recipe, self.images_seen))
        return dict(zip(told, self.team.mean(list(told.values())), strict=True))

    def _generator_learns(self) -> Losses:
        told, centres = Told(), Told()

        def parts() -> Iterator[Tensor]:
            for part in self._mine:
                draw = self._draw(GENERATOR, self.recipe.batch, part)
                loss, centre = self._fooled(self._chance(draw), draw.index)
                told.add(generator_loss=loss)
                centres.add(w=centre)
                yield loss

        self._descend("generator", parts())
        (centre,) = self.team.mean([centres.means()["w"]])
        self.generator.mapping.w_avg.lerp_(centre, 1 - self.recipe.centre_decay)
        return told.means()

    def _fooling(self, chance: Chance, index: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's loss, and the mean of its styles."""
        ws = networks.styles(self.generator, chance)
        loss = losses.generator_loss(self._judged(networks.images(self.generator, ws, chance), index))
        return loss, ws[..., 0, :].flatten(0, -2).mean(0)  # the first layer always has the first style

    def _paths_even_out(self) -> Losses:
        recipe = self.recipe
        again = len(self._mine) > 1  # the mean of the whole batch comes first; one graph at a time is kept
        known = [one.detach() if again else one for one in map(self._measured_paths, self._mine)]
        lengths = torch.stack([one.detach().mean() for one in known]).mean()
        (length,) = self.team.mean([lengths])
        mean = self.path_mean.lerp(length, recipe.path_decay)
        told = Told()

        def parts() -> Iterator[Tensor]:
            for at, part in enumerate(self._mine):
                penalty = ((self._measured_paths(part) if again else known[at]) - mean).square().mean()
                told.add(path_penalty=penalty)
                yield penalty * (recipe.path_weight * recipe.path_every)

        if not self._descend("generator", parts()):
            return {}
        self.path_mean = mean
        return {"path_length": length, **told.means()}

    def _measured_paths(self, part: int) -> Tensor:
        """Path lengths of a part of the regularised batch."""
        draw = self._draw(PATH, self.recipe.batch // self.recipe.path_shrink, part)
        size = self.recipe.resolution
        numbers = counter_random.normal(self.recipe.seed, Kind.TRAINING_PATH, 0, draw.index, 3 * size * size)
        directions = numbers.view(-1, 3, size, size).to(self._dtype)
        lengths: Tensor = self._path_lengths(self._chance(draw), directions)
        return lengths

    def _path_lengths(self, chance: Chance, directions: Tensor) -> Tensor:
        ws = networks.styles(self.generator, chance)
        draw = functools.partial(networks.images, self.generator, chance=chance)
        return losses.path_lengths(draw, ws, directions, self._inner)

    def _discriminator_learns(self) -> Losses:
        told = Told()

        def parts() -> Iterator[Tensor]:
            for part in self._mine:
                draw = self._draw(DISCRIMINATOR, self.recipe.batch, part)
                with torch.no_grad():
                    fake = self._fakes(self._chance(draw))
                loss, for_real, for_fake, sign = self._told_apart(self._real(part), fake, draw.index)
                told.add(discriminator_loss=loss, real_logit=for_real, fake_logit=for_fake, real_sign=sign)
                yield loss

        self._descend("discriminator", parts())
        found = told.means()
        sign = found.pop("real_sign")
        if target := self.recipe.augment_target:
            (sign,) = self.team.mean([sign])
            self.adaptive = self.adaptive.after(sign, self.recipe.batch, target, self.recipe.augment_kimg)
            found["augmentation"] = self.adaptive.strength.to(self._dtype)
        return found

    def _drawn(self, chance: Chance) -> Tensor:
        return networks.images(self.generator, networks.styles(self.generator, chance), chance)

    def _telling_apart(self, real: Tensor, fake: Tensor, index: Tensor) -> tuple[Tensor, ...]:
        """The discriminator's loss, its mean logits, and the mean sign of those of real pictures."""
        for_real, for_fake = self._judged(real, index + REAL), self._judged(fake, index)
        loss = losses.discriminator_loss(for_real, for_fake)
        return loss, for_real.mean(), for_fake.mean(), for_real.sign().mean()

    def _judged(self, images: Tensor, index: Tensor) -> Tensor:
        """Logits of images, which are augmented first where the recipe says so; `index` keys how."""
        if self.recipe.augment_target:
            images = augment.augment(images, self.adaptive.strength, self.recipe.seed, index)
        logits: Tensor = self.discriminator(images)
        return logits

    def _gradients_flatten(self) -> Losses:
        told, recipe = Told(), self.recipe

        def parts() -> Iterator[Tensor]:
            for part in self._mine:
                draw = self._draw(DISCRIMINATOR, recipe.batch, part)
                penalty = self._r1(self._real(part), draw.index + REAL)
                told.add(r1=penalty)
                yield penalty * (recipe.r1_weight / 2 * recipe.r1_every)

        return told.means() if self._descend("discriminator", parts()) else {}

    def _r1(self, real: Tensor, index: Tensor) -> Tensor:
        return losses.r1(functools.partial(self._judged, index=index), real, self._inner)

    def _descend(self, name: str, parts: Iterable[Tensor]) -> bool:
        """One optimiser step of one network, on the mean of the parts' losses; the other's weights get no gradient.

        False where it was left out, because float16 overflowed.
        """
        optimiser = self.optimisers[name]
        network: nn.Module = self.generator if name == "generator" else self.discriminator
        parameters = list(network.parameters())
        enlarged = self._enlarged.get(name)
        scale = enlarged.scale if enlarged else 1.0
        mean: list[Tensor] = []
        for loss in parts:
            share = loss * (scale / len(self._mine))
            found = torch.autograd.grad(share, parameters, allow_unused=True, materialize_grads=True)
            mean = list(found) if not mean else torch._foreach_add(mean, found)  # type: ignore[assignment]
        mean = self.team.mean(mean)
        if enlarged and not enlarged.fits(mean):
            return False
        for parameter, gradient in zip(parameters, mean, strict=True):
            parameter.grad = laid_out_as(parameter, gradient / scale if enlarged else gradient)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        return True

    def _draw(self, phase: int, count: int, part: int) -> Draw:
        number = self.images_seen + torch.arange(part, count, self._parts, device=self.device)
        return Draw(self.recipe.seed, PHASES * number + phase)

    def _chance(self, draw: Draw) -> Chance:
        return networks.chance(self.generator, draw, self.recipe.mixing)

    def _real(self, part: int) -> Tensor:
        """A part of the next batch of real pictures, [-1, 1], every second one (by chance) mirrored."""
        rows = self._order.rows(self.images_seen, self.recipe.batch)[part :: self._parts]
        number = batches.numbers(self.recipe, self.images_seen, part, self._parts, self.device)
        return batches.levels(self.pictures[rows], batches.mirrored(self.recipe, number), self.device, self._dtype)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a later process needs to go on: tensors, and what JSON holds."""
        tensors = {"path_mean": self.path_mean}
        if self.recipe.augment_target:
            tensors |= {"augment.strength": self.adaptive.strength, "augment.signs": self.adaptive.signs}
        tensors |= training_state.gathered(self._networks(), self.optimisers)
        facts = {
            "step": self.step,
            "augment_batches": self.adaptive.batches,
            "enlarged": {name: vars(one) for name, one in self._enlarged.items()},
        }
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, facts

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from a state. Raises RuntimeError, KeyError or ValueError for one of other networks."""
        training_state.restore(tensors, self._networks(), self.optimisers)
        self.path_mean = tensors["path_mean"].to(self.device)
        self.step = int(facts["step"])
        if self.recipe.augment_target:
            known = training_state.below(tensors, "augment")
            strength, signs = known["strength"].to(self.device), known["signs"].to(self.device)
            self.adaptive = augment.Adaptive(strength, signs, int(facts["augment_batches"]))
        for name, one in self._enlarged.items():
            vars(one).update(facts["enlarged"][name])

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}


def _adam(network: nn.Module, recipe: Recipe, every: int) -> torch.optim.Adam:
    """Adam for a network with a regulariser every so many batches (0: none), which adds a step of its own to those:
    rate and decays are corrected so that a batch moves as far as without it (arXiv:1912.04958, appendix B)."""
    share = every / (every + 1) if every else 1.0
    return torch.optim.Adam(
        network.parameters(),
        lr=recipe.learning_rate * share,
        betas=(recipe.beta1**share, recipe.beta2**share),
        eps=1e-8,
        fused=True,
    )
