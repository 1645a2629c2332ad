"""Datasets of very many rows and no pictures: what a crawl and the image stages would have written."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.dataset import Dataset
from pipelines.engine.fingerprint import fingerprint
from pipelines.engine.stage import Stage

BLACKLISTED, TAGS_EACH, DISTINCT = ("car", "dog", "portrait"), 15, 200_000
ROWS_OF_A_PART = 65_536


def photographs(root: Path, rows: int, seed: int = 0) -> Dataset:
    """A dataset of `rows` photos with ok files, rows as long as those of a real crawl."""
    rng = np.random.default_rng(seed)
    dataset = Dataset.open_or_create(root, "test")
    number = pc.cast(pa.array(np.arange(rows)), pa.string())
    ids = pc.binary_join_element_wise("flickr:", number, "")
    sha256 = pa.array([hashlib.sha256(str(row).encode()).hexdigest() for row in range(rows)])
    at = pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * rows, pa.timestamp("us", tz="UTC"))
    words = pa.array([*BLACKLISTED, *(f"word{one:06d}" for one in range(DISTINCT))])
    ranks = np.exp(rng.random(rows * TAGS_EACH) * np.log(len(words))).astype(np.int64) - 1
    ranks[(ranks < len(BLACKLISTED)) & (rng.random(len(ranks)) < 0.97)] = 1000  # few are on the list
    tags = pa.ListArray.from_arrays(
        pa.array(np.arange(rows + 1, dtype=np.int32) * TAGS_EACH), words.take(pa.array(ranks))
    )
    side = rng.integers(600, 6000, (2, rows)).astype(np.int32)
    text = pa.array(["An evening in the valley, after rain " * 3, None, "Looking north over the lake " * 8])
    page = pc.binary_join_element_wise("https://www.flickr.com/photos/someone/", number, "/", "")
    constant = {"source": "flickr", "license": "CC-BY-2.0", "author": "Someone", "extra": "{}"}
    photos = {
        **{name: pa.array([value]).take(pa.array(np.zeros(rows, np.int64))) for name, value in constant.items()},
        **{"photo_id": ids, "source_id": number, "page_url": page, "image_url": page, "tags": tags, "tags_raw": tags},
        "title": pc.binary_join_element_wise("A view of the hills, number ", number, ""),
        "description": text.take(pa.array(rng.integers(0, len(text), rows))),
        **{"width": pa.array(side[0]), "height": pa.array(side[1]), "seen_at": at},
    }
    path = pc.binary_join_element_wise("images/", pc.utf8_slice_codeunits(sha256, 0, 2), "/", sha256, ".jpg", "")
    files = {
        **{"photo_id": ids, "sha256": sha256, "path": path, "fetched_at": at},
        **{"width": pa.array(side[0]), "height": pa.array(side[1]), "bytes": pa.array(side[0].astype(np.int64) * 700)},
        **{
            name: pa.array([value]).take(pa.array(np.zeros(rows, np.int64)))
            for name, value in {"format": "jpeg", "status": "ok"}.items()
        },
    }
    for table, columns in ((dataset.photos_table, photos), (dataset.files_table, files)):
        append(table, columns, rows)
    return dataset


def append(table, columns, rows: int) -> None:
    """The rows in parts as a crawl leaves them; columns that are not given are null."""
    whole = pa.table(
        [columns.get(field.name, pa.nulls(rows, field.type)).cast(field.type) for field in table.schema],
        schema=table.schema,
    )
    for start in range(0, rows, ROWS_OF_A_PART):
        table.append(whole.slice(start, ROWS_OF_A_PART))


def measured(dataset: Dataset, stage: Stage, columns, mark: str | None = None) -> str:
    """Measurements of every file of the dataset under the stage's fingerprint, which is returned."""
    mark = mark or fingerprint(stage, None)
    sha256 = dataset.files_table.read(["sha256"])["sha256"].combine_chunks()
    rows = len(sha256)
    marks = pa.array([mark]).take(pa.array(np.zeros(rows, np.int64)))
    append(
        dataset.measurements_table(stage.name, stage.columns), {"sha256": sha256, "fingerprint": marks, **columns}, rows
    )
    return mark
