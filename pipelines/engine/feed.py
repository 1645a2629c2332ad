"""Items on their way to workers: all there from the start, or put in by other threads while the workers run."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class ClosedError(Exception):
    """The run is over: whoever still puts items in stops."""


class Feed(Generic[T]):
    """A bounded queue of items. Safe to use from several threads.

    Who fills it calls `put` and at last `end`, or `fail`; the pool takes, and gives back what a worker left.
    """

    def __init__(self, items: Iterable[T] = (), *, room: int | None = None) -> None:
        """With `room` at most so many items wait and more may come; without it `items` are all there are."""
        self._items = deque(items)
        self._room = room
        self._ended = room is None
        self._closed = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    @property
    def ended(self) -> bool:
        """Whether nobody will put anything in any more."""
        with self._changed:
            return self._ended

    def __len__(self) -> int:
        with self._changed:
            return len(self._items)

    def put(self, item: T) -> None:
        """Add an item, waiting for room; ClosedError once the run is over."""
        with self._changed:
            while not self._closed and self._room is not None and len(self._items) >= self._room:
                self._changed.wait()
            if self._closed:
                raise ClosedError
            self._items.append(item)
            self._changed.notify_all()

    def end(self) -> None:
        """No more will be put in."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """End the run with this error: `take` raises it."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody will take any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, most: int, seconds: float = 0.0) -> list[T] | None:
        """Up to `most` items, waiting so long for the first; empty where none came, None where none will."""
        until = time.monotonic() + seconds
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._items or self._ended:
                    break
                left = until - time.monotonic()
                if left <= 0:
                    return []
                self._changed.wait(left)
            if not self._items:
                return None
            taken = [self._items.popleft() for _ in range(min(most, len(self._items)))]
            self._changed.notify_all()
            return taken

    def give_back(self, items: Sequence[T]) -> None:
        """Put items that were taken and not done in front again."""
        if items:
            with self._changed:
                self._items.extendleft(reversed(items))
                self._changed.notify_all()
