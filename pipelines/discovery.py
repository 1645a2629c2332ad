"""What sources list goes into the tables: new or changed photos, and sightings not yet known."""

from __future__ import annotations

import dataclasses
import hashlib
import operator
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import schema
from manifests.dataset import Dataset
from manifests.locks import Lock
from manifests.records import Photo, Sighting
from manifests.tombstones import Tombstones
from pipelines.frontier import Frontier
from pipelines.sources.base import Found, Page

ROWS = 4096  # of a commit of pages that are not remembered
SECONDS = 1.0  # or what comes in this time


def rows_of(values: Sequence[Any], columns: pa.Schema) -> pa.Table:
    """Records as rows of a table."""
    cells = zip(*map(operator.attrgetter(*columns.names), values), strict=True) if values else [()] * len(columns)
    return pa.table([pa.array(cell, kind) for cell, kind in zip(cells, columns.types, strict=True)], schema=columns)


class Discovery:
    """Commits what all sources of a crawl list. Called by one thread at a time.

    A photo that two sources list (`unsplash`, `unsplash-dataset`) has one row. It is superseded by the same source
    when that tells something else, by another source only when that knows more tags.
    """

    def __init__(self, dataset: Dataset, frontier: Frontier, lock: Lock) -> None:
        self._dataset, self._frontier, self._lock = dataset, frontier, lock
        self._tombstones = Tombstones.load(dataset)
        self._known: _Known | None = None
        self._photos: list[Photo] = []
        self._sightings: list[Sighting] = []
        self._committed_at = time.monotonic()
        self.new = 0  # photos not seen before this run
        self.taken_down = 0  # listed photos that tombstones leave out

    def count(self, source: str) -> int:
        """Photos whose row is this source's."""
        return self._load().count(source)

    def add(self, source: str, page: Page, most: int | None = None) -> list[str]:
        """Put a page into the tables, then note its cursor; returns the ids of its photos that stand in the tables.

        With `most` the page is cut once the source has so many photos; a cut page's cursor is not noted.
        """
        known, cut = self._load(), False
        taken: list[str] = []
        for found in page.found:
            if self._tombstones.covers(found.photo):
                self.taken_down += 1
                continue
            if most is not None and known.count(source) >= most and not known.holds(found.photo.photo_id):
                cut = True
                break
            self._add(known, found)
            taken.append(found.photo.photo_id)
        if page.task is not None:
            self.commit()
            if not cut:
                self._frontier.record(source, page.task, page.cursor, page.done)
        elif len(self._photos) + len(self._sightings) >= ROWS or time.monotonic() - self._committed_at >= SECONDS:
            self.commit()
        return taken

    def commit(self) -> None:
        """Write what was added."""
        self._lock.check()
        self._dataset.photos_table.append(rows_of(self._photos, schema.PHOTOS))
        self._dataset.sightings_table.append(rows_of(self._sightings, schema.SIGHTINGS))
        self._photos, self._sightings = [], []
        self._committed_at = time.monotonic()

    def _add(self, known: _Known, found: Found) -> None:
        photo = found.photo
        if not known.holds(photo.photo_id):
            self.new += 1
            known.put(photo)
            self._photos.append(photo)
        elif not found.brief and known.is_superseded_by(photo):
            known.put(photo)
            self._photos.append(photo)
        if found.query is not None and known.sight(photo.photo_id, found.query):
            self._sightings.append(Sighting(photo.photo_id, photo.source, found.query, found.rank, photo.seen_at))

    def _load(self) -> _Known:
        if self._known is None:  # when the first page comes: a crawl that only fetches needs none of it
            self._known = _Known(self._dataset)
        return self._known


class _Known:
    """Photos and sightings as they stand: in the tables, or added since."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        stored = dataset.photos_table.current("photo_id", ["photo_id", "source"])
        self._row_of = {photo_id: row for row, photo_id in enumerate(stored["photo_id"].to_pylist())}
        self._added: dict[str, tuple[str, int, bytes]] = {}  # source, tags, digest
        counts = pc.value_counts(stored["source"]).to_pylist()
        self._counts: dict[str, int] = {row["values"]: row["counts"] for row in counts}
        sightings = dataset.sightings_table.read(["photo_id", "query"])
        # Hashes of pairs: a million sightings in 70 MB. Two alike among so many: once in 30 million crawls.
        self._sighted = set(
            map(hash, zip(sightings["photo_id"].to_pylist(), sightings["query"].to_pylist(), strict=True))
        )

    def count(self, source: str) -> int:
        return self._counts.get(source, 0)

    def holds(self, photo_id: str) -> bool:
        return photo_id in self._added or photo_id in self._row_of

    def put(self, photo: Photo) -> None:
        if self.holds(photo.photo_id):
            self._counts[self._facts(photo.photo_id)[0]] -= 1
        self._counts[photo.source] = self._counts.get(photo.source, 0) + 1
        self._added[photo.photo_id] = photo.source, len(photo.tags), _digest(_columns(photo))

    def is_superseded_by(self, photo: Photo) -> bool:
        source, tags, digest = self._facts(photo.photo_id)
        if source != photo.source:
            return len(photo.tags) > tags
        return digest != _digest(_columns(photo))

    def sight(self, photo_id: str, query: str) -> bool:
        """Whether this is the first sighting of the photo by the query."""
        mark = hash((photo_id, query))
        if mark in self._sighted:
            return False
        self._sighted.add(mark)
        return True

    @cached_property
    def _rows(self) -> pa.Table:
        """The stored photos whole, in the order of `_row_of`; photos added since come after them."""
        return self._dataset.photos_table.current("photo_id")

    def _facts(self, photo_id: str) -> tuple[str, int, bytes]:
        if photo_id not in self._added:
            row = self._rows.slice(self._row_of[photo_id], 1).to_pylist()[0]
            self._added[photo_id] = row["source"], len(row["tags"]), _digest(row)
        return self._added[photo_id]


def _columns(photo: Photo) -> Mapping[str, Any]:
    return {field.name: getattr(photo, field.name) for field in dataclasses.fields(photo)}


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
