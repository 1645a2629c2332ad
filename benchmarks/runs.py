"""A run is a folder: recipe.json, data.json, metrics.jsonl, checkpoints; killed anywhere, it goes on exactly.

A checkpoint is a folder of its own that appears whole or not at all: tensors in safetensors, facts in JSON. A line
of metrics.jsonl belongs to a step; what was written after the last checkpoint is dropped when the run goes on, and
written again with the same numbers.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks import networks, recipes
from benchmarks.networks import Generator
from benchmarks.pictures import Pictures
from benchmarks.recipes import Recipe
from benchmarks.training import Losses, Training
from manifests import atomic, faults
from manifests.errors import SetupError
from manifests.locks import locked

DATA, METRICS, CHECKPOINTS = "data.json", "metrics.jsonl", "checkpoints"
TENSORS, FACTS = "state.safetensors", "state.json"
CHECKPOINT_SECONDS = 300.0
FLUSH_STEPS = 50  # after so many the losses are fetched from the device and written
KEPT = 2  # checkpoints

Judge = Callable[[Generator], Mapping[str, float]]


@dataclass(frozen=True)
class Trained:
    """What a call of `train` found and did."""

    images: int  # seen by the run in all
    steps_now: int  # made by this call
    seconds: float  # of training in all, as measured where it ran


def train(
    recipe: Recipe,
    pictures: Pictures,
    run: Path,
    device: torch.device,
    *,
    judge: Judge | None = None,
    snapshots: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train in `run` until the recipe's end, from the last checkpoint if there is one.

    `judge` measures the averaged generator at the start and at `snapshots` evenly spaced checkpoints; what it says is
    written among the metrics. `progress` gets images shown and images in all. Ctrl-C saves a checkpoint, then raises
    KeyboardInterrupt. Raises SetupError where the folder holds something else, and when a loss is no number.
    """
    training = Training(recipe, pictures.images, device)
    claim(recipe, pictures, run)
    with locked(run, "train"):
        seconds = _resume(training, run)
        writer = _Metrics(run / METRICS, training.step)
        measured = {recipe.steps * part // snapshots for part in range(snapshots + 1)} if judge and snapshots else set()
        started, first = time.perf_counter(), training.step

        def elapsed() -> float:
            return seconds + time.perf_counter() - started

        def stop_here() -> None:
            nonlocal started
            writer.flush()
            stopped = time.perf_counter()
            if judge is not None and training.step in measured:
                writer.note(training.step, {"images": training.images_seen, **judge(training.average)})
            started += time.perf_counter() - stopped  # measuring is not training
            _save(training, run, elapsed())

        if training.step == 0:
            stop_here()
        saved = time.perf_counter()
        with _Interruption() as interruption:
            while training.step < recipe.steps:
                told = training.advance()
                writer.add(training.step, told)
                if progress is not None:
                    progress(training.images_seen, recipe.steps * recipe.batch)
                due = time.perf_counter() - saved >= CHECKPOINT_SECONDS
                if due or training.step in measured or training.step == recipe.steps or interruption.asked:
                    stop_here()
                    saved = time.perf_counter()
                if interruption.asked:
                    raise KeyboardInterrupt
                faults.point("train.step")
        return Trained(training.images_seen, training.step - first, elapsed())


def claim(recipe: Recipe, pictures: Pictures, run: Path) -> None:
    """Make the run's folder, or check that it holds this recipe and these pictures. SetupError otherwise."""
    if pictures.resolution != recipe.resolution:
        raise SetupError(
            f"the pictures are {pictures.resolution} pixels wide, the recipe wants {recipe.resolution}: export at "
            f"--resolution {recipe.resolution}"
        )
    facts = {
        "dataset": pictures.dataset,
        "subset": pictures.subset,
        "subset_hash": pictures.subset_hash,
        "pictures": len(pictures.images),
    }
    if (run / recipes.FILE).is_file():
        if recipes.load(run) != recipe:
            raise SetupError(f"{run} is a run of another recipe (see {run / recipes.FILE}); choose a new folder")
        if (run / DATA).is_file() and data_of(run) != facts:
            raise SetupError(f"{run} was trained on other pictures (see {run / DATA}); choose a new folder")
    elif run.exists() and (not run.is_dir() or any(not _is_ours(path) for path in run.iterdir())):
        raise SetupError(f"{run} is not empty and no run; a run goes into a new or empty folder")
    atomic.make_folder(run)
    if not (run / DATA).is_file():
        atomic.write_bytes(run / DATA, (json.dumps(facts, indent=2) + "\n").encode())
    if not (run / recipes.FILE).is_file():
        recipes.save(recipe, run)


def _is_ours(path: Path) -> bool:
    """What a start that was killed left."""
    return path.name in (DATA, "locks") or path.name.startswith(atomic.TEMPORARY)


def data_of(run: Path) -> dict[str, Any]:
    """What a run was trained on: dataset, subset, subset_hash, pictures."""
    try:
        facts: dict[str, Any] = json.loads((run / DATA).read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{run / DATA} cannot be read ({error}); restore it from a backup") from error
    return facts


@dataclass(frozen=True)
class Snapshot:
    """A trained generator as a run's last checkpoint holds it."""

    recipe: Recipe
    generator: Generator  # the running average, in evaluation mode
    images: int
    seconds: float
    device: str  # what it was trained on


def open_last(run: Path, device: torch.device) -> Snapshot:
    """The last checkpoint's averaged generator. Raises SetupError where there is none."""
    recipe = recipes.load(run)
    last = _last(run)
    if last is None:
        raise SetupError(f"{run} holds no checkpoint yet; train it with: lhq train {recipe.model} DATA -o {run}")
    tensors, facts = _read(last)
    generator, _ = networks.build(recipe)
    try:
        generator.load_state_dict(_prefixed(tensors, "average."))
        return Snapshot(
            recipe,
            generator.to(device).eval().requires_grad_(False),
            int(facts["step"]) * recipe.batch,
            float(facts["seconds"]),
            str(facts["device"]),
        )
    except (RuntimeError, KeyError, ValueError) as error:
        raise SetupError(
            f"{last} does not fit its recipe ({error}); remove this folder to use the one before"
        ) from error


def metrics(run: Path) -> list[dict[str, Any]]:
    """Every whole line of metrics.jsonl."""
    path = run / METRICS
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _prefixed(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _last(run: Path) -> Path | None:
    return max((run / CHECKPOINTS).glob("[0-9]*"), default=None)


def _read(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        return load_file(checkpoint / TENSORS), json.loads((checkpoint / FACTS).read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise SetupError(
            f"{checkpoint} is damaged ({error}); remove this folder to go on from the one before"
        ) from error


def _resume(training: Training, run: Path) -> float:
    """Put the training where the last checkpoint was; returns the seconds it had taken until then."""
    atomic.make_folder(run / CHECKPOINTS)
    atomic.sweep_temporaries(run)
    for leftover in (run / CHECKPOINTS).glob(f"{atomic.TEMPORARY}*"):
        shutil.rmtree(leftover)
    last = _last(run)
    if last is None:
        return 0.0
    tensors, facts = _read(last)
    try:
        training.restore(tensors, facts)
        return float(facts["seconds"])
    except (RuntimeError, KeyError, ValueError) as error:
        raise SetupError(f"{last} does not fit its recipe ({error}); remove it to go on from the one before") from error


def _save(training: Training, run: Path, seconds: float) -> None:
    """Write a checkpoint, then remove all but the newest."""
    final = run / CHECKPOINTS / f"{training.step:08d}"
    if final.exists():
        return
    temporary = atomic.temporary_beside(final)
    temporary.mkdir()
    tensors, facts = training.state()
    save_file(tensors, temporary / TENSORS)
    atomic.fsync(temporary / TENSORS)
    facts |= {"images": training.images_seen, "seconds": round(seconds, 3), "device": device_name(training.device)}
    atomic.write_bytes(temporary / FACTS, (json.dumps(facts, indent=2) + "\n").encode())
    faults.point("checkpoint.before_rename")
    temporary.replace(final)
    atomic.fsync(final.parent)
    for old in sorted((run / CHECKPOINTS).glob("[0-9]*"))[:-KEPT]:
        shutil.rmtree(old)


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class _Interruption:
    """Lets the step that is being made end, so that it can be saved; a second Ctrl-C (or SIGTERM) ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Interruption:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            self._before = {one: signal.signal(one, self._ask) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class _Metrics:
    """Lines of metrics.jsonl from a step on; losses are fetched from the device in groups."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._waiting: list[tuple[int, Losses]] = []
        kept = [line for line in metrics(path.parent) if line["step"] <= step] if path.exists() else []
        atomic.write_bytes(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._noted = {line["step"] for line in kept if "images" in line}

    def add(self, step: int, told: Losses) -> None:
        self._waiting.append((step, told))
        if len(self._waiting) >= FLUSH_STEPS:
            self.flush()

    def note(self, step: int, told: Mapping[str, Any]) -> None:
        """What was measured at a step, once."""
        if step not in self._noted:
            self._write([{"step": step, **told}])

    def flush(self) -> None:
        if not self._waiting:
            return
        values = iter(torch.stack([loss.float() for _, told in self._waiting for loss in told.values()]).tolist())
        lines = [{"step": step, **{name: next(values) for name in told}} for step, told in self._waiting]
        self._waiting = []
        sound = list(itertools.takewhile(_is_finite, lines))
        self._write(sound)
        if len(sound) < len(lines):
            raise SetupError(
                f"the training fell apart at step {lines[len(sound)]['step']} ({lines[len(sound)]}): try another seed "
                "or a larger r1_weight"
            )

    def _write(self, lines: list[dict[str, Any]]) -> None:
        with self._path.open("a") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in lines)


def _is_finite(line: Mapping[str, float]) -> bool:
    return all(math.isfinite(value) for value in line.values())
