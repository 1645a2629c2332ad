"""What to do after a failure: how long to wait before the next attempt, and when to leave a host alone."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from pipelines.sources.base import HostDownError

ATTEMPTS = 6
LEAST_SECONDS, MOST_SECONDS = 1.0, 60.0
MOST_RETRY_AFTER = 3600.0  # seconds; a host that asks for more is asked again after this
FAILURES_IN_A_ROW = 20
PAUSES = (5.0, 10.0, 20.0, 40.0, 60.0)  # seconds a host is left alone before each probe


def back_off(attempt: int, retry_after: float | None = None) -> float:
    """Seconds to wait after attempt 0, 1, ...: doubling from 1 s to 60 s with jitter, and no less than asked for."""
    seconds = min(MOST_SECONDS, LEAST_SECONDS * float(2**attempt) * random.uniform(1, 2))
    return max(seconds, min(retry_after or 0.0, MOST_RETRY_AFTER))


def retry_after(value: str | None) -> float | None:
    """Seconds a Retry-After header asks for (a number, or a date); None where it says nothing."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        when = email.utils.parsedate_to_datetime(text)
        return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):  # the library's parser has its own ways to fail
        return None


class Breaker:
    """Leaves a host alone after 20 passing troubles in a row, whoever met them; one probe at a time finds out more.

    Threads wait inside `enter` while it is open. A probe that succeeds closes it; after the last pause's probe has
    failed too, `enter` raises HostDownError for good.
    """

    def __init__(
        self,
        name: str,
        failures: int = FAILURES_IN_A_ROW,
        pauses: Sequence[float] = PAUSES,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self.name = name
        self._limit, self._pauses, self._wait = failures, tuple(pauses), wait
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._opened = 0  # pauses begun since the last success; 0: closed
        self._until = 0.0  # nobody enters before
        self._probing = False
        self._last = ""

    def enter(self) -> bool:
        """Wait until a request may go; True where it is a probe. Its outcome is told to `succeeded` or `failed`."""
        while True:
            with self._lock:
                if self._opened > len(self._pauses):
                    raise HostDownError(
                        f"{self.name} failed {self._in_a_row} times in a row and is left alone ({self._last})"
                    )
                left = self._until - time.monotonic()
                if left <= 0 and not self._opened:
                    return False
                if left <= 0 and not self._probing:
                    self._probing = True
                    return True
            self._wait(min(max(left, 0.05), 1.0))

    def succeeded(self) -> None:
        """An answer came that is no passing trouble."""
        with self._lock:
            self._in_a_row, self._opened, self._probing = 0, 0, False

    def failed(self, probe: bool, error: str, asked_to_wait: float | None = None) -> None:
        """A passing trouble; `asked_to_wait`: seconds the host wants from all of us (Retry-After)."""
        with self._lock:
            self._in_a_row += 1
            self._last = error
            now = time.monotonic()
            if asked_to_wait:
                self._until = max(self._until, now + min(asked_to_wait, MOST_RETRY_AFTER))
            if probe or (not self._opened and self._in_a_row >= self._limit):
                pause = self._pauses[self._opened] if self._opened < len(self._pauses) else 0.0
                self._opened += 1
                self._until = max(self._until, now + pause)
            self._probing = self._probing and not probe

    def abandoned(self, probe: bool) -> None:
        """A request that `enter` let through never went out, or nothing of its outcome is known."""
        with self._lock:
            self._probing = self._probing and not probe
