"""metrics.jsonl of a run: the losses of every step, and what was measured at some."""

from __future__ import annotations

import itertools
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manifests import atomic
from manifests.errors import SetupError

FILE = "metrics.jsonl"  # in a run
FLUSH_STEPS = 50  # after so many the losses are fetched from the device and written


def read(run: Path) -> list[dict[str, Any]]:
    """Every whole line, in order."""
    path = run / FILE
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


@contextmanager
def watched(run: Path, reached: Callable[[int], None]) -> Iterator[None]:
    """While it lasts, `reached` is told the last step that another process has written, every second."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            if (step := _last_step(run / FILE)) is not None:
                reached(step)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _last_step(path: Path) -> int | None:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 4096))
            line = stream.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        return int(json.loads(line)["step"])
    except (OSError, ValueError, KeyError):
        return None


def measured(run: Path) -> list[dict[str, Any]]:
    """The lines of what was measured: step, images, and the distances."""
    return [line for line in read(run) if "images" in line]


class Writer:
    """Writes lines from a step on; those of later steps, which a killed run had written, are dropped first."""

    def __init__(self, run: Path, step: int) -> None:
        self._path = run / FILE
        self._waiting: list[tuple[int, Mapping[str, Tensor]]] = []
        kept = [line for line in read(run) if line["step"] <= step]
        atomic.write_bytes(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._noted = {line["step"] for line in kept if "images" in line}

    def add(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """The losses of a step: scalars, fetched from the device in groups."""
        self._waiting.append((step, losses))
        if len(self._waiting) >= FLUSH_STEPS:
            self.flush()

    def has_noted(self, step: int) -> bool:
        return step in self._noted

    def note(self, step: int, images: int, found: Mapping[str, float]) -> None:
        """What was measured at a step."""
        self._noted.add(step)
        self._write([{"step": step, "images": images, **found}])

    def flush(self) -> None:
        """Write the losses that wait, durably. Raises SetupError when one is no number."""
        if not self._waiting:
            return
        values = iter(torch.stack([loss.float() for _, told in self._waiting for loss in told.values()]).tolist())
        lines = [{"step": step, **{name: next(values) for name in told}} for step, told in self._waiting]
        self._waiting = []
        sound = list(itertools.takewhile(lambda line: all(map(math.isfinite, line.values())), lines))
        self._write(sound)
        if len(sound) < len(lines):
            broken = lines[len(sound)]
            raise SetupError(
                f"the training fell apart at step {broken['step']} ({broken}): try another seed or a larger r1_weight"
            )

    def _write(self, lines: list[dict[str, Any]]) -> None:
        with self._path.open("a") as stream:
            stream.writelines(json.dumps(line) + "\n" for line in lines)
        atomic.fsync(self._path)
