"""The columns of every table, with what they mean: the one place where they are stated.

Times are UTC; sizes are pixels after EXIF orientation. Measurement tables add the stage's own columns to
`measurement_schema`. Readable by pandas, DuckDB and Polars without this package; what a column means stands in the
Parquet files too, as the metadata of its field.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

FORMAT = 1  # of the dataset folder; a newer one is refused

_TIME = pa.timestamp("us", tz="UTC")
_STRINGS = pa.list_(pa.string())
_MEANING = b"meaning"


def column(name: str, kind: pa.DataType, meaning: str, *, nullable: bool = True) -> pa.Field:
    """A column that says what it means; Markdown, half a sentence."""
    return pa.field(name, kind, nullable=nullable, metadata={_MEANING: meaning.encode()})


def meaning(field: pa.Field) -> str:
    """What a column means; empty where nothing was said."""
    said: bytes = (field.metadata or {}).get(_MEANING, b"")
    return said.decode()


SIGHTINGS = pa.schema(
    [
        column("photo_id", pa.string(), "the photo that was found", nullable=False),
        column("source", pa.string(), "the source that found it", nullable=False),
        column(
            "query",
            pa.string(),
            "what was searched for; of files their label, category or release, of painted scenes their kind",
            nullable=False,
        ),
        column("rank", pa.int32(), "its place among what the query found, from 0", nullable=False),
        column("seen_at", _TIME, "when it was found", nullable=False),
    ]
)

PHOTOS = pa.schema(
    [
        column(
            "photo_id", pa.string(), "`source:` and a name that never changes, `flickr:123` for one", nullable=False
        ),
        column(
            "source",
            pa.string(),
            "`unsplash`, `unsplash-dataset`, `flickr`, `lsun`, `folder`, `synthetic`, or one of a package",
            nullable=False,
        ),
        column("source_id", pa.string(), "the name in its source", nullable=False),
        column("page_url", pa.string(), "the photo's page, for people"),
        column("image_url", pa.string(), "where its file is fetched"),
        column("width", pa.int32(), "pixels, as the source promises them"),
        column("height", pa.int32(), "pixels, as the source promises them"),
        column("title", pa.string(), "the author's title"),
        column("description", pa.string(), "the author's description, or the source's"),
        column("tags_raw", _STRINGS, "tags as the source writes them", nullable=False),
        column("tags", _STRINGS, "the same in normal form: lower case, letters and digits only", nullable=False),
        column("author", pa.string(), "the author's name"),
        column("author_url", pa.string(), "the author's page"),
        column(
            "license",
            pa.string(),
            "SPDX identifier, else `LicenseRef-Unsplash`, `LicenseRef-US-Gov`, `LicenseRef-PDM` or "
            "`LicenseRef-unknown`",
            nullable=False,
        ),
        column("license_url", pa.string(), "the licence's text"),
        column("attribution", pa.string(), "the credit line to print beside the picture"),
        column("taken_at", _TIME, "when the photograph was taken, where that is known"),
        column("uploaded_at", _TIME, "when it was published"),
        column("seen_at", _TIME, "when the source was asked", nullable=False),
        column("extra", pa.string(), "what else the source says, as a JSON object", nullable=False),
    ]
)

FILES = pa.schema(
    [
        column("photo_id", pa.string(), "the photo whose file was fetched", nullable=False),
        column("sha256", pa.string(), "of the bytes as received; the name of the stored file"),
        column("path", pa.string(), "where it lies in the dataset's folder"),
        column("bytes", pa.int64(), "length of the file"),
        column(
            "format",
            pa.string(),
            "what its bytes are, whatever its name says: `jpeg`, `png`, `webp`, `gif`, `tiff`, `bmp`",
        ),
        column("width", pa.int32(), "pixels of the file itself"),
        column("height", pa.int32(), "pixels of the file itself"),
        column("fetched_at", _TIME, "when this was tried", nullable=False),
        column(
            "status",
            pa.string(),
            "`ok`; `failed`: a passing trouble, tried again by the same command; `given_up`: final, unless "
            "`--retry-failed`",
            nullable=False,
        ),
        column("error", pa.string(), "why not, where it is not `ok`"),
        column("http_status", pa.int32(), "the host's answer, where it gave one"),
    ]
)

# What is left of photos that were taken down; `tombstones.py` says what is hashed.
TOMBSTONES = pa.schema(
    [
        column("kind", pa.string(), "what was named: `id`, `author` or `url`", nullable=False),
        column("removed_at", _TIME, "when the photo was taken down", nullable=False),
        column("hash", pa.string(), "keyed BLAKE2b of it; the key is `salt` of dataset.json", nullable=False),
    ]
)

OK, FAILED, GIVEN_UP = "ok", "failed", "given_up"  # files.status

CRAWL_TABLES: Mapping[str, pa.Schema] = {"sightings": SIGHTINGS, "photos": PHOTOS, "files": FILES}
STATED: Mapping[str, pa.Schema] = {**CRAWL_TABLES, "tombstones": TOMBSTONES}  # the others are measurements


def measurement_table(stage: str) -> str:
    """Name of the table that holds a stage's measurements."""
    return f"measurements_{stage}"


def measurement_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """An image stage's table: the file, the fingerprint, what went wrong, then the stage's own columns."""
    key = [
        column("sha256", pa.string(), "the file that was measured", nullable=False),
        column(
            "fingerprint",
            pa.string(),
            "what it was measured with: the stage's version, measuring settings, weights and fit",
            nullable=False,
        ),
        column("error", pa.string(), "why it could not be measured; then the stage's own columns are null"),
    ]
    return pa.schema(key + [pa.field(name, kind) for name, kind in columns.items()])
