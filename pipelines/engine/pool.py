"""Runs workers over items, in this process or on Ray (`ray_pool.py`), with the same results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from manifests.errors import MisuseError
from pipelines.engine import threads
from pipelines.engine.feed import Feed
from pipelines.engine.share import Share

T = TypeVar("T")
Item_contra = TypeVar("Item_contra", contravariant=True)


@dataclass(frozen=True)
class Batch:
    """What a worker did of the items it was given: their rows, and how many were done.

    `left` are those it did not begin, for any worker; None: all after the first `done`. `kept` are those it has
    begun and goes on with meanwhile: the same worker must be given them again.
    """

    rows: pa.Table
    done: int
    left: Sequence[Any] | None = None
    kept: Sequence[Any] = ()

    def left_of(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items that any worker may do."""
        return items[self.done :] if self.left is None else self.left


class Worker(Protocol[Item_contra]):
    """Work on items, which can be hashed. Must be picklable; safe to repeat, for a batch may be run twice."""

    def setup(self, share: Share) -> None:
        """Once per process, before the first batch: load weights, open handles; `share`: which worker this is."""

    def run(self, items: Sequence[Item_contra]) -> Batch:
        """Do the items, all of them or as many as fit the worker's time slice."""


def for_a_while(items: Iterable[T], seconds: float) -> Iterator[T]:
    """The items from the front until so many seconds have passed: at least one, if there is one."""
    until = time.monotonic() + seconds
    for item in items:
        yield item
        if time.monotonic() >= until:
            return


class Pool(Protocol):
    """Where workers run."""

    def run(
        self,
        worker: Worker[Any],
        items: Sequence[Any] | Feed[Any],
        batch: int,
        commit: Callable[[Batch], None],
        *,
        gpus: float = 0.0,
        at_most: int | None = None,
        queued: int = 2,
    ) -> None:
        """Run every item, in batches of at most `batch`; `commit` is called here, in the driver, per batch.

        `at_most`: no more workers than this, because a limit cannot be shared by more. `queued`: batches that a worker
        has at once; one is enough for a worker that goes on with what it keeps between two calls.
        """

    def __enter__(self) -> Pool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_pool(workers: int | None, ray_address: str | None = None) -> Pool:
    """`workers` 0: this process. None: one worker per core (of the cluster at `ray_address`, if given)."""
    if workers == 0 and ray_address is not None:
        raise MisuseError("--workers 0 works in this process: leave it out to use the cluster of --ray-address")
    if workers == 0:
        return InProcess()
    from pipelines.engine.ray_pool import OnRay

    return OnRay(workers, ray_address)


def as_feed(items: Sequence[Any] | Feed[Any]) -> Feed[Any]:
    """A feed of items that are all there, or the feed itself."""
    return items if isinstance(items, Feed) else Feed(items)


def first_items(feed: Feed[Any]) -> bool:
    """Wait until there is something to do; False where there is nothing."""
    while (first := feed.take(1, seconds=1.0)) is not None:
        if first:
            feed.give_back(first)
            return True
    return False


class InProcess:
    """The reference: one worker, here, with all cores as its threads."""

    def run(
        self,
        worker: Worker[Any],
        items: Sequence[Any] | Feed[Any],
        batch: int,
        commit: Callable[[Batch], None],
        *,
        gpus: float = 0.0,
        at_most: int | None = None,
        queued: int = 2,
    ) -> None:
        del gpus, at_most, queued  # one worker, which uses what it finds
        feed = as_feed(items)
        if not first_items(feed):
            return
        threads.fix(threads.cores())
        worker.setup(Share())
        kept: Sequence[Any] = ()
        while (fresh := feed.take(batch - len(kept), 0.0 if kept else 1.0)) is not None or kept:
            given = [*kept, *(fresh or ())]
            if given:
                done = worker.run(given)
                feed.give_back(done.left_of(given))
                kept = done.kept
                commit(done)

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass
