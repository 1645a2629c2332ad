"""How a command trains a run: in this process, or by several on Ray."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from benchmarks import evaluate as evaluation
from benchmarks import launch, metrics, runs
from benchmarks.execution import Execution, cut
from benchmarks.pictures import read
from benchmarks.recipes import MEASUREMENTS, Recipe
from benchmarks.reference import Reference
from benchmarks.runs import Trained
from benchmarks.team import Team
from lhq_toolkit import run_report
from lhq_toolkit.commands.machine import DeviceName, prepare
from manifests import atomic
from manifests.errors import MisuseError, SetupError
from manifests.locks import locked
from models import extractors
from pipelines.engine import version
from pipelines.engine.progress import Progress
from pipelines.engine.ray_session import RaySession
from pipelines.engine.threads import cores


def train(
    recipe: Recipe,
    reference: Reference,
    run: Path,
    device: torch.device,
    toolkit: str,
    execution: Execution | None = None,
) -> Trained:
    """Train a run to its end in this process."""
    with Progress(f"train {recipe.model}", recipe.steps * recipe.batch, "images") as progress:
        return _train(recipe, reference, run, device, toolkit, execution, progress.reach)


def _train(
    recipe: Recipe,
    reference: Reference,
    run: Path,
    device: torch.device,
    toolkit: str,
    execution: Execution | None,
    progress: runs.Progress | None = None,
) -> Trained:
    """With its distances at the snapshots of its budget, and a report that grows with it."""
    measurement = MEASUREMENTS[recipe.budget]
    return runs.train(
        recipe,
        reference.pictures,
        run,
        device,
        judge=evaluation.judge(reference, measurement),
        snapshots=measurement.snapshots,
        progress=progress,
        report=lambda standing: run_report.write(run, standing, toolkit),
        execution=execution,
    )


@dataclass(frozen=True)
class Together:
    """A training by several processes: what each of them is told, on whatever machine it runs."""

    recipe: Recipe
    data: Path
    run: Path
    cache: Path
    device: DeviceName
    threads: int  # of each
    toolkit: str
    checkout: str
    at_once: int | None
    compile: bool

    def __call__(self, team: Team) -> Trained:
        """One of the processes."""
        if version.checkout() != self.checkout:
            raise SetupError(
                "a Ray node runs another checkout of LHQ Toolkit than this one; bring every node to the same commit "
                "and try again"
            )
        device = prepare(self.device, self.threads)
        if device.type == "cuda":
            device = torch.device("cuda", torch.cuda.current_device())  # Ray has chosen it
        known = Reference(read(self.data, self.cache), extractors.by_name(None, self.cache, None, device), self.cache)
        execution = Execution(team, self.at_once, self.compile)
        return _train(self.recipe, known, self.run, device, self.toolkit, execution)


@dataclass(frozen=True)
class Room:
    """So many trainings at once, with so many threads each."""

    at_once: int
    threads: int


def room(runs_left: int, smoke: bool, device: DeviceName, threads: int | None) -> Room:
    """How many of the runs that are left this machine trains at once: one on each GPU; smoke ones one on each core."""
    if device is not DeviceName.CPU and (gpus := torch.cuda.device_count()):
        at_once = max(1, min(runs_left, gpus))
    elif smoke:
        at_once = max(1, min(runs_left, cores() // (threads or 1)))
    else:
        at_once = 1
    return Room(at_once, threads or max(1, cores() // at_once))


def train_side_by_side(works: Sequence[Together], room: Room, address: str | None, asked: int | None = None) -> None:
    """Train runs to their ends, each by one process of Ray: so many at once as were asked for, else as there is room
    for, on a cluster as many as fit."""
    for work in works:
        runs.refuse_foreign(work.run)
        atomic.make_folder(work.run)
        with locked(work.run, "train"):
            pass  # a run that is being trained is left alone
    told = {work.run: 0 for work in works}
    total = sum(work.recipe.steps * work.recipe.batch for work in works)
    with RaySession(address) as session, ExitStack() as watches:
        session.start()
        progress = watches.enter_context(Progress(f"train {len(works)} runs", total, "images"))

        def reached(work: Together, step: int) -> None:
            told[work.run] = step * work.recipe.batch
            progress.reach(sum(told.values()), total)

        for work in works:
            watches.enter_context(metrics.watched(work.run, partial(reached, work)))
        on_gpus = works[0].device is not DeviceName.CPU and session.gpus() >= 1
        at_once = asked or room.at_once
        if address is not None and asked is None:
            at_once = int(session.gpus()) if on_gpus else max(1, session.cores() // room.threads)
        device = DeviceName.CUDA if on_gpus else DeviceName.CPU
        jobs = [(replace(work, device=device), work.run) for work in works]
        launch.side_by_side(jobs, at_once, cpus=0.9 if on_gpus else 0.9 * room.threads, gpus=float(on_gpus))


def train_together(work: Together, workers: int, address: str | None) -> Trained:
    """Train a run to its end on so many workers of Ray, with a graphics card each where there are as many."""
    runs.refuse_foreign(work.run)
    cut(work.recipe, Execution(Team(0, workers), work.at_once))  # what cannot be shared is refused before Ray starts
    atomic.make_folder(work.run)
    with locked(work.run, "train"):
        pass  # a run that is being trained is left alone
    recipe = work.recipe
    total = recipe.steps * recipe.batch
    with (
        RaySession(address) as session,
        Progress(f"train {recipe.model}", total, "images") as progress,
        metrics.watched(work.run, lambda step: progress.reach(step * recipe.batch, total)),
    ):
        session.start()
        enough = work.device is DeviceName.AUTO and session.gpus() >= workers
        if work.device is DeviceName.AUTO:
            work = replace(work, device=DeviceName.CUDA if enough else DeviceName.CPU)
        on_gpus = work.device is DeviceName.CUDA
        there = session.gpus() if on_gpus else session.cores()
        if workers > there:
            kind = "graphics cards" if on_gpus else "processors"
            raise MisuseError(f"--workers {workers}: Ray has {there:g} {kind}; give as many workers at most")
        return launch.together(work, workers, work.run, on_gpus=on_gpus)
