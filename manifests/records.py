"""Rows of the crawl's tables as typed values; the columns are those of `schema.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph as its source describes it. Sizes in pixels after EXIF orientation, times in UTC."""

    photo_id: str
    source: str
    source_id: str
    seen_at: datetime
    page_url: str | None = None
    image_url: str | None = None
    width: int | None = None
    height: int | None = None
    title: str | None = None
    description: str | None = None
    tags_raw: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    author: str | None = None
    author_url: str | None = None
    license: str = "LicenseRef-unknown"
    license_url: str | None = None
    attribution: str | None = None
    taken_at: datetime | None = None
    uploaded_at: datetime | None = None
    extra: str = "{}"


@dataclass(frozen=True, slots=True)
class Sighting:
    """One photo found by one query at one rank (from 0)."""

    photo_id: str
    source: str
    query: str
    rank: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class File:
    """What became of fetching one photo's bytes. `status`: ok, failed (tried again) or given_up (final)."""

    photo_id: str
    fetched_at: datetime
    status: str
    sha256: str | None = None
    path: str | None = None
    bytes: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    error: str | None = None
    http_status: int | None = None
