"""The crawl: what sources list goes into the tables, then every wanted file is fetched, checked and kept.

Nothing is remembered outside the tables: what is still to fetch is what has no final file row.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import faults, schema
from manifests.dataset import CRAWL_LOCK, Dataset
from manifests.errors import InputError, SetupError, TransientError
from manifests.locks import Lock
from manifests.probe import EXTENSIONS, probe
from manifests.records import File, Photo, Sighting
from manifests.store import ImageStore, Placing
from manifests.tables import latest
from pipelines.engine.pool import Batch, Pool, for_a_while
from pipelines.engine.progress import Progress
from pipelines.sources.base import Fetcher, Found, Share, Source, StoredFile, Wanted

FETCH_BATCH = 256  # images placed and synced together at most
FETCH_SECONDS = 1.0  # or what a worker fetches in this time
ATTEMPTS = 6  # runs in which a passing trouble is tried before the photo is given up
BROKEN_RUN = 500  # so many passing troubles in a row are not the photos' fault
DISCOVERY_ROWS = 4096  # rows of a discovery commit
DISCOVERY_SECONDS = 1.0

FetchItem = tuple[str, str | None]  # photo_id, image_url


@dataclass
class Crawled:
    """What a crawl did, for the closing summary."""

    found: int = 0  # photos the sources listed
    new: int = 0  # of these, not seen before
    fetched: int = 0  # ok in this run
    failed: int = 0  # left to try again
    given_up: dict[str, int] = field(default_factory=dict)  # in this run, by reason
    given_up_before: int = 0  # in earlier runs, not tried now
    notes: list[str] = field(default_factory=list)


def run(dataset: Dataset, sources: Sequence[Source], pool: Pool, *, retry_failed: bool = False) -> Crawled:
    """List and fetch everything the sources have. Safe to kill and run again."""
    result = Crawled()
    tables = [dataset.sightings_table, dataset.photos_table, dataset.files_table]
    with dataset.lock(CRAWL_LOCK, tables) as lock:
        dataset.store.sweep()
        files = dataset.files()
        for source in sources:
            source.check(_stored(files, source))
        for source in sources:
            listed = _Discovery(dataset, source, lock).run(result)
            _fetch(dataset, source, listed, pool, lock, result, retry_failed)
            result.notes.extend(source.notes())
    return result


def _stored(files: pa.Table, source: Source) -> Mapping[str, StoredFile]:
    mine = files.filter(
        pc.and_(pc.starts_with(files["photo_id"], f"{source.name}:"), pc.equal(files["status"], schema.OK))
    ).select(["photo_id", "sha256", "bytes"])
    return {row["photo_id"]: StoredFile(row["sha256"], row["bytes"]) for row in mine.to_pylist()}


class _Nothing:
    """The listing of a source that was never read."""

    def cursor(self, task: str) -> str | None:  # noqa: ARG002
        return None

    def is_done(self, task: str) -> bool:  # noqa: ARG002
        return False

    def photos(self, columns: Sequence[str]) -> pa.Table:
        return schema.PHOTOS.empty_table().select(columns)


class _Discovery:
    """Writes what a source lists: new or changed photos, and sightings not yet known."""

    def __init__(self, dataset: Dataset, source: Source, lock: Lock) -> None:
        self._dataset, self._source, self._lock = dataset, source, lock
        photos = dataset.photos_table.current("photo_id")
        self._stored = photos.filter(pc.equal(photos["source"], source.name))
        self._row_of = {photo_id: row for row, photo_id in enumerate(self._stored["photo_id"].to_pylist())}
        self._digests: dict[str, bytes] = {}  # content of photos as they stand now, seen in this run
        sightings = dataset.sightings_table.read(["photo_id", "query"])
        self._sighted = set(zip(sightings["photo_id"].to_pylist(), sightings["query"].to_pylist(), strict=True))
        self._photos: list[Photo] = []
        self._sightings: list[Sighting] = []
        self._committed_at = time.monotonic()

    def run(self, result: Crawled) -> list[FetchItem]:
        """Everything the source has, written; returns (photo_id, image_url) of each photo, in order."""
        listed: dict[str, str | None] = {}
        with Progress(f"{self._source.name}: list", None) as progress:
            for page in self._source.pages(_Nothing()):
                for found in page.found:
                    listed.setdefault(found.photo.photo_id, found.photo.image_url)
                    result.new += self._add(found)
                self._commit_when_due()
                progress.advance(len(page.found))
            self._commit()
        result.found += len(listed)
        return list(listed.items())

    def _add(self, found: Found) -> bool:
        photo = found.photo
        before = self._digests.get(photo.photo_id) or self._stored_digest(photo.photo_id)
        now = _digest(dataclasses.asdict(photo))
        self._digests[photo.photo_id] = now
        if now != before:
            self._photos.append(photo)
        sighting = (photo.photo_id, found.query)
        if found.query is not None and sighting not in self._sighted:
            self._sighted.add(sighting)
            self._sightings.append(Sighting(photo.photo_id, photo.source, found.query, found.rank, photo.seen_at))
        return before is None

    def _stored_digest(self, photo_id: str) -> bytes | None:
        row = self._row_of.get(photo_id)
        return None if row is None else _digest(self._stored.slice(row, 1).to_pylist()[0])

    def _commit_when_due(self) -> None:
        late = time.monotonic() - self._committed_at >= DISCOVERY_SECONDS
        if late or len(self._photos) + len(self._sightings) >= DISCOVERY_ROWS:
            self._commit()

    def _commit(self) -> None:
        self._lock.check()
        self._dataset.photos_table.append(_rows(self._photos, schema.PHOTOS))
        self._dataset.sightings_table.append(_rows(self._sightings, schema.SIGHTINGS))
        self._photos, self._sightings = [], []
        self._committed_at = time.monotonic()


def _digest(photo: Mapping[str, Any]) -> bytes:
    """Content of a photo's row, whenever it was seen."""
    parts = [
        f"{name}={list(value) if isinstance(value, (tuple, list)) else _text(value)}"
        for name, value in sorted(photo.items())
        if name != "seen_at"
    ]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()


def _text(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else repr(value)


def _rows(values: Sequence[Any], columns: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dataclasses.asdict(value) for value in values], schema=columns)


def _fetch(
    dataset: Dataset,
    source: Source,
    listed: Sequence[FetchItem],
    pool: Pool,
    lock: Lock,
    result: Crawled,
    retry_failed: bool,
) -> None:
    """Fetch what has no final file row. Photos out of attempts are given up last, when the run was no broken one."""
    items, failures, given_up = _to_fetch(dataset, listed, retry_failed)
    result.given_up_before += given_up
    last = deque[bool](maxlen=BROKEN_RUN)  # was it a passing trouble?
    spent: list[File] = []
    with Progress(f"{source.name}: fetch", len(items)) as progress:

        def commit(batch: Batch) -> None:
            faults.point("crawl.placed")
            lock.check()
            dataset.files_table.append(batch.rows)
            for row in batch.rows.select(["photo_id", "status", "error"]).to_pylist():
                last.append(row["status"] == schema.FAILED)
                if last[-1] and failures.get(row["photo_id"], 0) + 1 >= ATTEMPTS:
                    error = f"out of attempts: {row['error']}"
                    spent.append(File(row["photo_id"], datetime.now(UTC), schema.GIVEN_UP, error=error))
                else:
                    _count(result, row["status"], row["error"])
            progress.advance(batch.done)
            if len(last) == BROKEN_RUN and all(last):
                error = batch.rows["error"].to_pylist()[-1]
                raise SetupError(
                    f"the last {BROKEN_RUN} attempts all failed ({error}); mend that and run the same command again"
                )

        pool.run(FetchWorker(dataset.root, source.fetcher()), items, FETCH_BATCH, commit)
    lock.check()
    dataset.files_table.append(_rows(spent, schema.FILES))
    for row in spent:
        _count(result, row.status, row.error)


def _to_fetch(
    dataset: Dataset, listed: Sequence[FetchItem], retry_failed: bool
) -> tuple[list[FetchItem], dict[str, int], int]:
    """Photos without a final file row, with `retry_failed` all without an ok file; how often each failed since its
    last final row; and how many are left as given up before."""
    rows = dataset.files_table.read(["photo_id", "status"])
    status = latest(rows, "photo_id")
    final = (schema.OK,) if retry_failed else (schema.OK, schema.GIVEN_UP)
    done = set(status.filter(pc.is_in(status["status"], pa.array(final)))["photo_id"].to_pylist())
    failures: dict[str, int] = {}
    tried = rows.filter(pc.not_equal(rows["status"], schema.OK))
    for photo_id, state in zip(tried["photo_id"].to_pylist(), tried["status"].to_pylist(), strict=True):
        failures[photo_id] = failures.get(photo_id, 0) + 1 if state == schema.FAILED else 0
    refused = set(status.filter(pc.equal(status["status"], schema.GIVEN_UP))["photo_id"].to_pylist()) & done
    left = sum(photo_id in refused for photo_id, _ in listed)
    return [item for item in listed if item[0] not in done], {} if retry_failed else failures, left


def _count(result: Crawled, status: str, error: str | None) -> None:
    if status == schema.OK:
        result.fetched += 1
    elif status == schema.FAILED:
        result.failed += 1
    else:
        result.given_up[error or "?"] = result.given_up.get(error or "?", 0) + 1


@dataclass(frozen=True)
class FetchWorker:
    """Fetches, checks and places images; what is wrong with one becomes its row."""

    root: Path
    fetcher: Fetcher

    def setup(self) -> None:
        pass

    def run(self, items: Sequence[FetchItem]) -> Batch:
        with ImageStore(self.root).batch() as placing:
            rows = [self._one(placing, *item) for item in for_a_while(items, FETCH_SECONDS)]
        return Batch(_rows(rows, schema.FILES), len(rows))

    def _one(self, placing: Placing, photo_id: str, image_url: str | None) -> File:
        now = datetime.now(UTC)
        try:
            fetched = self.fetcher.open(Share()).fetch(Wanted(photo_id, image_url))
            header = probe(fetched.data)
        except TransientError as error:
            return File(photo_id, now, schema.FAILED, error=str(error))
        except InputError as error:
            return File(photo_id, now, schema.GIVEN_UP, error=str(error))
        stored = placing.add(fetched.data, EXTENSIONS[header.format])
        return File(
            photo_id,
            now,
            schema.OK,
            sha256=stored.sha256,
            path=stored.path,
            bytes=len(fetched.data),
            format=header.format,
            width=header.width,
            height=header.height,
            http_status=fetched.http_status,
        )
