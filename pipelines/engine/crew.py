"""The workers of one run on Ray: kept busy, replaced when they die, each with its share of every limit.

A worker that dies (its process, or its node) is replaced by one with the same share, as soon as there is room for
it; the others take over its batches. Few batches wait per worker, so memory stays flat however many items there are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifests import blame
from manifests.errors import SetupError
from pipelines.engine import threads, version
from pipelines.engine.feed import Feed
from pipelines.engine.pool import Batch, Worker
from pipelines.engine.share import Share

DEATHS = 3  # workers that may die with an item in their hands
ROOM_SECONDS = 120.0  # without a single worker running: no node has room for one
_POLL = 0.05  # seconds: new items may come, and must not wait for a batch to end


class _Actor:
    """One worker process. Its state is the worker after `setup`."""

    def __init__(self, worker: Worker[Any], thread_count: int, share: Share) -> None:
        threads.fix(thread_count)
        self._worker, self._share = worker, share

    def set_up(self, checkout: str) -> None:
        if version.checkout() != checkout:
            raise SetupError(
                "a Ray node runs another checkout of LHQ Toolkit than this one; "
                "bring every node to the same commit and try again"
            )
        with blame.naming():
            self._worker.setup(self._share)

    def run(self, items: Sequence[Any]) -> Batch:
        with blame.naming():
            return self._worker.run(items)


@dataclass(eq=False)
class _Member:
    """One worker as the driver sees it. `batches`: what it was given, by reference; `kept`: what it goes on with."""

    actor: Any
    share: Share
    hello: Any  # reference to its set-up; None once that is done
    batches: dict[Any, Sequence[Any]] = field(default_factory=dict)
    kept: Sequence[Any] = ()


class Crew:
    """`count` workers on Ray, which is running. `options`: what Ray is told of each; `queued`: batches each has."""

    def __init__(
        self, worker: Worker[Any], count: int, options: Mapping[str, Any], thread_count: int, queued: int
    ) -> None:
        self._worker, self._options, self._threads, self._queued = worker, options, thread_count, queued
        self._deaths = Counter[Any]()
        self._members = [self._hire(Share(index, count)) for index in range(count)]
        self._idle_since = time.monotonic()

    def work(self, feed: Feed[Any], size: int, commit: Callable[[Batch], None]) -> None:
        """Keep every worker busy until the feed is done; commit in order of completion."""
        import ray

        while True:
            more = self._hand_out(feed, size)
            busy = {one: member for member in self._members for one in member.batches}
            if not busy and not more:
                return
            if not busy and all(member.hello is None for member in self._members):
                feed.give_back(feed.take(1, seconds=1.0) or ())
                continue
            waiting = {**busy, **{member.hello: member for member in self._members if member.hello is not None}}
            hungry = more and any(self._room(member) for member in self._members)
            done, _ = ray.wait(list(waiting), num_returns=1, timeout=_POLL if hungry else 1.0)
            for reference in done:
                self._attend(waiting[reference], reference, feed, commit)
            self._refuse_to_wait_for_ever()

    def dismiss(self) -> None:
        """End all workers."""
        import ray

        for member in self._members:
            ray.kill(member.actor)

    def _hire(self, share: Share) -> _Member:
        import ray

        remote: Any = ray.remote(_Actor)
        actor = remote.options(**self._options).remote(self._worker, self._threads, share)
        return _Member(actor, share, actor.set_up.remote(version.checkout()))

    def _room(self, member: _Member) -> bool:
        return member.hello is None and len(member.batches) < self._queued

    def _hand_out(self, feed: Feed[Any], size: int) -> bool:
        """Give each worker with room a batch, in turns; False where the feed will bring nothing more."""
        for _ in range(self._queued):
            for member in self._members:
                if not self._room(member):
                    continue
                fresh = feed.take(max(1, size - len(member.kept)))
                if items := [*member.kept, *(fresh or ())]:
                    member.kept = ()
                    member.batches[member.actor.run.remote(items)] = items
        return not feed.ended or len(feed) > 0

    def _attend(self, member: _Member, reference: Any, feed: Feed[Any], commit: Callable[[Batch], None]) -> None:
        """What a worker answered: that it is set up, or what it did."""
        import ray

        if reference is not member.hello and reference not in member.batches:
            return  # of a worker that has died meanwhile
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayActorError as error:
            self._replace(member, feed, error)
            return
        except ray.exceptions.RayError as error:
            raise SetupError(f"Ray failed ({error}); what was committed is kept: run the same command again") from error
        if reference is member.hello:
            member.hello = None
            return
        items = member.batches.pop(reference)
        feed.give_back(answer.left_of(items))
        member.kept = [*member.kept, *answer.kept]
        commit(answer)

    def _replace(self, member: _Member, feed: Feed[Any], error: Exception) -> None:
        """Another worker for the one that died; what it had in hand is done by whoever is free."""
        import ray

        batches, member.batches = member.batches, {}
        lost = [item for items in (member.kept, *batches.values()) for item in items]
        self._deaths.update(lost)
        if any(self._deaths[item] >= DEATHS for item in lost):
            raise SetupError(
                "a worker process died more often than it may (out of memory, or killed); what was committed is "
                "kept: run the same command again with fewer --workers"
            ) from error
        ray.kill(member.actor)
        feed.give_back(lost)
        place = self._members.index(member)
        self._members[place] = self._hire(Share(member.share.index, member.share.count, again=True))

    def _refuse_to_wait_for_ever(self) -> None:
        now = time.monotonic()
        if any(member.hello is None for member in self._members):
            self._idle_since = now
        elif now - self._idle_since > ROOM_SECONDS:
            raise SetupError(
                f"no Ray node has had room for a worker for {ROOM_SECONDS:.0f} s: stop what else runs there, "
                "or use --workers 0 to go without Ray"
            )
