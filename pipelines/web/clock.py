"""The time, and waiting for it to pass, in a way that the end of the run can interrupt."""

from __future__ import annotations

import threading
import time

from pipelines.sources.base import UnavailableError


class Clock:
    """`stop`, from any thread, ends this and every later wait."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> float:
        """Unix seconds: comparable between processes."""
        return time.time()

    def wait(self, seconds: float) -> None:
        """Sleep; raises UnavailableError as soon as the run is stopped."""
        if self._stopped.wait(max(0.0, seconds)):
            raise UnavailableError("the run was stopped")

    def stop(self) -> None:
        """The run ends."""
        self._stopped.set()
