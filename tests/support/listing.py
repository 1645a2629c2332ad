"""Stand-ins for what the driver gives a source while it lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from manifests import schema
from manifests.records import Photo
from pipelines.sources.base import Page, Source


@dataclass
class Unread:
    """Nothing was read yet, or what `cursors`, `done` and `rows` say."""

    cursors: dict[str, str] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    rows: pa.Table = field(default_factory=schema.PHOTOS.empty_table)

    def cursor(self, task: str) -> str | None:
        return self.cursors.get(task)

    def is_done(self, task: str) -> bool:
        return task in self.finished

    def photos(self, columns: Sequence[str]) -> pa.Table:
        return self.rows.select(columns)

    def commit(self, page: Page) -> None:
        """Remember the page as the driver does."""
        if page.task is not None:
            self.cursors[page.task] = page.cursor
            if page.done:
                self.finished.add(page.task)


def list_all(source: Source, listing: Unread | None = None) -> list[Page]:
    """Every page of a source, each committed before the next is asked for."""
    listing = listing or Unread()
    pages = []
    for page in source.pages(listing):
        listing.commit(page)
        pages.append(page)
    return pages


def photos_by_id(pages: Iterable[Page]) -> dict[str, Photo]:
    """The photos that pages list, by their ids; of one that comes twice the last."""
    return {one.photo.photo_id: one.photo for page in pages for one in page.found}


def queries_by_id(pages: Iterable[Page]) -> dict[str, set[str | None]]:
    """What found each photo."""
    found: dict[str, set[str | None]] = {}
    for page in pages:
        for one in page.found:
            found.setdefault(one.photo.photo_id, set()).add(one.query)
    return found
