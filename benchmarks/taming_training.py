"""The trainer of Taming Transformers: a VQGAN first, then a transformer on the codes that it makes of the pictures.

Esser et al. 2021 (arXiv:2012.09841), section 3. The VQGAN lowers the absolute difference of a picture to its
reconstruction, the perceptual loss where the recipe names its network, and the codebook's losses; late in its
share of the batches a patch discriminator joins, weighed so that its gradient at the last layer is as long as that of
the reconstruction (equation 7). Then the running average of the VQGAN makes the codes of all pictures, once, and the
transformer learns to say which comes next. What is ours: the codebook begins as encodings of pictures; where the
recipe says so codes that nothing uses become encodings again (Dhariwal et al. 2020, arXiv:2005.00341, section 3.1);
and the transformer drops nothing out.

Batches are cut, shared and resumed as in `benchmarks/training.py`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks import batches, losses, networks, training_state
from benchmarks.execution import Execution, Losses, Told, cut, laid_out_as
from benchmarks.recipes import Recipe
from manifests.errors import MisuseError, SetupError
from models import counter_random, perceptual, taming, vqgan
from models.counter_random import Kind
from models.token_sampling import START
from models.weights import WeightsError

SHORTEST = 1e-6  # a gradient, in the adaptive weight
HEAVIEST = 1e4  # the adaptive weight
AT_ONCE = 64  # pictures whose codes are made
GAME_DECAYS = (0.5, 0.9)  # Adam's, where two networks play
GPT_DECAYS = (0.9, 0.95)
SETTLING = 0.75  # share of the VQGAN's batches after which no code is moved any more

Gradients = list[Tensor]


class Training:
    """Networks, their optimisers and how far they are. `step` counts batches that are done."""

    def __init__(
        self, recipe: Recipe, images: Tensor, device: torch.device, execution: Execution | None = None
    ) -> None:
        """`images`: uint8 [n, 3, resolution, resolution], kept where they are.

        Raises MisuseError where the batch cannot be cut as asked, or all is to be compiled.
        """
        execution = execution or Execution()
        if execution.compile:
            raise MisuseError("--compile: the trainer of taming is not compiled; leave it out")
        self.recipe, self.pictures, self.device, self.team = recipe, images, device, execution.team
        self._parts, self._mine = cut(recipe, execution)
        generator, discriminator = networks.build_taming(recipe)
        self.generator: taming.Generator = generator.to(device).train()
        self.discriminator = discriminator.to(device).train()
        self.average: taming.Generator = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.optimisers: dict[str, torch.optim.Optimizer] = {
            "vqgan": _adam(self.generator.vqgan, recipe),
            "discriminator": _adam(self.discriminator, recipe),
            "gpt": _adamw(self.generator, recipe),
        }
        self.codes: Tensor | None = None  # int32 [pictures, mirrored or not, side * side]; None before they are made
        self.used = torch.zeros(recipe.codes, device=device, dtype=self.generator.vqgan.codebook.dtype)  # lately
        self.step = 0
        self._order = batches.Order(recipe.seed, len(images))
        self._game_from = round(recipe.adversarial_start * self.vqgan_steps)
        self._dtype = self.generator.vqgan.codebook.dtype

    @property
    def vqgan_steps(self) -> int:
        """Batches that the VQGAN learns from; the transformer has the others."""
        return round(self.recipe.vqgan_share * self.recipe.steps)

    @property
    def images_seen(self) -> int:
        """Real pictures shown so far."""
        return self.step * self.recipe.batch

    def advance(self) -> Losses:
        """One batch; the losses are scalars."""
        if self.step < self.vqgan_steps:
            if self.step == 0:
                self._move_codes(torch.ones_like(self.used, dtype=torch.bool))
                self.average.vqgan.load_state_dict(self.generator.vqgan.state_dict())
            elif self.recipe.revive_every and self.step % self.recipe.revive_every == 0:
                if self.step < SETTLING * self.vqgan_steps:
                    self._move_codes(self.used == 0)
                self.used.zero_()
            told = self._vqgan_learns()
            batches.average_into(self.average.vqgan, self.generator.vqgan, batches.decay(self.recipe, self.images_seen))
        else:
            if self.codes is None:
                self.codes = self._make_codes()
            told = self._gpt_learns()
            seen = self.images_seen - self.vqgan_steps * self.recipe.batch
            batches.average_into(self.average.gpt, self.generator.gpt, batches.decay(self.recipe, seen))
        self.step += 1
        return dict(zip(told, self.team.mean(list(told.values())), strict=True))

    def _vqgan_learns(self) -> Losses:
        network, told = self.generator.vqgan, Told()
        parameters = list(network.parameters())
        playing = self.step >= self._game_from and self.recipe.adversarial_weight > 0
        near: list[Gradients] = []
        used = torch.zeros_like(self.used)
        adverse: list[Gradients] = []
        pairs = []
        for part in self._mine:
            real = self._real(part)
            with self._format():
                fake, encoded, nearest = network.reconstruct(real)
            fake, encoded = fake.to(self._dtype), encoded.to(self._dtype)
            loss = self._unlikeness(fake, real, told)
            commitment = vqgan.codebook_loss(encoded, nearest.vectors, self.recipe.commitment)
            share = torch.bincount(nearest.codes.flatten(), minlength=len(used)) / nearest.codes.numel()
            told.add(codebook_loss=commitment, codes_used=torch.special.entr(share).sum().exp().to(self._dtype))
            used += share / len(self._mine)
            near.append(_gradients(loss + commitment, parameters, keep=playing))
            if playing:
                fooling = -self.discriminator(fake).mean()
                told.add(generator_loss=fooling)
                adverse.append(_gradients(fooling, parameters))
                pairs.append((real, fake.detach()))
        (used,) = self.team.mean([used])
        self.used += used
        gradients = self.team.mean(_mean(near))
        if playing:
            against = self.team.mean(_mean(adverse))
            last = next(at for at, one in enumerate(parameters) if one is network.decoder.last.weight)
            weight = (gradients[last].norm() / (against[last].norm() + SHORTEST)).clamp(max=HEAVIEST)
            told.add(adaptive_weight=weight)
            weight = weight * self.recipe.adversarial_weight
            gradients = [one + weight * other for one, other in zip(gradients, against, strict=True)]
        _step(self.optimisers["vqgan"], parameters, gradients)
        if playing:
            self._discriminator_learns(pairs, told)
        return told.means()

    def _unlikeness(self, fake: Tensor, real: Tensor, told: Told) -> Tensor:
        loss = (fake - real).abs().mean()
        told.add(reconstruction=loss)
        if self.recipe.perceptual_network:
            seen = self._likeness(fake, real)
            told.add(perceptual=seen)
            loss = loss + self.recipe.perceptual_weight * seen
        return loss

    @functools.cached_property
    def _likeness(self) -> perceptual.Perceptual:
        """The recipe's perceptual network; not read where only the transformer is left to learn."""
        wanted = self.recipe.perceptual_network
        try:
            network, found = perceptual.load()
        except WeightsError as error:
            raise SetupError(f"the recipe's perceptual loss has the network {wanted[:8]}: {error}") from error
        if found != wanted:
            raise SetupError(
                f"the recipe's perceptual loss has the network {wanted}, here is {found}: put that one back"
            )
        return network.to(self.device, self._dtype)

    def _discriminator_learns(self, pairs: Sequence[tuple[Tensor, Tensor]], told: Told) -> None:
        parameters = list(self.discriminator.parameters())
        found = []
        for real, fake in pairs:
            for_real, for_fake = self.discriminator(real), self.discriminator(fake)
            loss = losses.hinge(for_real, for_fake)
            told.add(discriminator_loss=loss, real_logit=for_real.mean(), fake_logit=for_fake.mean())
            found.append(_gradients(loss, parameters))
        _step(self.optimisers["discriminator"], parameters, self.team.mean(_mean(found)))

    def _gpt_learns(self) -> Losses:
        network, told = self.generator.gpt, Told()
        parameters = list(network.parameters())
        found = []
        for part in self._mine:
            codes = self._codes(part)
            begun = functional.pad(codes[:, :-1], (1, 0), value=START)
            with self._format():
                logits = network(begun)
            loss = functional.cross_entropy(logits.flatten(0, 1).to(self._dtype), codes.flatten())
            told.add(code_loss=loss)
            found.append(_gradients(loss, parameters))
        _step(self.optimisers["gpt"], parameters, self.team.mean(_mean(found)))
        return told.means()

    @torch.no_grad()
    def _move_codes(self, chosen: Tensor) -> None:
        """Make encodings of pictures of these codes (bool [codes]): one that lies far from all is never used."""
        recipe, network = self.recipe, self.generator.vqgan
        wanted = max(recipe.batch, -(-recipe.codes // network.sizes.side**2))
        rows = self._order.rows(self.images_seen, wanted)
        found = [
            network.encode(self._levels(some)).permute(0, 2, 3, 1).flatten(0, 2) for some in torch.split(rows, AT_ONCE)
        ]
        every = torch.cat(found)
        index = self.step * len(every) + torch.arange(len(every), device=self.device)
        order = counter_random.uniform(recipe.seed, Kind.TRAINING_CODES, index, 1)[:, 0].argsort(stable=True)
        (vectors,) = self.team.mean([every[order[: len(chosen)]]])  # the same bits in all processes
        for codebook in (network.codebook, self.average.vqgan.codebook):
            codebook.copy_(torch.where(chosen[:, None], vectors, codebook))

    @torch.no_grad()
    def _make_codes(self) -> Tensor:
        """The codes of all pictures, and where the recipe mirrors them of these too. Each process makes a share."""
        network, sides = self.average.vqgan, 2 if self.recipe.mirror else 1
        made = torch.zeros(len(self.pictures), sides, network.sizes.side**2, dtype=torch.float64, device=self.device)
        mine = torch.arange(self.team.rank, len(self.pictures), self.team.size)
        for rows in torch.split(mine, AT_ONCE):
            images = self._levels(rows)
            for side in range(sides):
                codes = network.quantise(network.encode(images.flip(3) if side else images)).codes
                made[rows.to(self.device), side] = codes.flatten(1).double()
        (mean,) = self.team.mean([made])  # the others' codes are zero here
        return (mean * self.team.size).round().to(torch.int32)

    def _shown(self, part: int) -> tuple[Tensor, Tensor]:
        """Rows of a part of the next batch of pictures, and which of them are mirrored; bool, on the device."""
        rows = self._order.rows(self.images_seen, self.recipe.batch)[part :: self._parts]
        number = batches.numbers(self.recipe, self.images_seen, part, self._parts, self.device)
        return rows, batches.mirrored(self.recipe, number)

    def _real(self, part: int) -> Tensor:
        return self._levels(*self._shown(part))

    def _levels(self, rows: Tensor, turned: Tensor | None = None) -> Tensor:
        """Pictures as the networks see them, [-1, 1]."""
        return batches.levels(self.pictures[rows], turned, self.device, self._dtype)

    def _codes(self, part: int) -> Tensor:
        """Codes int64 [n, side * side] of a part of the next batch."""
        assert self.codes is not None
        rows, turned = self._shown(part)
        return self.codes[rows.to(self.device), turned.long()].long()

    def _format(self) -> torch.autocast:
        """In which convolutions and matrix products compute."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that a later process needs to go on: tensors, and what JSON holds."""
        tensors = {"used": self.used, **training_state.gathered(self._networks(), self.optimisers)}
        if self.codes is not None:
            tensors["codes"] = self.codes
        facts = {"step": self.step, "perceptual": self.recipe.perceptual_network or None}
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}, facts

    def restore(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from a state. Raises RuntimeError, KeyError or ValueError for one of other networks.

        SetupError for a run of before recipes named the perceptual network, which learned with one.
        """
        if facts["perceptual"] != (self.recipe.perceptual_network or None):
            raise SetupError(
                f"the run learned with the perceptual network {facts['perceptual'] or 'none'}, which its recipe does "
                "not say, because an older toolkit began it: begin a new run in a new folder"
            )
        training_state.restore(tensors, self._networks(), self.optimisers)
        self.codes = tensors["codes"].to(self.device) if "codes" in tensors else None
        self.used = tensors["used"].to(self.device)
        self.step = int(facts["step"])

    def _networks(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average}


def _adam(network: torch.nn.Module, recipe: Recipe) -> torch.optim.Adam:
    """For the two that play against each other."""
    return torch.optim.Adam(network.parameters(), lr=recipe.vqgan_rate, betas=GAME_DECAYS, fused=True)


def _adamw(generator: taming.Generator, recipe: Recipe) -> torch.optim.AdamW:
    """Matrices of dense layers decay; embeddings, places, biases and normalisation do not."""
    every = dict(generator.gpt.named_parameters())
    decaying = {name for name, one in every.items() if one.ndim == 2 and name.startswith(("blocks.", "head."))}
    groups = [
        {"params": [one for name, one in every.items() if name in decaying], "weight_decay": recipe.weight_decay},
        {"params": [one for name, one in every.items() if name not in decaying], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.gpt_rate, betas=GPT_DECAYS, fused=True)


def _gradients(loss: Tensor, parameters: list[torch.nn.Parameter], *, keep: bool = False) -> Gradients:
    found = torch.autograd.grad(loss, parameters, retain_graph=keep, allow_unused=True, materialize_grads=True)
    return list(found)


def _mean(parts: Sequence[Gradients]) -> Gradients:
    if len(parts) == 1:
        return parts[0]
    return [torch.stack(same).mean(0) for same in zip(*parts, strict=True)]


def _step(optimiser: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter], gradients: Gradients) -> None:
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = laid_out_as(parameter, gradient)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
