"""metrics.jsonl of a run: the losses of every step, and what was measured at some."""

from __future__ import annotations

import itertools
import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from manifests import atomic, plain_json
from manifests.errors import SetupError

FILE = "metrics.jsonl"  # in a run
FLUSH_STEPS = 50  # after so many the losses are fetched from the device and written
DISTANCES = ("fid", "fd")  # by which checkpoints are compared, each with its own kind only

Lines = list[dict[str, Any]]


class NotFiniteError(Exception):
    """A number of the training is none any more. `step`: the first at which that shows, `what`: where it does."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"step {step}: {what}")
        self.step, self.what = step, what


def stream(run: Path) -> Iterator[dict[str, Any]]:
    """Every whole line, in order, one at a time. SetupError where one is damaged."""
    for number, line in _whole(run):
        yield _parsed(run, number, line)


def read(run: Path) -> Lines:
    """Every whole line, in order."""
    return list(stream(run))


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
        return int(plain_json.loads(line)["step"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def measured(run: Path) -> Lines:
    """The lines of what was measured: step, images, and the distances."""
    lines = (_parsed(run, *one) for one in _whole(run) if b'"images"' in one[1])  # few, of very many
    return [line for line in lines if "images" in line]


def best(run: Path) -> dict[str, list[int]]:
    """Steps that were judged, the nearest to the pictures first, for each kind of distance; the latest kind last.

    Of equally near ones the later comes first. One whose distance is no number is left out.
    """
    found: dict[str, list[tuple[float, int]]] = {}
    for line in measured(run):
        for name in DISTANCES:
            if math.isfinite(line.get(name, math.nan)):
                found[name] = [*found.pop(name, []), (line[name], -line["step"])]
    return {name: [-step for _, step in sorted(judged)] for name, judged in found.items()}


def _whole(run: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, but for one at the end that a kill cut off."""
    path = run / FILE
    if path.exists():
        with path.open("rb") as file:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.endswith(b"\n"))


def _parsed(run: Path, number: int, text: bytes) -> dict[str, Any]:
    try:
        line: dict[str, Any] = plain_json.loads(text)
        if not (isinstance(line["step"], int) and all(isinstance(value, (int, float)) for value in line.values())):
            raise ValueError("a step and numbers are needed")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SetupError(
            f"{run / FILE}, line {number} is damaged ({error!r}): remove that line; what it told is lost"
        ) from error
    return line


class Writer:
    """Writes lines from a step on; those of later steps, which a killed run had written, are dropped first.

    `also` is told the same lines, before they are written: what it does may come twice after a kill, but never not.
    """

    def __init__(self, run: Path, step: int, also: Callable[[Lines], None] | None = None) -> None:
        self._path, self._also = run / FILE, also
        self._waiting: list[tuple[int, Mapping[str, Tensor]]] = []
        kept = 0
        for number, line in _whole(run):
            if _parsed(run, number, line)["step"] > step:
                break  # lines stand in the order of their steps
            kept += len(line)
        self._path.touch()
        self._cut(kept)
        self._noted = {line["step"] for line in measured(run)}

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
        """Write the losses that wait, durably. Raises NotFiniteError when one is no number, nothing from there on."""
        if not self._waiting:
            return
        values = iter(torch.stack([loss.float() for _, told in self._waiting for loss in told.values()]).tolist())
        lines = [{"step": step, **{name: next(values) for name in told}} for step, told in self._waiting]
        self._waiting = []
        sound = list(itertools.takewhile(lambda line: all(map(math.isfinite, line.values())), lines))
        self._write(sound)
        if len(sound) < len(lines):
            broken = lines[len(sound)]
            name = next(name for name, value in broken.items() if not math.isfinite(value))
            raise NotFiniteError(broken["step"], f"{name} is {broken[name]}")

    def _write(self, lines: Lines) -> None:
        if self._also is not None:
            self._also(lines)
        before = self._path.stat().st_size
        try:
            with self._path.open("a") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
            atomic.fsync(self._path)
        except OSError:  # a full disk: half a line is worth nothing
            self._cut(before)
            raise

    def _cut(self, size: int) -> None:
        if self._path.stat().st_size > size:
            os.truncate(self._path, size)
            atomic.fsync(self._path)
