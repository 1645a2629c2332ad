"""Tiles on demand: those that were made are kept within a bound of bytes, those that are wanted wait in a short queue.

However many are asked for, memory is bounded: who has too many waiting is told to come again later. A tile that nobody
waits for any more is never made. Visitors take turns, so that one who asks for much does not keep out the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

WAITING = 24  # requests of one visitor that wait at once
ATONCE = 2  # tiles in work: one is drawn while another is encoded

Key = TypeVar("Key", bound=Hashable)


class BusyError(Exception):
    """Too many of this visitor's requests wait: ask again later."""


class GoneError(Exception):
    """Who asked has gone."""


class Kept(Generic[Key]):
    """The least recently used go first when there are more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes = limit, 0
        self._every: OrderedDict[Key, bytes] = OrderedDict()

    def get(self, key: Key) -> bytes | None:
        """What is kept under this key."""
        found = self._every.get(key)
        if found is not None:
            self._every.move_to_end(key)
        return found

    def put(self, key: Key, data: bytes) -> None:
        """Keep it, unless it alone is too large."""
        self._drop(key)
        if len(data) > self.limit:
            return
        self._every[key] = data
        self.bytes += len(data)
        while self.bytes > self.limit:
            self._drop(next(iter(self._every)))

    def __len__(self) -> int:
        return len(self._every)

    def _drop(self, key: Key) -> None:
        self.bytes -= len(self._every.pop(key, b""))


@dataclass(eq=False)
class _Job(Generic[Key]):
    key: Key
    visitor: str
    done: asyncio.Future[bytes] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    waiting: int = 0
    begun: bool = False


class Tiles(Generic[Key]):
    """Makes and keeps tiles; lives in one event loop."""

    def __init__(self, make: Callable[[Key], bytes], limit: int, workers: Executor) -> None:
        """`make` runs in `workers`, in at most two threads at once. `limit`: bytes that are kept."""
        self._make, self._workers = make, workers
        self.kept: Kept[Key] = Kept(limit)
        self.made = self.dropped = self.refused = 0
        self._jobs: dict[Key, _Job[Key]] = {}
        self._queues: OrderedDict[str, deque[_Job[Key]]] = OrderedDict()  # by visitor; the first one's turn is next
        self._waiting: Counter[str] = Counter()
        self._busy: set[asyncio.Task[None] | None] = set()  # tasks that take the next job when they have made one

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return self._waiting.total()

    async def get(self, key: Key, visitor: str, gone: Callable[[], Coroutine[Any, Any, None]]) -> bytes:
        """The tile, once it is made. `gone()` ends when who asked has gone.

        Raises BusyError, GoneError, and whatever `make` raised.
        """
        if (found := self.kept.get(key)) is not None:
            return found
        if self._waiting[visitor] >= WAITING:
            self.refused += 1
            raise BusyError
        job = self._jobs.get(key) or self._enter(key, visitor)
        leaving = asyncio.create_task(gone())
        job.waiting += 1
        self._waiting[visitor] += 1
        try:
            either: set[asyncio.Future[Any]] = {job.done, leaving}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if job.done.done():
                return job.done.result()
            raise GoneError
        finally:
            leaving.cancel()
            job.waiting -= 1
            self._waiting[visitor] -= 1
            self._waiting += Counter()  # forgets who has none
            if not job.waiting and not job.begun:
                self._drop(job)

    def _enter(self, key: Key, visitor: str) -> _Job[Key]:
        job = self._jobs[key] = _Job(key, visitor)
        self._queues.setdefault(visitor, deque()).append(job)
        if len(self._busy) < ATONCE:
            self._busy.add(asyncio.create_task(self._work()))
        return job

    def _drop(self, job: _Job[Key]) -> None:
        self.dropped += 1
        del self._jobs[job.key]
        queue = self._queues[job.visitor]
        queue.remove(job)
        if not queue:
            del self._queues[job.visitor]

    def _next(self) -> _Job[Key] | None:
        if not self._queues:
            return None
        visitor, queue = next(iter(self._queues.items()))
        job = queue.popleft()
        self._queues.move_to_end(visitor)
        if not queue:
            del self._queues[visitor]
        return job

    async def _work(self) -> None:
        """Until nobody waits."""
        loop = asyncio.get_running_loop()
        while (job := self._next()) is not None:
            job.begun = True
            try:
                data = await loop.run_in_executor(self._workers, self._make, job.key)
            except Exception as error:  # told to all who wait for it
                job.done.set_exception(error)
                job.done.exception()  # if there are none it is nobody's trouble
            else:
                self.made += 1
                self.kept.put(job.key, data)
                job.done.set_result(data)
            finally:
                del self._jobs[job.key]
        self._busy.discard(asyncio.current_task())  # at once: who asks next starts another

    def told(self) -> dict[str, Any]:
        """Numbers of its life."""
        return {
            "made": self.made,
            "dropped": self.dropped,
            "refused": self.refused,
            "waiting": self.waiting,
            "kept": len(self.kept),
            "kept_bytes": self.kept.bytes,
            "kept_limit": self.kept.limit,
        }
