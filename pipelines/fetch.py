"""The crawl's worker: fetches, checks and places images; what is wrong with one becomes its row."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from manifests import schema
from manifests.errors import InputError, TransientError
from manifests.probe import EXTENSIONS, probe
from manifests.records import File
from manifests.store import ImageStore, Written
from pipelines.discovery import rows_of
from pipelines.engine.feed import ClosedError
from pipelines.engine.pool import Batch
from pipelines.engine.share import Share
from pipelines.sources.base import Fetcher, Fetching, HostDownError, Wanted

BATCH = 256  # photos given to a worker at once, so no more of it are not committed
SECONDS = 1.0  # after which a worker hands in what it has
PART = 96  # photos of a batch that are handed in together, while its threads go on with the others


@dataclass(frozen=True)
class Outcome:
    """What became of one photo. `file` None: not tried, its host is down."""

    wanted: Wanted
    file: File | None = None
    written: Written | None = None
    bug: BaseException | None = None


class _Gate:
    """Lets threads work on the store until it is shut: then none is at it, and none begins."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._at_work = 0
        self._shut = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Work on the store inside; raises ClosedError once it is shut."""
        with self._changed:
            if self._shut:
                raise ClosedError
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def shut(self) -> None:
        """Wait for those at work, and let nobody in any more."""
        with self._changed:
            self._shut = True
            self._changed.wait_for(lambda: self._at_work == 0)


def refusal(photo_id: str, now: datetime, error: TransientError | InputError) -> File:
    """The row of a photo that did not come: tried again where the trouble may pass, else given up."""
    status = schema.FAILED if isinstance(error, TransientError) else schema.GIVEN_UP
    return File(photo_id, now, status, error=str(error), http_status=getattr(error, "http_status", None))


class _Lane:
    """The threads that fetch for one source, in the order of its photos."""

    def __init__(self, fetching: Fetching, store: ImageStore, gate: _Gate, finished: SimpleQueue[Outcome]) -> None:
        self._fetching, self._store, self._gate, self._finished = fetching, store, gate, finished
        self.parallel = fetching.parallel
        self._waiting: deque[Wanted] = deque()
        self._changed = threading.Condition()
        self._idle = 0
        self._threads = 0

    def put(self, photos: Sequence[Wanted]) -> None:
        with self._changed:
            self._waiting.extend(photos)
            missing = min(len(self._waiting) - self._idle, self.parallel - self._threads)
            for _ in range(missing):
                self._threads += 1
                threading.Thread(target=self._work, daemon=True, name="lhq-fetch").start()
            self._changed.notify(len(photos))

    def take_back(self) -> list[Wanted]:
        """What no thread has begun."""
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
            return left

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._waiting:
                    self._changed.wait()
                self._idle -= 1
                wanted = self._waiting.popleft()
            outcome = self._one(wanted)
            if outcome.bug is not None:
                self.take_back()
            self._finished.put(outcome)

    def _one(self, wanted: Wanted) -> Outcome:
        now = datetime.now(UTC)
        try:
            fetched = self._fetching.fetch(wanted)
            header = fetched.header or probe(fetched.data)
            with self._gate.passed():
                written = self._store.write(fetched.data, EXTENSIONS[header.format])
        except HostDownError:
            return Outcome(wanted)
        except (TransientError, InputError) as error:
            return Outcome(wanted, refusal(wanted.photo_id, now, error))
        except BaseException as error:  # raised again by the worker: a bug of ours, a full disk
            return Outcome(wanted, bug=error)
        file = File(
            wanted.photo_id,
            now,
            schema.OK,
            sha256=written.stored.sha256,
            path=written.stored.path,
            bytes=len(fetched.data),
            format=header.format,
            width=header.width,
            height=header.height,
            http_status=fetched.http_status,
        )
        return Outcome(wanted, file, written)


class _Placer:
    """A thread that gives fetched pictures their names in the store: one sync for all that came during the last."""

    def __init__(self, store: ImageStore, gate: _Gate) -> None:
        self._store, self._gate = store, gate
        self.fetched = SimpleQueue[Outcome]()
        self.placed = SimpleQueue[Outcome]()
        threading.Thread(target=self._work, daemon=True, name="lhq-place").start()

    def _work(self) -> None:
        while True:
            group = [self.fetched.get()]
            while not self.fetched.empty():
                group.append(self.fetched.get())
            for outcome in self._place(group):
                self.placed.put(outcome)

    def _place(self, group: list[Outcome]) -> list[Outcome]:
        images = [outcome.written for outcome in group if outcome.written is not None]
        bugs = [outcome for outcome in group if outcome.bug is not None]
        try:
            if not bugs:
                with self._gate.passed():
                    self._store.name(images)
        except BaseException as error:  # as in a lane
            bugs = [Outcome(group[0].wanted, bug=error)]
        if bugs:
            self._store.discard(images)
        return bugs or group


@dataclass
class FetchWorker:
    """Fetches photos of several sources. Its threads go on between two batches, so that none waits for a sync.

    It takes one batch at a time, which begins with what it kept of the one before.
    """

    root: Path
    fetchers: Mapping[str, Fetcher]
    _lanes: dict[str, _Lane] = field(default_factory=dict, init=False, repr=False)
    _gate: _Gate | None = field(default=None, init=False, repr=False)  # made where it is used, as the next
    _placed: Any = field(default=None, init=False, repr=False)  # SimpleQueue[Outcome]
    _begun: set[Wanted] = field(default_factory=set, init=False, repr=False)

    def setup(self, share: Share) -> None:
        store = ImageStore(self.root)
        gate = self._gate = _Gate()
        placer = _Placer(store, gate)
        self._placed = placer.placed
        self._lanes = {name: _Lane(one.open(share), store, gate, placer.fetched) for name, one in self.fetchers.items()}

    def run(self, items: Sequence[Wanted]) -> Batch:
        """Fetch for a second, or until many photos are there; the rest is kept, or left where time is up."""
        for name, lane in self._lanes.items():
            lane.put([one for one in items if one.source == name and one not in self._begun])
        self._begun.update(items)
        done, in_time = self._collect(min(len(items), PART))
        left: set[Wanted] = set()
        if not in_time:
            left = {one for lane in self._lanes.values() for one in lane.take_back()}
        finished = {outcome.wanted for outcome in done}
        self._begun -= finished | left
        rows = rows_of([outcome.file for outcome in done if outcome.file is not None], schema.FILES)
        kept = [one for one in items if one in self._begun]
        return Batch(rows, len(done), [one for one in items if one in left], kept)

    def stop(self) -> None:
        """End all writing into the store, in the process that this is called in; what is not placed is left there."""
        if self._gate is not None:
            self._gate.shut()

    def _collect(self, enough: int) -> tuple[list[Outcome], bool]:
        """Outcomes of photos that are in the store, and whether enough came before time was up."""
        done: list[Outcome] = []
        until = time.monotonic() + SECONDS
        while len(done) < enough:
            try:
                done.append(self._placed.get(timeout=max(0.0, until - time.monotonic())))
            except Empty:
                return done, False
            if (bug := done[-1].bug) is not None:
                raise bug
        return done, True
