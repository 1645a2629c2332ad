"""How often: a rate, its parts for several workers, and a sliding log that holds one within a process."""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass

from manifests.errors import MisuseError
from pipelines.engine.share import Share

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_RATE = re.compile(r"([1-9][0-9]{0,8})(?:/(s|min|h))?")
_MARGIN = 0.1  # seconds: what leaves us evenly may arrive a little closer together


@dataclass(frozen=True)
class Rate:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: float

    @staticmethod
    def parse(text: str, option: str) -> Rate:
        """`600/min`, `20/s`, `5000/h`, or a bare number per hour; MisuseError names the option."""
        found = _RATE.fullmatch(text.strip())
        if found is None:
            raise MisuseError(f"{option} {text}: write a number per hour, or like 20/s, 600/min, 5000/h")
        return Rate(int(found[1]), _UNITS[found[2] or "h"])

    def of(self, share: Share) -> Rate:
        """One worker's part; the parts add up to the whole. There must be no more workers than `count`."""
        part = share.of(self.count)
        if part < 1:
            raise ValueError(f"{self} cannot be shared by {share.count} workers")
        return Rate(part, self.seconds)


class Window:
    """Lets threads through so that no window of `rate.seconds` holds more than `rate.count` of them.

    `used_up`: as if the last window had been full, for one who replaces another whose log is lost.
    """

    def __init__(self, rate: Rate, used_up: bool = False) -> None:
        self._rate = rate
        self._lock = threading.Lock()
        self._passed = deque([time.monotonic()] * (rate.count if used_up else 0), maxlen=rate.count)

    def wait(self) -> None:
        """Return when one more may go."""
        with self._lock:  # whoever waits inside is the next to go
            if len(self._passed) == self._rate.count:
                free = self._passed[0] + self._rate.seconds + _MARGIN
                time.sleep(max(0.0, free - time.monotonic()))
            self._passed.append(time.monotonic())
