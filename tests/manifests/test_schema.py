"""Every column says what it means, in the schema and in the files that are written under it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests import flat, schema
from manifests.dataset import Dataset

TABLES = {
    **schema.CRAWL_TABLES,
    "tombstones": schema.TOMBSTONES,
    "measurements": schema.measurement_schema({}),
    "flat": flat.columns(["tags", "invariance"]),
}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_says_what_it_means_in_half_a_sentence(table):
    for field in TABLES[table]:
        said = schema.meaning(field)
        assert said, field.name
        assert not said.endswith("."), field.name
        assert "|" not in said, f"{field.name}: it stands in a Markdown table"


def test_a_column_of_which_nothing_was_said_means_nothing():
    assert schema.meaning(pa.field("x", pa.int8())) == ""


def test_the_meanings_stand_in_the_files_also_in_those_that_a_merge_wrote(tmp_path: Path):
    dataset = Dataset.open_or_create(tmp_path / "d", "test")
    now = datetime.now(UTC)
    table = dataset.sightings_table
    for rank in range(9):  # eight are merged
        row = {"photo_id": f"folder:{rank}", "source": "folder", "query": "sea", "rank": rank, "seen_at": now}
        table.append(pa.Table.from_pylist([row], schema=schema.SIGHTINGS))
    parts = [part.path for part in table.parts()]
    assert len(parts) == 2
    for path in parts:
        assert pq.read_schema(path).equals(schema.SIGHTINGS, check_metadata=True)


def test_rows_written_before_columns_had_meanings_are_read_beside_later_ones(tmp_path: Path):
    dataset = Dataset.open_or_create(tmp_path / "d", "test")
    bare = pa.schema([pa.field(one.name, one.type, nullable=one.nullable) for one in schema.TOMBSTONES])
    stone = {"kind": "id", "removed_at": datetime.now(UTC), "hash": "00"}
    dataset.table("tombstones", bare).append(pa.Table.from_pylist([stone], schema=bare))
    dataset.tombstones_table.append(pa.Table.from_pylist([stone], schema=schema.TOMBSTONES))
    assert dataset.tombstones_table.read().num_rows == 2
