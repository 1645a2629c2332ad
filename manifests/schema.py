"""The columns of every table: the one place where they are stated.

Times are UTC; sizes are pixels after EXIF orientation. Measurement tables add the stage's own columns to
`measurement_schema`. Readable by pandas, DuckDB and Polars without this package.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

FORMAT = 1  # of the dataset folder; a newer one is refused

_TIME = pa.timestamp("us", tz="UTC")
_STRINGS = pa.list_(pa.string())

SIGHTINGS = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("seen_at", _TIME, nullable=False),
    ]
)

PHOTOS = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("page_url", pa.string()),
        pa.field("image_url", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("title", pa.string()),
        pa.field("description", pa.string()),
        pa.field("tags_raw", _STRINGS, nullable=False),
        pa.field("tags", _STRINGS, nullable=False),
        pa.field("author", pa.string()),
        pa.field("author_url", pa.string()),
        pa.field("license", pa.string(), nullable=False),
        pa.field("license_url", pa.string()),
        pa.field("attribution", pa.string()),
        pa.field("taken_at", _TIME),
        pa.field("uploaded_at", _TIME),
        pa.field("seen_at", _TIME, nullable=False),
        pa.field("extra", pa.string(), nullable=False),
    ]
)

FILES = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("sha256", pa.string()),
        pa.field("path", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("format", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("fetched_at", _TIME, nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("http_status", pa.int32()),
    ]
)

# What is left of photos that were taken down; `tombstones.py` says what is hashed.
TOMBSTONES = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("removed_at", _TIME, nullable=False),
        pa.field("hash", pa.string(), nullable=False),
    ]
)

OK, FAILED, GIVEN_UP = "ok", "failed", "given_up"  # files.status

CRAWL_TABLES: Mapping[str, pa.Schema] = {"sightings": SIGHTINGS, "photos": PHOTOS, "files": FILES}


def measurement_table(stage: str) -> str:
    """Name of the table that holds a stage's measurements."""
    return f"measurements_{stage}"


def measurement_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """An image stage's table: the file, the fingerprint, what went wrong, then the stage's own columns."""
    key = [
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("error", pa.string()),
    ]
    return pa.schema(key + [pa.field(name, kind) for name, kind in columns.items()])
