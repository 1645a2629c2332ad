"""Speed of a training step on the CPU, float32: ours against the published code, phase by phase and over the schedule.

`--peer` names a checkout of the published ALIS code (which holds its StyleGAN2 too, and needs `omegaconf`). Its own
loss class is then driven as its training loop does: gradients, what is not a number taken out, Adam, running average.
A step over the schedule is what a batch takes on average: path lengths at every fourth, on half of the pictures, R1
at every sixteenth. Both train networks of the same sizes, and all phases of both take turns.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.perf._bench import Options, Row, compare, median_seconds, parse_options, publish
from models.allocator import keep_memory

keep_memory()  # before the first tensor

import torch  # noqa: E402
from torch import Tensor  # noqa: E402

from benchmarks import batches  # noqa: E402
from benchmarks.perf import _peer  # noqa: E402
from benchmarks.perf._peer import PEERS  # noqa: E402
from benchmarks.presets import preset  # noqa: E402
from benchmarks.recipes import Recipe  # noqa: E402
from benchmarks.training import Training  # noqa: E402
from pipelines.engine import threads  # noqa: E402

PATH_EVERY, R1_EVERY = 4, 16  # batches
SCHEDULE = {"generator": 1.0, "path lengths": 1 / PATH_EVERY, "discriminator": 1.0, "R1": 1 / R1_EVERY, "average": 1.0}
THEIR_NAMES = {"generator": "Gmain", "path lengths": "Greg", "discriminator": "Dmain", "R1": "Dreg"}
DECAY = 0.999  # of the running average

Phases = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Case:
    """A model at a size. `grid`: columns in a frame of ALIS, as many as pixels in its input."""

    model: str
    resolution: int
    batch: int
    grid: int

    def __str__(self) -> str:
        return f"{self.model}, {self.resolution}x{self.resolution}, batch {self.batch}"

    @property
    def recipe(self) -> Recipe:
        """The published settings, which both train with."""
        settings = {"batch": self.batch, "patches": self.grid, "input_resolution": self.grid}
        return Recipe(
            **vars(preset(self.model, "noise", "paper", self.resolution))
            | settings
            | {"path_every": PATH_EVERY, "r1_every": R1_EVERY}
        )


CASES = [Case(model, *size) for size in ((256, 4, 16), (32, 32, 4)) for model in PEERS]


def pictures(case: Case) -> Tensor:
    """Noise, uint8 [batch, 3, resolution, resolution]: how long a step takes does not depend on what is seen."""
    random = torch.Generator().manual_seed(0)
    shape = (case.batch, 3, case.resolution, case.resolution)
    return torch.randint(256, shape, generator=random, dtype=torch.uint8)


def ours(case: Case) -> tuple[Phases, Training]:
    """The phases of our step, ready to be called; the only place that knows how the trainer calls them."""
    training = Training(case.recipe, pictures(case), torch.device("cpu"))
    phases: Phases = {
        "generator": training._generator_learns,
        "path lengths": training._paths_even_out,
        "discriminator": training._discriminator_learns,
        "R1": training._gradients_flatten,
        "average": lambda: batches.average_into(training.average, training.generator, DECAY),
    }
    return phases, training


class Published:
    """The published networks, their optimisers and loss."""

    def __init__(self, checkout: Path, case: Case) -> None:
        recipe = case.recipe
        self.case, self.images = case, pictures(case)
        self.generator = _peer.generator(checkout, case.model, case.resolution, case.grid).train().requires_grad_(False)
        group = min(recipe.deviation_group, case.batch)
        self.discriminator = _peer.discriminator(checkout, case.resolution, group).train().requires_grad_(False)
        self.average = copy.deepcopy(self.generator).eval()
        parts = (self.generator, self.discriminator)
        self.loss = _peer.loss(checkout, case.model, case.grid, *parts, recipe.r1_weight)
        self.networks = {"G": self.generator, "D": self.discriminator}
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=recipe.learning_rate, betas=(0.0, 0.99), eps=1e-8)
            for name, network in self.networks.items()
        }

    def learn(self, phase: str, interval: int) -> None:
        """One phase, with the optimiser's step."""
        network, optimiser = self.networks[phase[0]], self.optimisers[phase[0]]
        real = self.images.float() / 127.5 - 1
        z = torch.randn(self.case.batch, 512)
        nothing = [None] * self.case.batch
        optimiser.zero_grad(set_to_none=True)
        network.requires_grad_(True)
        self.loss.accumulate_gradients(phase, real, nothing, z, nothing, sync=True, gain=interval)
        network.requires_grad_(False)
        for parameter in network.parameters():
            if parameter.grad is not None:
                torch.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
        optimiser.step()

    @torch.no_grad()
    def follow(self) -> None:
        """Its running average."""
        for mean, now in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.copy_(now.lerp(mean, DECAY))
        for kept, buffer in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)

    def phases(self) -> Phases:
        intervals = {"path lengths": PATH_EVERY, "R1": R1_EVERY}
        return {
            **{name: partial(self.learn, theirs, intervals.get(name, 1)) for name, theirs in THEIR_NAMES.items()},
            "average": self.follow,
        }


def of_same_size(training: Training, published: Published) -> None:
    """SystemExit where the two would not train the same number of parameters."""
    pairs: list[tuple[Any, Any]] = [
        (training.generator, published.generator),
        (training.discriminator, published.discriminator),
    ]
    for mine, other in pairs:
        counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (mine, other)]
        if counts[0] != counts[1]:
            raise SystemExit(f"{type(mine).__name__}: {counts[0]} parameters here, {counts[1]} in the published one")


def milliseconds(seconds: dict[str, float], whose: str) -> dict[str, float]:
    """Of each phase, and first of what a batch takes on average."""
    each = {phase: 1e3 * seconds[f"{whose} {phase}"] for phase in SCHEDULE}
    return {"a step over the schedule": sum(share * each[phase] for phase, share in SCHEDULE.items())} | each


def measure_case(checkout: Path | None, case: Case, repeats: int) -> list[Row]:
    """A row for the whole step, and one for each of its phases."""
    phases, training = ours(case)
    timed: Phases = {f"ours {phase}": run for phase, run in phases.items()}
    if checkout is None:
        values = milliseconds(median_seconds(timed, repeats), "ours")
        reason = "no --peer was named"
        return [Row(f"{case}: {name}", float(f"{ms:.4g}"), "ms", None, None, reason) for name, ms in values.items()]
    published = Published(checkout, case)
    of_same_size(training, published)
    theirs = {f"theirs {phase}": run for phase, run in published.phases().items()}
    pairs = zip(timed.items(), theirs.items(), strict=True)
    seconds = median_seconds({name: run for pair in pairs for name, run in pair}, repeats)
    values, baselines = (milliseconds(seconds, whose) for whose in ("ours", "theirs"))
    return [compare(f"{case}: {name} / published code", ms, baselines[name], "ms") for name, ms in values.items()]


def measure(options: Options) -> list[Row]:
    """All rows: of the first case, or with --full of all."""
    checkout = Path(options.peer) if options.peer else None
    cases, repeats = (CASES, 3) if options.full else (CASES[:1], 1)
    return [row for case in cases for row in measure_case(checkout, case, repeats)]


def main() -> None:
    """Measures and prints. Without --full only StyleGAN2 at 256x256, each phase once after a warm-up."""
    options = parse_options("Speed of a training step.", peer="a checkout of the published ALIS code")
    threads.fix(threads.cores())
    facts = {"torch": torch.__version__, "threads": str(torch.get_num_threads()), "allocator": "glibc, memory kept"}
    publish("training", measure(options), options, **facts)


if __name__ == "__main__":
    main()
