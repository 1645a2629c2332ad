"""The crawl: what sources list goes into the tables, then every wanted file is fetched, checked and kept.

Each source has a thread that lists it and then hands its wanted photos to the workers, so that no source waits for
another's quota. All of them, and the workers' batches, are committed one at a time by this process. What is still
to fetch stands in the tables alone: a wanted photo without a final file row.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import pyarrow.compute as pc

from manifests import faults, removal, schema
from manifests.counts import plural
from manifests.dataset import CRAWL_LOCK, Dataset
from manifests.errors import InputError, SetupError, TransientError
from manifests.locks import Lock
from manifests.records import File
from pipelines import fetch
from pipelines.discovery import Discovery, rows_of
from pipelines.engine.feed import ClosedError, Feed
from pipelines.engine.pool import Batch, Pool
from pipelines.engine.progress import Progress
from pipelines.frontier import Frontier, SourceListing, databases, path_of
from pipelines.sources.base import HostDownError, Page, Source, StoredFile, Wanted
from pipelines.wanted import Attempts, to_fetch

ATTEMPTS = 6  # runs in which a passing trouble is tried before the photo is given up
BROKEN_RUN = 500  # so many passing troubles in a row are not the photos' fault
READY = 1024  # photos at most that wait for a worker
SLICE = 1024  # rows turned into photos at once
STOP_SECONDS = 5.0  # that a source's thread is waited for at the end


@dataclass(frozen=True)
class Wish:
    """What is asked of a crawl besides its sources."""

    metadata_only: bool = False  # list, fetch nothing
    retry_failed: bool = False  # try what failed or was given up, too
    recheck: bool = False  # look known photos up again, list and fetch nothing
    limit: int | None = None  # photos of each source, those listed earlier included


@dataclass
class Crawled:
    """What a crawl did, for the closing summary."""

    found: int = 0  # photos the sources listed in this run
    new: int = 0  # of these, not seen before
    fetched: int = 0  # ok in this run
    failed: int = 0  # left to try again
    untried: int = 0  # left because their host is down
    unread: list[str] = field(default_factory=list)  # sources that could not be read to their end
    unwanted: int = 0  # not fetched: a metadata stage of `curated` rejects them
    given_up: dict[str, int] = field(default_factory=dict)  # in this run, by reason
    given_up_before: int = 0  # in earlier runs, not tried now
    notes: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Everything is read, and no wanted photo is left to try."""
        return not (self.failed or self.untried or self.unread)


def run(dataset: Dataset, sources: Sequence[Source], pool: Pool, wish: Wish | None = None) -> Crawled:
    """List and fetch everything the sources have. Safe to kill and run again."""
    with dataset.lock(CRAWL_LOCK, dataset.stated_tables()) as lock:
        removal.finish(dataset, databases(dataset.root))
        dataset.store.sweep()
        for source in sources:
            source.check(_Stored(dataset, source.name))
        try:
            with Frontier(path_of(dataset.root)) as frontier:
                return _Crawl(dataset, sources, frontier, lock, wish or Wish()).run(pool)
        finally:  # what workers that died, or that an error has stopped, left
            lock.check()
            dataset.store.sweep()


@dataclass
class _Stored(Mapping[str, StoredFile]):
    """The ok files of a source, read when the first is asked for."""

    dataset: Dataset
    source: str

    @cached_property
    def _files(self) -> dict[str, StoredFile]:
        files = self.dataset.files_table.current("photo_id", ["photo_id", "status", "sha256", "bytes"])
        mine = pc.and_(pc.starts_with(files["photo_id"], f"{self.source}:"), pc.equal(files["status"], schema.OK))
        return {row["photo_id"]: StoredFile(row["sha256"], row["bytes"]) for row in files.filter(mine).to_pylist()}

    def __getitem__(self, photo_id: str) -> StoredFile:
        return self._files[photo_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


class _Crawl:
    """One run. `_commit` is held by whoever writes; nobody writes once it is closed."""

    def __init__(self, dataset: Dataset, sources: Sequence[Source], frontier: Frontier, lock: Lock, wish: Wish) -> None:
        self._dataset, self._sources, self._frontier = dataset, sources, frontier
        self._lock, self._wish = lock, wish
        self._result = Crawled()
        self._discovery = Discovery(dataset, frontier, lock)
        self._commit = threading.Lock()
        self._closed = False
        self._feed: Feed[Wanted] = Feed(room=READY)
        self._running = len(sources)
        self._attempts = Attempts.read(dataset, wish.retry_failed)
        self._last = deque[bool](maxlen=BROKEN_RUN)  # was it a passing trouble?
        self._spent: list[File] = []
        self._down: set[str] = set()  # hosts, as they are told of
        self._progress = Progress("fetch", None)

    def run(self, pool: Pool) -> Crawled:
        threads = [
            threading.Thread(target=self._drive, args=(one,), daemon=True, name=one.name) for one in self._sources
        ]
        fetchers = {source.name: source.fetcher() for source in self._sources}
        most = [one.most_workers for one in fetchers.values() if one.most_workers is not None]
        worker = fetch.FetchWorker(self._dataset.root.resolve(), fetchers)
        try:
            for thread in threads:
                thread.start()
            with self._progress:
                at_most = min(most, default=None)
                pool.run(worker, self._feed, fetch.BATCH, self._commit_batch, at_most=at_most, queued=1)
        finally:
            self._feed.close()
            for source in self._sources:
                source.stop()
            worker.stop()
            with self._commit:
                self._closed = True
            for thread in threads:
                thread.join(STOP_SECONDS)
        self._give_up_spent()
        self._tell()
        return self._result

    # In the thread of a source.

    def _drive(self, source: Source) -> None:
        """List the source, then hand its wanted photos over; the last source to be done ends the feed."""
        try:
            listed = self._list(source)
            if not self._wish.recheck and not self._wish.metadata_only and source.no_download is None:
                self._hand_over(source, listed)
        except ClosedError:
            pass
        except BaseException as error:  # it ends the run, in the main thread
            self._feed.fail(error)
        finally:
            with self._commit:
                self._running -= 1
                last = self._running == 0
            if last:
                self._feed.end()

    def _list(self, source: Source) -> set[str] | None:
        """Commit what the source lists; returns the ids, where it lists everything anew."""
        ids: set[str] = set()
        listing = SourceListing(self._dataset, self._frontier, source.name)
        pages = source.recheck(listing) if self._wish.recheck else source.pages(listing)
        what = "look again" if self._wish.recheck else "list"
        try:
            with Progress(f"{source.name}: {what}", None) as progress:
                while not self._is_full(source) and (page := next(pages, None)) is not None:
                    taken = self._commit_page(source, page)
                    ids.update(taken)
                    progress.advance(len(taken))
        except (TransientError, InputError) as error:
            with self._commit:
                self._result.unread.append(source.name)
                self._result.notes.append(f"{source.name} was not read to its end: {error}")
        else:
            if self._wish.recheck:
                self._frontier.forget(source.name, "recheck")
        with self._commit:
            self._refuse_when_closed()
            self._result.found += len(ids)
            self._discovery.commit()
        return ids if source.lists_anew else None

    def _is_full(self, source: Source) -> bool:
        if self._wish.limit is None or source.lists_anew or self._wish.recheck:
            return False
        with self._commit:
            return self._discovery.count(source.name) >= self._wish.limit

    def _commit_page(self, source: Source, page: Page) -> list[str]:
        with self._commit:
            self._refuse_when_closed()
            limit = None if source.lists_anew or self._wish.recheck else self._wish.limit
            return self._discovery.add(source.name, page, limit)

    def _hand_over(self, source: Source, listed: set[str] | None) -> None:
        """Ask the source for each wanted photo's URL and give it to the workers."""
        todo = to_fetch(self._dataset, source.name, self._attempts, listed)
        with self._commit:
            self._result.given_up_before += todo.given_up
            self._result.unwanted += todo.rejected
            self._progress.expect(todo.photos.num_rows)
        for start in range(0, todo.photos.num_rows, SLICE):
            for photo in todo.photos.slice(start, SLICE).to_pylist():
                try:
                    url = source.prepare(photo)
                except HostDownError as error:
                    self._leave(source, todo.photos.num_rows, error)
                    return
                except (TransientError, InputError) as error:
                    self._commit_refusal(photo["photo_id"], error)
                    continue
                self._feed.put(Wanted(photo["photo_id"], url, photo["width"], photo["height"], source.name))

    def _leave(self, source: Source, count: int, error: HostDownError) -> None:
        with self._commit:
            self._result.untried += 1  # at least; what was handed over before is counted as it comes
            self._result.notes.append(
                f"{source.name}: most of {plural(count, 'photo')} were left for the next run: {error}"
            )

    def _commit_refusal(self, photo_id: str, error: TransientError | InputError) -> None:
        """A row for a photo that its source does not let us fetch."""
        row = fetch.refusal(photo_id, datetime.now(UTC), error)
        self._commit_batch(Batch(rows_of([row], schema.FILES), 1))

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise ClosedError

    # By the thread that runs the pool, and for refusals by that of a source.

    def _commit_batch(self, batch: Batch) -> None:
        """Put file rows into their table. Photos out of attempts wait for the end: the run may be a broken one."""
        faults.point("crawl.placed")
        with self._commit:
            self._refuse_when_closed()
            self._lock.check()
            self._dataset.files_table.append(batch.rows)
            self._count_batch(batch)
            self._progress.advance(batch.done)
            if len(self._last) == BROKEN_RUN and all(self._last):
                error = batch.rows["error"].to_pylist()[-1]
                raise SetupError(
                    f"the last {BROKEN_RUN} attempts all failed ({error}); mend that and run the same command again"
                )

    def _count_batch(self, batch: Batch) -> None:
        self._result.untried += batch.done - batch.rows.num_rows
        for row in batch.rows.select(["photo_id", "status", "error"]).to_pylist():
            self._last.append(row["status"] == schema.FAILED)
            if self._last[-1] and self._attempts.failures.get(row["photo_id"], 0) + 1 >= ATTEMPTS:
                error = f"out of attempts: {row['error']}"
                self._spent.append(File(row["photo_id"], datetime.now(UTC), schema.GIVEN_UP, error=error))
            else:
                self._count(row["status"], row["error"])

    def _count(self, status: str, error: str | None) -> None:
        if status == schema.OK:
            self._result.fetched += 1
        elif status == schema.FAILED:
            self._result.failed += 1
        else:
            self._result.given_up[error or "?"] = self._result.given_up.get(error or "?", 0) + 1

    # At the end.

    def _give_up_spent(self) -> None:
        self._lock.check()
        self._dataset.files_table.append(rows_of(self._spent, schema.FILES))
        for row in self._spent:
            self._count(row.status, row.error)

    def _tell(self) -> None:
        self._result.new = self._discovery.new
        notes = self._result.notes
        for source in self._sources:
            notes.extend(source.notes())
            if source.no_download is not None and not self._wish.metadata_only:
                notes.append(f"{source.name}: only metadata was written: {source.no_download}")
        if self._discovery.taken_down:
            notes.append(
                f"left out, because taken down before (lhq remove): {plural(self._discovery.taken_down, 'photo')}"
            )
        if self._result.untried:
            notes.append("a host failed too often in a row and was left alone: run the same command again later")
