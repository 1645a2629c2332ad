"""Checkpoints of a run: each is a folder that appears whole or not at all, tensors in safetensors, facts in JSON.

Kept are the last ones, and the best of those that were judged. Which that is, metrics.jsonl says: nothing else
remembers it, so nothing can get out of step.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchmarks import metrics
from manifests import atomic, faults, plain_json
from manifests.errors import MisuseError, SetupError

FOLDER = "checkpoints"  # in a run; a checkpoint's name is its step
TENSORS, FACTS = "state.safetensors", "state.json"
KEPT = 2  # the last ones
LAST, BEST = "last", "best"  # words for `chosen`, which takes a step too


def every(run: Path) -> dict[int, Path]:
    """Checkpoints by their steps, in order."""
    found = {int(path.name): path for path in (run / FOLDER).glob("[0-9]*") if path.name.isdecimal()}
    return dict(sorted(found.items()))


def last(run: Path) -> Path | None:
    """The newest checkpoint of a run."""
    return next(reversed(every(run).values()), None)


def reached(run: Path) -> tuple[int, float]:
    """Step of the newest checkpoint, and seconds of training until then; 0 where there is none that can be read."""
    newest = last(run)
    try:
        facts = plain_json.loads((newest / FACTS).read_bytes()) if newest is not None else {}
        return int(facts.get("step", 0)), sum(map(float, facts.get("devices", {}).values()))
    except (OSError, ValueError, TypeError, AttributeError):
        return 0, 0.0


def at(run: Path, step: int) -> Path:
    """The checkpoint of a step."""
    return run / FOLDER / f"{step:08d}"


def best(run: Path) -> Path | None:
    """Of the checkpoints that were judged and are there the one nearest to the pictures, by the latest distance."""
    there = every(run)
    *_, ranked = ([], *metrics.best(run).values())
    return next((there[step] for step in ranked if step in there), None)


def chosen(run: Path, which: str) -> Path:
    """The checkpoint that `last`, `best` or a step names. Raises SetupError where there is none."""
    if not re.fullmatch(rf"{LAST}|{BEST}|[0-9]{{1,8}}", which):
        raise MisuseError(f"--checkpoint {which}: it is {LAST}, {BEST} or a step, such as 4000")
    there = every(run)
    if not there:
        raise SetupError(f"{run} holds no checkpoint yet; train it with: lhq train MODEL DATA -o {quote(str(run))}")
    found = there.get(int(which)) if which.isdigit() else best(run) if which == BEST else last(run)
    if found is None:
        steps = ", ".join(map(str, there))
        missing = "none that was judged" if which == BEST else f"none of step {which}"
        raise MisuseError(f"of the checkpoints of {run} there is {missing}; there are: {steps}; {LAST} is always one")
    return found


def save(run: Path, step: int, tensors: dict[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the checkpoint of a step, unless it is there.

    Raises NotFiniteError, and writes nothing, where a tensor holds what is no number; OSError where the disk is full.
    """
    final = at(run, step)
    if final.exists():
        return
    if (broken := first_not_finite(tensors)) is not None:
        raise metrics.NotFiniteError(step, f"{broken} is not finite after it")
    temporary = atomic.temporary_beside(final)
    temporary.mkdir()
    try:
        _write_tensors(tensors, temporary / TENSORS)
        atomic.write_bytes(temporary / FACTS, (json.dumps(facts, indent=2) + "\n").encode())
        faults.point("checkpoint.before_rename")
        temporary.replace(final)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    atomic.fsync(final.parent)


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or infinity."""
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)


def _write_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    try:
        save_file(tensors, path)
    except SafetensorError as error:
        if code := re.search(r"\(os error (\d+)\)", str(error)):  # the library hides what the system said
            raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from error
        raise
    atomic.fsync(path)


def prune(run: Path) -> None:
    """Remove all but the last checkpoints, and the best by each kind of distance."""
    there = every(run)
    kept = set(list(there)[-KEPT:])
    for ranked in metrics.best(run).values():
        kept |= set([step for step in ranked if step in there][:1])
    for step, path in there.items():
        if step not in kept:
            doomed = atomic.temporary_beside(path)
            path.replace(doomed)  # at once: half a checkpoint would be taken for a whole one
            shutil.rmtree(doomed)


def read(checkpoint: Path, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors whose names begin with `prefix` (which is taken off), and the facts. SetupError where it is damaged."""
    try:
        with safe_open(checkpoint / TENSORS, "pt") as stored:
            names = [name for name in stored.keys() if name.startswith(prefix)]  # noqa: SIM118 (no mapping)
            tensors = {name.removeprefix(prefix): stored.get_tensor(name) for name in names}
        return tensors, plain_json.loads((checkpoint / FACTS).read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise SetupError(f"{checkpoint} is damaged ({error}); remove this folder to use the one before") from error


def misfit(checkpoint: Path, error: Exception) -> SetupError:
    """The error for a checkpoint whose tensors or facts are not those its recipe asks for."""
    return SetupError(f"{checkpoint} does not fit its recipe ({error}); remove this folder to use the one before")


def sweep(run: Path) -> None:
    """Remove what an interrupted save left. Call under the run's lock."""
    atomic.make_folder(run / FOLDER)
    for leftover in (run / FOLDER).glob(f"{atomic.TEMPORARY}*"):
        shutil.rmtree(leftover)
