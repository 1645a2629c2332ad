"""What TensorBoard shows of a run: the numbers of metrics.jsonl and the sample pictures, in RUN/tensorboard.

Each session writes a file of its own. It begins with the step from which the run goes on: what earlier files hold of
later steps is passed over by TensorBoard. Everything is written at once, by this thread, so that a full disk is told.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.metrics import Lines
from manifests import atomic

FOLDER = "tensorboard"  # in a run
WIDEST = 1024  # pixels of a picture
QUALITY = 90
GROUPS = {"generator_loss": "loss", "discriminator_loss": "loss", "real_logit": "logit", "fake_logit": "logit"}


class Events:
    """Writes events of the steps after `step`; nothing, with a line of notice, where tensorboardX is not installed."""

    def __init__(self, run: Path, step: int) -> None:
        self._run, self._step = run, step
        self._file: Any = None
        self._whole = 0  # bytes of it that are surely there
        try:
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto import event_pb2, summary_pb2
        except ImportError as error:
            print(f"{FOLDER}/ is left out ({error}): pip install tensorboardX brings it", file=sys.stderr)
            self._there = False
            return
        self._there = True
        self._open, self._event, self._summary = EventsWriter, event_pb2, summary_pb2

    def lines(self, lines: Lines) -> None:
        """Lines of metrics.jsonl."""
        if self._there:
            self._write([self._of(line["step"], self._scalars(line)) for line in lines])

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Sample pictures of a step."""
        if self._there:
            self._write([self._of(step, [self._picture(path)]) for path in paths])

    def close(self) -> None:
        """End the file."""
        if self._file is not None:
            self._file.close()

    def _scalars(self, line: dict[str, Any]) -> list[Any]:
        kind = "distance" if "images" in line else "training"
        return [
            self._summary.Summary.Value(tag=f"{GROUPS.get(name, kind)}/{name}", simple_value=value)
            for name, value in line.items()
            if name not in ("step", "images")
        ]

    def _picture(self, path: Path) -> Any:
        with Image.open(path) as image:
            image.thumbnail((WIDEST, WIDEST))
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=QUALITY)
            width, height = image.size
        content = self._summary.Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=buffer.getvalue()
        )
        tag = "samples/panorama" if "panorama" in path.stem else "samples/frames"
        return self._summary.Summary.Value(tag=tag, image=content)

    def _of(self, step: int, values: list[Any]) -> Any:
        return self._event.Event(wall_time=time.time(), step=step, summary=self._summary.Summary(value=values))

    def _write(self, events: list[Any]) -> None:
        if not events:
            return
        try:
            if self._file is None:  # not before: a session that does nothing leaves no file
                self._begin()
            for event in events:
                self._file.write_event(event)
            self._file.flush()
        except OSError:  # a full disk: half an event is worth nothing
            self._forsake()
            raise
        self._whole = self._path.stat().st_size

    def _begin(self) -> None:
        atomic.make_folder(self._run / FOLDER)
        # Of two sessions that begin in one second at one step, nothing of the first would be shown.
        suffix = f".{self._step:08d}"
        before = set((self._run / FOLDER).glob(f"events.*{suffix}"))
        self._file = self._open(str((self._run / FOLDER).resolve() / "events"), suffix)
        there = set((self._run / FOLDER).glob(f"events.*{suffix}"))
        self._path = max(there - before or there)  # not the last by name: the clock may have been set back
        begun = self._event.SessionLog(status=self._event.SessionLog.START)
        self._file.write_event(self._event.Event(wall_time=time.time(), step=self._step + 1, session_log=begun))

    def _forsake(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
            os.truncate(self._path, self._whole)
