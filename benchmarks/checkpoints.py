"""Checkpoints of a run: each is a folder that appears whole or not at all, tensors in safetensors, facts in JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from manifests import atomic, faults
from manifests.errors import SetupError

FOLDER = "checkpoints"  # in a run; a checkpoint's name is its step
TENSORS, FACTS = "state.safetensors", "state.json"
KEPT = 2


def last(run: Path) -> Path | None:
    """The newest checkpoint of a run."""
    return max((run / FOLDER).glob("[0-9]*"), default=None)


def at(run: Path, step: int) -> Path:
    """The checkpoint of a step."""
    return run / FOLDER / f"{step:08d}"


def save(run: Path, step: int, tensors: dict[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the checkpoint of a step, unless it is there; then remove all but the newest."""
    final = at(run, step)
    if final.exists():
        return
    temporary = atomic.temporary_beside(final)
    temporary.mkdir()
    save_file(tensors, temporary / TENSORS)
    atomic.fsync(temporary / TENSORS)
    atomic.write_bytes(temporary / FACTS, (json.dumps(facts, indent=2) + "\n").encode())
    faults.point("checkpoint.before_rename")
    temporary.replace(final)
    atomic.fsync(final.parent)
    for old in sorted((run / FOLDER).glob("[0-9]*"))[:-KEPT]:
        shutil.rmtree(old)


def read(checkpoint: Path, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors whose names begin with `prefix` (which is taken off), and the facts. SetupError where it is damaged."""
    try:
        with safe_open(checkpoint / TENSORS, "pt") as stored:
            names = [name for name in stored.keys() if name.startswith(prefix)]  # noqa: SIM118 (no mapping)
            tensors = {name.removeprefix(prefix): stored.get_tensor(name) for name in names}
        return tensors, json.loads((checkpoint / FACTS).read_bytes())
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
