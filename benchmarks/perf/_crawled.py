"""A dataset as a long crawl leaves it: very many photos, few pictures that they share by hash.

The pictures are painted by the synthetic source and crawled as `lhq crawl` does. All other rows are made up, as long as
those of Flickr (15 tags each, by Zipf's law), and appended in batches of a crawl's size, so that the tables have the
parts that a crawl's have. Photos are listed again with another title; files fail and are fetched later, or never.

    python -m benchmarks.perf._crawled FOLDER ROWS PICTURES
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests import schema
from manifests.dataset import Dataset
from manifests.queries import read_queries
from manifests.tags import BLACKLIST, read_list
from pipelines import crawl
from pipelines.engine.pool import InProcess
from pipelines.sources.synthetic import Synthetic

LISTED, FETCHED = 1_024, 256  # rows of a commit: some pages of results, a worker's batch
TAGS_EACH, TAGS, LISTED_AMONG = 15, 200_000, (100, 20_000)  # per photo, in all, places of the blacklist's by frequency
RELISTED, SOUGHT_TWICE = 100, 3  # every so manieth photo is listed again with another title, is found by two queries
FAILED, GIVEN_UP = 50, 100  # every so manieth file fails once and comes later, is never had
PHOTOS_OF_AN_AUTHOR = 20
START = datetime(2026, 1, 1, tzinfo=UTC)

Ints = npt.NDArray[np.int64]


def make(root: Path, rows: int, pictures: int, seed: int = 0) -> Dataset:
    """A dataset of so many photos, of which so many are painted; the same arguments give the same rows."""
    dataset = Dataset.open_or_create(root, "perf")
    with InProcess() as pool:
        crawl.run(dataset, [Synthetic(pictures, seed)], pool)
    painted = dataset.files().filter(pc.equal(dataset.files()["status"], schema.OK))
    rng = np.random.default_rng(seed)
    numbers = 50_000_000_000 + rng.permutation(rows - pictures)  # ids come in no order
    words = _words(rng)
    for first in range(0, len(numbers), LISTED):
        some = numbers[first : first + LISTED]
        dataset.photos_table.append(_photos(some, words, rng))
        dataset.sightings_table.append(_sightings(some, rng))
        files = _files(some, painted, rng)
        for at in range(0, files.num_rows, FETCHED):
            dataset.files_table.append(files.slice(at, FETCHED))
    for table in (dataset.photos_table, dataset.sightings_table, dataset.files_table):
        table.sweep()  # as the end of a crawl does
    return dataset


def _words(rng: np.random.Generator) -> pa.Array:
    """Tags, the most frequent first; those of the blacklist stand among them so that one photo in ten carries one."""
    words = [f"word{number:06d}" for number in range(TAGS)]
    listed = sorted(read_list(BLACKLIST))
    for place, word in zip(rng.choice(np.arange(*LISTED_AMONG), len(listed), replace=False), listed, strict=True):
        words[place] = word
    return pa.array(words)


def _photos(numbers: Ints, words: pa.Array, rng: np.random.Generator) -> pa.Table:
    """A row for each photo, then those that were listed again."""
    count = len(numbers)
    number = pa.array(numbers).cast(pa.string())
    author = pa.array(numbers // PHOTOS_OF_AN_AUTHOR).cast(pa.string())
    ranks = np.exp(rng.random(count * TAGS_EACH) * np.log(TAGS)).astype(np.int64) - 1
    tags = pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * TAGS_EACH, words.take(pa.array(ranks)))
    about = pa.array(["An evening in the valley, after rain. " * 3, None, "Looking north over the lake. " * 8])
    uploaded = np.datetime64("2026-01-01", "us") - rng.integers(0, 15 * 365, count).astype("timedelta64[D]")
    licences = pa.array(["CC-BY-2.0", "CC-BY-NC-2.0", "CC0-1.0"])
    rows = _table(
        schema.PHOTOS,
        count,
        photo_id=_joined("flickr:", number),
        source="flickr",
        source_id=number,
        page_url=_joined("https://www.flickr.com/photos/someone/", number, "/"),
        image_url=_joined("https://live.staticflickr.com/65535/", number, "_0123456789_k.jpg"),
        width=pa.array(rng.integers(600, 6000, count)),
        height=pa.array(rng.integers(600, 6000, count)),
        title=_joined("A view of the hills, number ", number),
        description=about.take(pa.array(rng.integers(0, len(about), count))),
        tags_raw=tags,
        tags=tags,
        author=_joined("Someone ", author),
        author_url=_joined("https://www.flickr.com/people/", author, "/"),
        license=licences.take(pa.array(rng.integers(0, len(licences), count))),
        attribution=_joined('"A view of the hills" by Someone ', author, ", CC BY 2.0"),
        uploaded_at=pc.assume_timezone(pa.array(uploaded), "UTC"),
        seen_at=START,
        extra="{}",
    )
    again = rows.filter(pa.array(numbers % RELISTED == 0))
    titles = _joined("Another title of ", again["source_id"].combine_chunks())
    return pa.concat_tables(
        [rows, again.set_column(rows.column_names.index("title"), schema.PHOTOS.field("title"), titles)]
    )


def _sightings(numbers: Ints, rng: np.random.Generator) -> pa.Table:
    queries = pa.array(read_queries())
    found = np.concatenate([numbers, numbers[numbers % SOUGHT_TWICE == 0]])
    return _table(
        schema.SIGHTINGS,
        len(found),
        photo_id=_joined("flickr:", pa.array(found).cast(pa.string())),
        source="flickr",
        query=queries.take(pa.array(rng.integers(0, len(queries), len(found)))),
        rank=pa.array(rng.integers(0, 4_000, len(found))),
        seen_at=START,
    )


def _files(numbers: Ints, painted: pa.Table, rng: np.random.Generator) -> pa.Table:
    """What became of fetching them: failures first, then the files, each with the bytes of a painted one."""
    failed = numbers[(numbers % FAILED == 0) & (numbers % GIVEN_UP != 0)]
    lost = numbers[numbers % GIVEN_UP == 0]
    there = numbers[numbers % GIVEN_UP != 0]
    of = painted.take(pa.array(rng.integers(0, painted.num_rows, len(there))))
    same = {name: of[name].combine_chunks() for name in ("sha256", "path", "bytes", "format", "width", "height")}

    def rows(some: Ints, **values: object) -> pa.Table:
        ids = _joined("flickr:", pa.array(some).cast(pa.string()))
        return _table(schema.FILES, len(some), photo_id=ids, fetched_at=START, **values)

    return pa.concat_tables(
        [
            rows(failed, status=schema.FAILED, error="the host answered 503", http_status=503),
            rows(lost, status=schema.GIVEN_UP, error="the host answered 404", http_status=404),
            rows(there, status=schema.OK, **same),
        ]
    )


def _joined(*texts: object) -> pa.Array:
    return pc.binary_join_element_wise(*texts, "")


def _table(columns: pa.Schema, count: int, **values: object) -> pa.Table:
    """Rows with these columns, each an array or one value for all; the rest is null."""
    cells = []
    for field in columns:
        value = values.get(field.name)
        if not isinstance(value, pa.Array):
            value = pa.nulls(count, field.type) if value is None else pa.array([value], field.type).take(_zeros(count))
        cells.append(value.cast(field.type))
    return pa.table(cells, schema=columns)


def _zeros(count: int) -> pa.Array:
    return pa.array(np.zeros(count, np.int64))


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
