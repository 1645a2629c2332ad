"""A run is a folder: recipe.json, data.json, metrics.jsonl, checkpoints; killed anywhere, it goes on exactly.

A line of metrics.jsonl belongs to a step; what was written after the last checkpoint is dropped when the run goes on,
and written again with the same numbers.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import checkpoints, metrics, networks, recipes
from benchmarks.networks import Generator
from benchmarks.pictures import Pictures
from benchmarks.recipes import Recipe
from benchmarks.training import Execution, Training
from manifests import atomic, faults
from manifests.errors import SetupError
from manifests.locks import locked

DATA = "data.json"
SCRATCH = ".ray"  # of the launcher, while it works
STOP = "locks/stop"  # a file that asks the process that leads to save and end
CHECKPOINT_SECONDS = 300.0

Judge = Callable[[Generator], Mapping[str, float]]
Progress = Callable[[int, int], None]  # images shown, images in all


@dataclass(frozen=True)
class Trained:
    """What a call of `train` found and did."""

    images: int  # seen by the run in all
    steps_now: int  # made by this call
    seconds: float  # of training in all, wherever it ran


def train(
    recipe: Recipe,
    pictures: Pictures,
    run: Path,
    device: torch.device,
    *,
    judge: Judge | None = None,
    snapshots: int = 0,
    progress: Progress | None = None,
    execution: Execution | None = None,
) -> Trained:
    """Train in `run` until the recipe's end, from the last checkpoint if there is one.

    In a team every process calls this; the one that leads writes, the others only compute.

    `judge` measures the averaged generator at the start and at `snapshots` evenly spaced checkpoints; what it says is
    written among the metrics. Ctrl-C saves a checkpoint, then raises KeyboardInterrupt. Raises SetupError where the
    folder holds something else, and when a loss is no number.
    """
    execution = execution or Execution()
    networks.check(recipe)
    if not execution.team.leads:
        return _follow(Training(recipe, pictures.images, device, execution), run)
    refuse_foreign(run)
    with locked(run, "train"):
        claim(recipe, pictures, run)
        session = _Session(Training(recipe, pictures.images, device, execution), run)
        execution.team.told(session.training.step, device)
        if judge is not None and snapshots:
            session.judge = judge
            session.judged = {recipe.steps * part // snapshots for part in range(snapshots + 1)}
        session.train(progress)
        return Trained(session.training.images_seen, session.steps, sum(session.devices.values()))


def _follow(training: Training, run: Path) -> Trained:
    """Compute this process's share of a run that another one leads, from the step that it says."""
    began, step = time.perf_counter(), training.team.told(0, training.device)
    if step:
        _restore(training, checkpoints.at(run, step))
    while training.step < training.recipe.steps:
        training.advance()
        faults.point("train.step")
    return Trained(training.images_seen, training.step - step, time.perf_counter() - began)


def _restore(training: Training, checkpoint: Path) -> dict[str, Any]:
    """Go on from a checkpoint; its facts. Raises SetupError where it is damaged or another network's."""
    tensors, facts = checkpoints.read(checkpoint)
    try:
        training.restore(tensors, facts)
        facts["devices"] = {str(name): float(seconds) for name, seconds in facts["devices"].items()}
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise checkpoints.misfit(checkpoint, error) from error
    return facts


class _Session:
    """One stretch of a run's training: where it stands, and on what it has run for how long (`devices`)."""

    def __init__(self, training: Training, run: Path) -> None:
        self.training, self.run = training, run
        self.steps = 0  # of this session
        self.judge: Judge | None = None
        self.judged: set[int] = set()  # steps at which the judge is asked
        self.devices: dict[str, float] = {}  # seconds on each
        checkpoints.sweep(run)
        if (last := checkpoints.last(run)) is not None:
            self.devices = _restore(training, last)["devices"]
        self._here = device_name(training.device)
        if training.device.type == "cpu":
            self._here += f" ({torch.get_num_threads()} threads)"
        if training.team.size > 1:
            self._here = f"{training.team.size} x {self._here}"
        self._since = time.perf_counter()
        self._metrics = metrics.Writer(run, training.step)

    def train(self, progress: Progress | None) -> None:
        training, steps = self.training, self.training.recipe.steps
        if training.step == 0 or training.step in self.judged:
            self._save()
        saved = time.perf_counter()
        with _Interruption(self.run / STOP if training.team.size > 1 else None) as interruption:
            while training.step < steps:
                self._metrics.add(training.step + 1, training.advance())
                self.steps += 1
                if progress is not None:
                    progress(training.images_seen, steps * training.recipe.batch)
                stopping = interruption.asked
                due = training.step in self.judged or training.step == steps or stopping
                if due or time.perf_counter() - saved >= CHECKPOINT_SECONDS:
                    self._save(judging=not stopping)
                    saved = time.perf_counter()
                if stopping:
                    raise KeyboardInterrupt
                faults.point("train.step")

    def _save(self, *, judging: bool = True) -> None:
        """Save, then judge: measuring takes long and may fail. The time it takes is not counted as training."""
        self._metrics.flush()
        now = time.perf_counter()
        self.devices[self._here] = self.devices.get(self._here, 0.0) + now - self._since
        tensors, facts = self.training.state()
        facts |= {"images": self.training.images_seen, "devices": self.devices}
        checkpoints.save(self.run, self.training.step, tensors, facts)
        step = self.training.step
        if judging and self.judge is not None and step in self.judged and not self._metrics.has_noted(step):
            self._metrics.note(step, self.training.images_seen, self.judge(self.training.average))
        self._since = time.perf_counter()


def refuse_foreign(run: Path) -> None:
    """SetupError where the folder holds something that is no run."""
    if run.exists() and not (run / recipes.FILE).is_file():
        ours = (DATA, SCRATCH, "locks")  # of a start that was killed
        if not run.is_dir() or any(
            path.name not in ours and not path.name.startswith(atomic.TEMPORARY) for path in run.iterdir()
        ):
            raise SetupError(f"{run} is not empty and no run; a run goes into a new or empty folder")


def claim(recipe: Recipe, pictures: Pictures, run: Path) -> None:
    """Note recipe and pictures in the run's folder, or check that it was made with these. SetupError if not."""
    if pictures.resolution != recipe.resolution:
        raise SetupError(
            f"the pictures are {pictures.resolution} pixels wide, the recipe wants {recipe.resolution}: export at "
            f"--resolution {recipe.resolution}"
        )
    if (run / recipes.FILE).is_file() and recipes.load(run) != recipe:
        raise SetupError(f"{run} is a run of another recipe (see {run / recipes.FILE}); choose a new folder")
    if (run / DATA).is_file():
        refuse_other_pictures(pictures, run)
    atomic.sweep_temporaries(run)
    if not (run / DATA).is_file():
        atomic.write_bytes(run / DATA, (json.dumps(pictures.facts(), indent=2) + "\n").encode())
    if not (run / recipes.FILE).is_file():
        recipes.save(recipe, run)


def refuse_other_pictures(pictures: Pictures, run: Path) -> None:
    """SetupError where the run was trained on other pictures than these, to the last pixel."""
    try:
        known: dict[str, Any] = json.loads((run / DATA).read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{run / DATA} cannot be read ({error}); restore it from a backup") from error
    now = pictures.facts()
    if differing := [name for name in now if known.get(name) != now[name]]:
        raise SetupError(
            f"{run} was trained on other pictures: "
            + ", ".join(f"{name} {_short(known.get(name))}, now {_short(now[name])}" for name in differing)
            + "; give the export it was trained on"
        )


def _short(value: object) -> str:
    return str(value)[:16]


@dataclass(frozen=True)
class Snapshot:
    """A trained generator as a run's last checkpoint holds it."""

    recipe: Recipe
    generator: Generator  # the running average, in evaluation mode
    images: int
    devices: Mapping[str, float]  # seconds of training on each


def open_last(run: Path, device: torch.device) -> Snapshot:
    """The last checkpoint's averaged generator. Raises SetupError where there is none."""
    recipe = recipes.load(run)
    last = checkpoints.last(run)
    if last is None:
        raise SetupError(f"{run} holds no checkpoint yet; train it with: lhq train {recipe.model} DATA -o {run}")
    tensors, facts = checkpoints.read(last, "average.")
    generator, _ = networks.build(recipe)
    try:
        generator.load_state_dict(tensors)
        devices = {str(name): float(seconds) for name, seconds in facts["devices"].items()}
        images = int(facts["step"]) * recipe.batch
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise checkpoints.misfit(last, error) from error
    return Snapshot(recipe, generator.to(device).eval().requires_grad_(False), images, devices)


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class _Interruption:
    """Lets the step that is being made end, so that it can be saved; a second Ctrl-C (or SIGTERM) ends at once.

    Where signals do not reach this process, a file asks.
    """

    def __init__(self, stop: Path | None) -> None:
        self._asked, self._stop = False, stop
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        return self._asked or (self._stop is not None and self._stop.exists())

    def __enter__(self) -> _Interruption:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            self._before = {one: signal.signal(one, self._ask) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _ask(self, *_: object) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
