"""Reads images in threads while the worker computes; of what it has read it holds a bounded number of bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Reader(Generic[T]):
    """Reads items ahead in their order: at most `ahead` of them, and no further once `room` bytes are held.

    `read` runs in `threads` threads; what it returns says by `nbytes` how much it holds. What it raises, `result`
    raises. Everything else is called from one thread.
    """

    def __init__(self, read: Callable[[T], Any], threads: int, *, ahead: int, room: int) -> None:
        self._read, self._ahead, self._room = read, ahead, room
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="read")
        self._queue: deque[T] = deque()
        self._begun: dict[T, Future[Any]] = {}
        self._held, self._lock = 0, threading.Lock()

    def __contains__(self, item: T) -> bool:
        return item in self._begun

    @property
    def is_full(self) -> bool:
        """Whether so much is held that nothing more is read until some of it is forgotten."""
        return self._held >= self._room

    def add(self, items: Iterable[T]) -> None:
        """Read these too, after what was added before."""
        self._queue.extend(items)
        self._go_on()

    def result(self, item: T) -> Any:
        """What was read, waiting for it; it is held until `forget`."""
        if item not in self._begun:  # all room is taken, and it is needed all the same
            self._queue.remove(item)
            self._begin(item)
        read = self._begun[item].result()
        self._go_on()
        return read

    def forget(self, item: T) -> None:
        """Let go of what was read."""
        read = self._begun.pop(item)
        if read.exception() is None:
            self._hold(-int(read.result().nbytes))
        self._go_on()

    def take_back(self) -> list[T]:
        """The items whose reading has not begun; they must be added again to be read."""
        left = list(self._queue)
        self._queue.clear()
        return left

    def _go_on(self) -> None:
        while self._queue and len(self._begun) < self._ahead and not self.is_full:
            self._begin(self._queue.popleft())

    def _begin(self, item: T) -> None:
        self._begun[item] = self._threads.submit(self._one, item)

    def _one(self, item: T) -> Any:
        read = self._read(item)
        self._hold(int(read.nbytes))
        return read

    def _hold(self, count: int) -> None:
        with self._lock:
            self._held += count
