"""Ctrl-C and SIGTERM while a run trains."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Interruption:
    """Lets the step that is being made end, so that it can be saved; a second Ctrl-C (or SIGTERM) ends at once.

    Where signals do not reach this process, the file `stop` asks.
    """

    def __init__(self, stop: Path | None = None) -> None:
        self._asked, self._stop = False, stop
        self._at_once = False
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether to stop after this step."""
        return self._asked or (self._stop is not None and self._stop.exists())

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            self._before = {one: signal.signal(one, self._ask) for one in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _ask(self, *_: object) -> None:
        if self._asked or self._at_once:
            raise KeyboardInterrupt
        self._asked = True

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What is done in it is ended by the first Ctrl-C: nothing would be lost."""
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False
