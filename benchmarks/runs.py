"""A run is a folder: recipe.json, data.json, metrics.jsonl, checkpoints; killed anywhere, it goes on exactly.

A line of metrics.jsonl belongs to a step; what was written after the last checkpoint is dropped when the run goes on,
and written again with the same numbers. So are the sample pictures and what TensorBoard is told.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import checkpoints, events, metrics, networks, plugin_model, recipes, samples, taming_training, training
from benchmarks.execution import Execution
from benchmarks.interruption import Interruption
from benchmarks.networks import Generator
from benchmarks.pictures import Pictures
from benchmarks.plugin_model import PluginTraining
from benchmarks.recipes import Recipe
from manifests import atomic, faults, plain_json
from manifests.errors import MisuseError, SetupError
from manifests.locks import STALE_SECONDS, locked

DATA = "data.json"
SCRATCH = ".ray"  # of the launcher, while it works
STOP = "locks/stop"  # a file that asks the process that leads to save and end
CHECKPOINT_SECONDS = 300.0
CLOCK_STEPS = 16  # after so many it is asked whether the recipe's hours are over

Training = training.Training | taming_training.Training | PluginTraining
Judge = Callable[[Generator], Mapping[str, float]]
Progress = Callable[[int, int], None]  # images shown, images in all


@dataclass(frozen=True)
class Standing:
    """How far a run is while it trains."""

    step: int
    images: int
    devices: Mapping[str, float]  # seconds of training on each


Report = Callable[[Standing], None]


@dataclass(frozen=True)
class Trained:
    """What a call of `train` found and did."""

    images: int  # seen by the run in all
    steps_now: int  # made by this call
    seconds: float  # of training in all, wherever it ran


def train(  # noqa: PLR0913 (what happens in the life of a run)
    recipe: Recipe,
    pictures: Pictures,
    run: Path,
    device: torch.device,
    *,
    judge: Judge | None = None,
    snapshots: int = 0,
    progress: Progress | None = None,
    execution: Execution | None = None,
    report: Report | None = None,
) -> Trained:
    """Train in `run` until the recipe's end, from the last checkpoint if there is one.

    In a team every process calls this; the one that leads writes, the others only compute.

    `judge` measures the averaged generator at the start and at `snapshots` evenly spaced checkpoints; what it says is
    written among the metrics. `report` is told how far the run is at the start, at each tick and after judging. Ctrl-C
    saves a checkpoint, then raises KeyboardInterrupt; while the judge is busy it is saved already. Raises SetupError
    where the folder holds something else, and when a loss or a weight is no number any more.
    """
    execution = execution or Execution()
    networks.check(recipe)
    if not execution.team.leads:
        return _follow(training_of(recipe, pictures, device, execution), run)
    refuse_foreign(run)
    # A leader that was killed with its machine leaves a lock that others think held for a while.
    with locked(run, "train", wait_seconds=STALE_SECONDS + 15 if execution.team.launched else 0.0):
        claim(recipe, pictures, run)
        session = _Session(training_of(recipe, pictures, device, execution), run)
        execution.team.told(session.training.step, device)
        if judge is not None and snapshots:
            session.judge = judge
            session.judged = {recipe.steps * part // snapshots for part in range(snapshots + 1)}
        session.report = report
        session.train(progress)
        return Trained(session.training.images_seen, session.steps, sum(session.devices.values()))


def training_of(recipe: Recipe, pictures: Pictures, device: torch.device, execution: Execution) -> Training:
    """The trainer of the recipe's model, before its first step."""
    if recipe.plugged is not None:
        return plugin_model.model_of(recipe).training(recipe, pictures.images, device, execution)
    kind = taming_training.Training if recipe.model == "taming" else training.Training
    return kind(recipe, pictures.images, device, execution)


def _follow(training: Training, run: Path) -> Trained:
    """Compute this process's share of a run that another one leads, from the step that it says."""
    began, step = time.perf_counter(), training.team.told(0, training.device)
    if step:
        _restore(training, checkpoints.at(run, step))
    while not _is_over(training, 0.0):
        training.advance()
        faults.point("train.step")
    return Trained(training.images_seen, training.step - step, time.perf_counter() - began)


def _is_over(training: Training, seconds: float) -> bool:
    """Whether all images were shown or, as the one that leads knows (seconds of training), the hours are over."""
    if training.step >= training.recipe.steps:
        return True
    if not training.recipe.hours or not training.step or training.step % CLOCK_STEPS:
        return False
    return bool(training.team.told(int(seconds >= 3600 * training.recipe.hours), training.device))


def is_finished(recipe: Recipe, run: Path) -> bool:
    """Whether nothing is left to train: the last checkpoint is of the last step, or came when the hours were over."""
    step, seconds = checkpoints.reached(run)
    return step >= recipe.steps or bool(recipe.hours and step and seconds >= 3600 * recipe.hours)


def _restore(training: Training, checkpoint: Path) -> dict[str, Any]:
    """Go on from a checkpoint; its facts. Raises SetupError where it is damaged or another network's."""
    tensors, facts = checkpoints.read(checkpoint)
    try:
        training.restore(tensors, facts)
        facts["devices"] = {str(name): float(seconds) for name, seconds in facts["devices"].items()}
    except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise checkpoints.misfit(checkpoint, error) from error
    return facts


class _Session:
    """One stretch of a run's training: where it stands, and on what it has run for how long (`devices`)."""

    def __init__(self, training: Training, run: Path) -> None:
        self.training, self.run = training, run
        self.steps = 0  # of this session
        self.judge: Judge | None = None
        self.judged: set[int] = set()  # steps at which the judge is asked
        self.report: Report | None = None
        self.devices: dict[str, float] = {}  # seconds on each
        checkpoints.sweep(run)
        if (last := checkpoints.last(run)) is not None:
            self.devices = _restore(training, last)["devices"]
        self._here = device_name(training.device)
        if training.device.type == "cpu":
            self._here += f" ({torch.get_num_threads()} threads)"
        if training.team.size > 1:
            self._here = f"{training.team.size} x {self._here}"
        self._ticks = samples.ticks(training.recipe)
        samples.drop_after(run, training.step)
        self._events = events.Events(run, training.step)
        self._metrics = metrics.Writer(run, training.step, self._events.lines)
        self._interruption = Interruption(run / STOP if training.team.launched else None)
        checkpoints.prune(run)
        self._since = time.perf_counter()

    def train(self, progress: Progress | None) -> None:
        with self._interruption, contextlib.closing(self._events):
            try:
                self._learn(progress)
            except metrics.NotFiniteError as error:
                raise self._fell_apart(error) from error

    def _learn(self, progress: Progress | None) -> None:
        training, steps = self.training, self.training.recipe.steps
        if training.step in self._ticks - samples.grids(self.run).keys():
            self._tick()
        if training.step == 0 or training.step in self.judged:
            self._save()
        self._tell()
        saved = time.perf_counter()
        over = _is_over(training, sum(self._devices().values()))
        while not over:
            self._metrics.add(training.step + 1, training.advance())
            self.steps += 1
            if progress is not None:
                progress(training.images_seen, steps * training.recipe.batch)
            asked = self._interruption.asked  # what is asked later waits for a save
            over = _is_over(training, sum(self._devices().values()))
            if over:  # perhaps before the last step that was meant to be judged
                self._ticks.add(training.step)
                self.judged |= {training.step} if self.judged else set()
            ticks, judges = (training.step in steps_of and not asked for steps_of in (self._ticks, self.judged))
            if ticks:
                self._tick()
            if judges or asked or over or time.perf_counter() - saved >= CHECKPOINT_SECONDS:
                self._save()
                saved = time.perf_counter()
            if ticks or judges:
                self._tell()
            faults.point("train.step")

    def _save(self) -> None:
        """Save, then judge: measuring takes long and may fail. The time it takes is not counted as training.

        KeyboardInterrupt where that is asked for: nothing is lost, and what was not judged is when the run goes on.
        """
        self._metrics.flush()
        self.devices = self._devices()
        tensors, facts = self.training.state()
        facts |= {"images": self.training.images_seen, "devices": self.devices}
        step = self.training.step
        checkpoints.save(self.run, step, tensors, facts)
        wanted = self.judge is not None and step in self.judged and not self._metrics.has_noted(step)
        if self.judge is not None and wanted and not self._interruption.asked:
            with self._interruption.at_once():
                found = self.judge(self.training.average)
            self._metrics.note(step, self.training.images_seen, found)
            faults.point("train.judged")
        checkpoints.prune(self.run)
        self._since = time.perf_counter()
        if self._interruption.asked:
            raise KeyboardInterrupt

    def _tick(self) -> None:
        """Draw the pictures of this step, once its losses are known to be sound."""
        self._metrics.flush()
        with self._aside():
            step = self.training.step
            self._events.pictures(step, samples.draw(self.training.average, self.run, step))

    def _tell(self) -> None:
        if self.report is not None:
            self._metrics.flush()
            with self._aside():
                self.report(Standing(self.training.step, self.training.images_seen, self._devices()))

    def _devices(self) -> dict[str, float]:
        """Seconds on each device until now."""
        now = time.perf_counter()
        return {**self.devices, self._here: self.devices.get(self._here, 0.0) + now - self._since}

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """What is done in it is not counted as training."""
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def _fell_apart(self, error: metrics.NotFiniteError) -> SetupError:
        last = checkpoints.last(self.run)
        kept = f"{last} is kept, and the same command goes on from it" if last else "there is no checkpoint before it"
        return SetupError(
            f"the training fell apart at step {error.step} ({error.what}); {kept}; if it falls apart there again, "
            "begin a new run with another seed, a lower learning_rate or a larger r1_weight"
        )


def refuse_foreign(run: Path) -> None:
    """SetupError where the folder holds something that is no run."""
    if run.exists() and not (run / recipes.FILE).is_file():
        ours = (DATA, SCRATCH, "locks")  # of a start that was killed
        if not run.is_dir() or any(
            path.name not in ours and not path.name.startswith(atomic.TEMPORARY) for path in run.iterdir()
        ):
            raise MisuseError(f"{run} is not empty and no run; a run goes into a new or empty folder")


def claim(recipe: Recipe, pictures: Pictures, run: Path) -> None:
    """Note recipe and pictures in the run's folder, or check that it was made with these. SetupError if not."""
    refuse_other_size(recipe, pictures)
    if (run / recipes.FILE).is_file():
        _refuse_other_recipe(recipe, run)
    if (run / DATA).is_file():
        refuse_other_pictures(pictures, run)
    atomic.sweep_temporaries(run)
    if not (run / DATA).is_file():
        atomic.write_bytes(run / DATA, (json.dumps(pictures.facts(), indent=2) + "\n").encode())
    if not (run / recipes.FILE).is_file():
        recipes.save(recipe, run)


def _refuse_other_recipe(recipe: Recipe, run: Path) -> None:
    known = recipes.load(run)
    if known == recipe:
        return
    was, now = known.perceptual_network, recipe.perceptual_network
    if dataclasses.replace(known, perceptual_network=now) != recipe:
        raise MisuseError(f"{run} is a run of another recipe (see {run / recipes.FILE}); choose a new folder")
    remedy = "run: lhq weights fetch vgg16" if was and not now else "choose a new folder"
    raise SetupError(
        f"{run} is a run whose perceptual loss has the network {was or 'none'}, here it has {now or 'none'}: {remedy}"
    )


def refuse_other_size(recipe: Recipe, pictures: Pictures) -> None:
    """MisuseError where the pictures are of another size than the network's."""
    if pictures.resolution != recipe.resolution:
        raise MisuseError(
            f"the pictures are {pictures.resolution} pixels wide, the recipe wants {recipe.resolution}: export at "
            f"--resolution {recipe.resolution}"
        )


def refuse_other_pictures(pictures: Pictures, run: Path) -> None:
    """MisuseError where the run was trained on other pictures than these, to the last pixel."""
    try:
        known = plain_json.mapping((run / DATA).read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{run / DATA} cannot be read ({error}); restore it from a backup") from error
    now = pictures.facts()
    if differing := [name for name in now if known.get(name) != now[name]]:
        raise MisuseError(
            f"{run} was trained on other pictures: "
            + ", ".join(f"{name} {_short(known.get(name))}, now {_short(now[name])}" for name in differing)
            + "; give the export it was trained on"
        )


def _short(value: object) -> str:
    return str(value)[:16]


@dataclass(frozen=True)
class Snapshot:
    """A trained generator as a checkpoint of a run holds it."""

    recipe: Recipe
    generator: Generator  # the running average, in evaluation mode
    images: int
    devices: Mapping[str, float]  # seconds of training on each


def open_checkpoint(run: Path, device: torch.device, which: str) -> Snapshot:
    """The averaged generator of the checkpoint that `last`, `best` or a step names. SetupError where there is none."""
    recipe = recipes.load(run)
    chosen = checkpoints.chosen(run, which)
    tensors, facts = checkpoints.read(chosen, "average.")
    generator = networks.build_generator(recipe)
    try:
        generator.load_state_dict(tensors)
        devices = {str(name): float(seconds) for name, seconds in facts["devices"].items()}
        images = int(facts["step"]) * recipe.batch
        if recipe.model == "taming":  # older toolkits noted it here alone
            recipe = dataclasses.replace(recipe, perceptual_network=str(facts.get("perceptual") or ""))
    except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise checkpoints.misfit(chosen, error) from error
    return Snapshot(recipe, generator.to(device).eval().requires_grad_(False), images, devices)


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
