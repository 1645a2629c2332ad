"""How a training is computed: by how many processes, in which pieces, with which care for small numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.recipes import Recipe
from benchmarks.team import ALONE, Team
from manifests.errors import MisuseError

FLOAT16_PATIENCE = 2000  # steps without overflow after which gradients are enlarged twice as much

Losses = dict[str, Tensor]


@dataclass(frozen=True)
class Execution:
    """How a training is computed: what it learns differs by rounding only."""

    team: Team = ALONE
    at_once: int | None = None  # pictures in a process; None: its whole share of the batch
    compile: bool = False  # all but the regularisers


def cut(recipe: Recipe, execution: Execution) -> tuple[int, list[int]]:
    """Into how many parts a batch is cut, and which are this process's. MisuseError where that does not go."""
    team, batch = execution.team, recipe.batch
    share = batch // team.size
    at_once = min(execution.at_once or share, share)
    parts = batch // at_once if at_once else 0
    if at_once < 1 or at_once * parts != batch or parts % team.size or at_once % recipe.deviation_group:
        raise MisuseError(
            f"a batch of {batch} cannot be shared by {team.size} processes with {at_once} pictures at once: each takes "
            f"the same whole groups of {recipe.deviation_group} (deviation_group)"
        )
    if recipe.path_weight and batch // recipe.path_shrink % parts:
        raise MisuseError(
            f"the {batch // recipe.path_shrink} pictures whose path lengths are measured (batch / path_shrink) cannot "
            f"be cut into {parts} parts: use fewer processes, or more pictures at once"
        )
    return parts, list(range(team.rank, parts, team.size))


class Told:
    """Means of scalars over the parts of a batch."""

    def __init__(self) -> None:
        self._found: dict[str, list[Tensor]] = {}

    def add(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._found.setdefault(name, []).append(value.detach())

    def means(self) -> Losses:
        return {name: torch.stack(values).mean(0) for name, values in self._found.items()}


@dataclass
class Enlarged:
    """Gradients in float16 are computed `scale` times as large; one that overflows is left out."""

    scale: float = 2.0**16
    sound: int = 0  # steps since the last change

    def fits(self, gradients: list[Tensor]) -> bool:
        """Whether all are finite; adapts the scale."""
        fits = bool(torch.stack([gradient.isfinite().all() for gradient in gradients]).all())
        self.sound = self.sound + 1 if fits else 0
        if not fits:
            self.scale = max(1.0, self.scale / 2)
        elif self.sound >= FLOAT16_PATIENCE:
            self.scale, self.sound = self.scale * 2, 0
        return fits


def laid_out_as(parameter: Tensor, tensor: Tensor) -> Tensor:
    """The tensor with the strides of the parameter: the fused optimiser walks both in the order of their memory."""
    if tensor.stride() == parameter.stride():
        return tensor
    return torch.empty_like(parameter, memory_format=torch.preserve_format).copy_(tensor)
