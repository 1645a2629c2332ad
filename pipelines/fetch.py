"""The crawl's worker: fetches, checks and places images; what is wrong with one becomes its row."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
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
from pipelines.engine.pool import Batch
from pipelines.engine.share import Share
from pipelines.sources.base import Fetcher, Fetching, HostDownError, Wanted

BATCH = 256  # photos given to a worker at once, so no more of it are not committed
SECONDS = 1.0  # after which a worker hands in what it has
FEW = 16  # photos below which it is not worth handing in a part of a batch
AHEAD = 2  # photos for each thread that it keeps when it hands in the others, to go on with meanwhile


@dataclass(frozen=True)
class Outcome:
    """What became of one photo. `file` None: not tried, its host is down."""

    wanted: Wanted
    file: File | None = None
    written: Written | None = None
    bug: BaseException | None = None


class _Lane:
    """The threads that fetch for one source, in the order of its photos."""

    def __init__(self, fetching: Fetching, store: ImageStore, finished: SimpleQueue[Outcome]) -> None:
        self._fetching, self._store, self._finished = fetching, store, finished
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
            written = self._store.write(fetched.data, EXTENSIONS[header.format])
        except HostDownError:
            return Outcome(wanted)
        except (TransientError, InputError) as error:
            status = schema.FAILED if isinstance(error, TransientError) else schema.GIVEN_UP
            said = getattr(error, "http_status", None)
            return Outcome(wanted, File(wanted.photo_id, now, status, error=str(error), http_status=said))
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


@dataclass
class FetchWorker:
    """Fetches photos of several sources. Its threads go on between two batches, so that none waits for a sync.

    It takes one batch at a time, which begins with what it kept of the one before.
    """

    root: Path
    fetchers: Mapping[str, Fetcher]
    _lanes: dict[str, _Lane] = field(default_factory=dict, init=False, repr=False)
    _store: ImageStore = field(init=False, repr=False)
    _finished: Any = field(default=None, init=False, repr=False)  # SimpleQueue[Outcome], made where it is used
    _begun: set[Wanted] = field(default_factory=set, init=False, repr=False)

    def setup(self, share: Share) -> None:
        self._store = ImageStore(self.root)
        self._finished = SimpleQueue()
        self._lanes = {
            name: _Lane(fetcher.open(share), self._store, self._finished) for name, fetcher in self.fetchers.items()
        }

    def run(self, items: Sequence[Wanted]) -> Batch:
        """Fetch for a second, or until most of the photos are there; the rest is kept, or left where time is up."""
        for name, lane in self._lanes.items():
            lane.put([one for one in items if one.source == name and one not in self._begun])
        self._begun.update(items)
        done, in_time = self._collect(items)
        left: set[Wanted] = set()
        if not in_time:
            left = {one for lane in self._lanes.values() for one in lane.take_back()}
            self._begun -= left
        images = [outcome.written for outcome in done if outcome.written is not None]
        try:
            for outcome in done:
                if outcome.bug is not None:
                    raise outcome.bug
            self._store.name(images)
        except BaseException:
            self._store.discard(images)
            raise
        finished = {outcome.wanted for outcome in done}
        self._begun -= finished
        rows = rows_of([outcome.file for outcome in done if outcome.file is not None], schema.FILES)
        kept = [one for one in items if one not in finished and one not in left]
        return Batch(rows, len(done), [one for one in items if one in left], kept)

    def _collect(self, items: Sequence[Wanted]) -> tuple[list[Outcome], bool]:
        """Outcomes of these photos, and whether enough came before time was up."""
        done: list[Outcome] = []
        ahead = AHEAD * sum(lane.parallel for lane in self._lanes.values())
        enough = len(items) if len(items) <= FEW else max(FEW, len(items) // 2, len(items) - ahead)
        until = time.monotonic() + SECONDS
        while len(done) < enough:
            try:
                done.append(self._finished.get(timeout=max(0.0, until - time.monotonic())))
            except Empty:
                return done, False
            if done[-1].bug is not None:
                break
        return done, True
