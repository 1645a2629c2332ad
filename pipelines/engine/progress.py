"""How far a long command is: a bar on a terminal, one plain line every ten seconds elsewhere, on stderr."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, TextIO

PLAIN_SECONDS = 10.0


class Progress:
    """Counts items done; a context manager. `total` may be None where it is not known."""

    def __init__(self, label: str, total: int | None, unit: str = "photos", stream: TextIO | None = None) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._spoke = self._started
        self._bar: Any = None
        if self._stream.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total, desc=label, unit=f" {unit}", file=self._stream, dynamic_ncols=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int) -> None:
        """`count` more items are done and committed."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._spoke >= PLAIN_SECONDS:
            self._spoke = time.monotonic()
            print(self.line(), file=self._stream, flush=True)

    def expect(self, count: int) -> None:
        """`count` more items are to be done."""
        self.total = (self.total or 0) + count
        if self._bar is not None:
            self._bar.total = self.total

    def reach(self, done: int, total: int) -> None:
        """So many of so many are done: for work that counts itself."""
        self.total = total
        if self._bar is not None:
            self._bar.total = total
        self.advance(done - self.done)

    def line(self) -> str:
        """What the plain mode says, such as `tags: 120 of 309 photos, 35.2/s, about 5 s left`."""
        seconds = self.seconds
        rate = self.done / seconds if seconds > 0 else 0.0
        text = f"{self.label}: {self.done:,}"
        if self.total is not None:
            text += f" of {self.total:,}"
        text += f" {self.unit}, {rate:,.1f}/s" if rate >= 1 else f" {self.unit}, {rate:.2g}/s"
        if self.total is not None and rate > 0:
            text += f", about {max(0.0, (self.total - self.done) / rate):,.0f} s left"
        return text

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started
