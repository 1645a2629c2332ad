"""Tables read back what was appended, whatever is merged and swept meanwhile, by our readers and by others."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tabling import NUMBERS, SCHEMA, file_names, numbers, row, rows

from manifests import tables
from manifests.tables import Table


@given(st.lists(st.lists(st.sampled_from(["a", "b", None]), max_size=12), max_size=4), st.integers(1, 5))
def test_rows_of_one_value_are_those_that_a_filter_leaves(parts, group):
    """Whether a row group has the value in all of its rows, in none, or in some."""
    columns = pa.schema([pa.field("mark", pa.string()), pa.field("n", pa.int64()), pa.field("later", pa.string())])
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROW_GROUP", group)
        older = Table(Path(place) / "t", pa.schema(list(columns)[:2]))
        for at, marks in enumerate(parts):
            older.append(
                pa.table({"mark": pa.array(marks, pa.string()), "n": [100 * at + n for n in range(len(marks))]})
            )
        table = Table(older.folder, columns)
        whole = table.read()
        for value in ("a", "b", "c"):
            found = table.read_where("mark", value, ["later", "n"])
            assert found.to_pylist() == [
                {"later": None, "n": row["n"]} for row in whole.to_pylist() if row["mark"] == value
            ]


@contextlib.contextmanager
def _fan_in(number: int) -> Iterator[None]:
    before, tables.FAN_IN = tables.FAN_IN, number
    try:
        yield
    finally:
        tables.FAN_IN = before


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.one_of(st.integers(0, 4), st.just("sweep")), max_size=24),
    fan_in=st.integers(2, 3),
)
def test_any_sequence_of_appends_and_sweeps_reads_back_as_one_list(sizes: list[int | str], fan_in: int) -> None:
    with tempfile.TemporaryDirectory() as folder, _fan_in(fan_in):
        table = Table(Path(folder) / "t" / "1", SCHEMA)
        appended: list[int] = []
        for size in sizes:
            if isinstance(size, str):
                table.sweep()
            else:
                new = range(len(appended), len(appended) + size)
                appended += new
                table.append(rows(new))
            assert table.read().equals(rows(appended))
            assert pa.Table.from_batches(table.batches(SCHEMA.names), SCHEMA).equals(rows(appended))
            assert table.row_count() == len(appended)
        last = {row(n)["key"]: n for n in appended}
        assert table.current("key").equals(rows([last[key] for key in last]))
        widths = [part.width for part in table.parts()]
        assert all(widths.count(width) < fan_in for width in widths)
        table.sweep()
        assert len(file_names(table)) == len(widths) if table.folder.exists() else not appended


def test_seventy_three_appends_become_one_part_of_64_one_of_8_and_one(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(73):
        table.append(numbers(n))
    assert [(part.first, part.last) for part in table.parts()] == [(1, 64), (65, 72), (73, 73)]
    assert table.read()["n"].to_pylist() == list(range(73))


@pytest.mark.parametrize("appends", [600, pytest.param(4_096, marks=pytest.mark.long)])
def test_many_small_appends_are_never_many_parts(tmp_path: Path, appends: int) -> None:
    """As many live parts as the digits of their number in base eight add up to, and few files besides."""
    table, most_files = Table(tmp_path, NUMBERS), 0
    for n in range(1, appends + 1):
        table.append(numbers(2 * n, 2 * n + 1))
        names = list(tmp_path.iterdir())
        most_files = max(most_files, len(names))
        if n % 97 == 0 or n == appends:
            assert len(table.parts()) == sum(map(int, np.base_repr(n, tables.FAN_IN)))
    levels = len(np.base_repr(appends, tables.FAN_IN))
    assert most_files <= tables.FAN_IN * levels + tables.FAN_IN, (
        "those that were merged wait for readers, and no longer"
    )
    assert table.read()["n"].to_pylist() == list(range(2, 2 * appends + 2))
    assert table.row_count() == 2 * appends


def test_parts_that_are_large_together_are_left_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MERGE_BYTES", 100)
    table = Table(tmp_path, NUMBERS)
    for n in range(20):
        table.append(numbers(n))
    assert [part.width for part in table.parts()] == [1] * 20
    assert table.read()["n"].to_pylist() == list(range(20))


def test_rows_over_several_row_groups_keep_their_order_through_a_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 10)
    table = Table(tmp_path, NUMBERS)
    for start in range(0, 8 * 37, 37):
        table.append(numbers(*range(start, start + 37)))
    assert len(table.parts()) == 1
    assert table.read()["n"].to_pylist() == list(range(8 * 37))


def test_a_table_that_was_never_written_is_empty_with_its_columns(tmp_path: Path) -> None:
    table = Table(tmp_path / "none", SCHEMA)
    assert table.read().equals(SCHEMA.empty_table())
    assert table.current("key").schema == SCHEMA
    assert (table.row_count(), table.version(), table.parts()) == (0, [], [])
    table.sweep()
    table.append(SCHEMA.empty_table())
    assert not table.folder.exists()


def test_current_is_the_last_row_of_each_key_in_order_of_first_appearance(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    for keys in (["b", "a", "b"], ["c"], ["a", "b"]):
        start = table.row_count()
        rows = [{"key": key, "value": start + at} for at, key in enumerate(keys)]
        table.append(pa.Table.from_pylist(rows, schema=SCHEMA))
    assert table.current("key", ["key", "value"]).to_pylist() == [
        {"key": "b", "value": 5},
        {"key": "a", "value": 4},
        {"key": "c", "value": 3},
    ]


def test_columns_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    table.append(rows(range(3)))
    assert table.read(["value", "key"]).column_names == ["value", "key"]


def test_rows_with_a_null_where_the_schema_forbids_it_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        table.append(rows([1]).set_column(0, "key", pa.array([None], pa.string())))
    assert file_names(table) == []


def test_the_version_changes_with_every_append_and_with_nothing_else(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    seen = set()
    for n in range(20):
        table.append(numbers(n))
        version = table.version()
        table.sweep()
        table.row_count()
        assert table.version() == version
        seen.add(tuple(version))
    assert len(seen) == 20


# Schema evolution.


def test_a_column_that_older_parts_lack_is_null_there_and_stays_so_through_a_merge(tmp_path: Path) -> None:
    for n in range(5):
        Table(tmp_path, NUMBERS).append(numbers(n))
    newer = Table(tmp_path, NUMBERS.append(pa.field("tags", pa.list_(pa.string()))))
    expected = [{"n": n, "tags": None} for n in range(5)]
    assert newer.read().to_pylist() == expected
    assert newer.read(["tags"]).to_pylist() == [{"tags": None}] * 5
    for n in range(5, 9):
        expected.append({"n": n, "tags": ["new"]})  # type: ignore[dict-item]
        newer.append(pa.Table.from_pylist(expected[-1:], schema=newer.schema))
    assert [part.width for part in newer.parts()] == [8, 1]
    assert newer.read().to_pylist() == expected
    assert newer.read().schema == newer.schema


# Other readers.


def test_pandas_duckdb_and_polars_read_the_parts_without_our_code(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", SCHEMA)
    for start in range(0, 27, 3):
        table.append(rows(range(start, start + 3)))
    table.sweep()
    ours = table.read().to_pylist()
    assert len(file_names(table)) == 2
    pattern = str(table.folder / "part-*.parquet")

    frame = pd.concat([pd.read_parquet(part.path) for part in table.parts()], ignore_index=True)
    assert frame["key"].tolist() == [row["key"] for row in ours]
    assert [None if tags is None else list(tags) for tags in frame["tags"]] == [row["tags"] for row in ours]
    assert frame["at"].dt.to_pydatetime().tolist() == [row["at"] for row in ours]

    polars = pl.read_parquet(pattern).to_dicts()
    assert polars == ours

    duck = duckdb.connect()
    duck.execute("set timezone = 'UTC'")
    columns, order = 'key, value, tags, epoch_us("at")', 'filename, "at"'
    query = f"select {columns} from read_parquet('{pattern}', filename = true) order by {order}"
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert duck.execute(query).fetchall() == [
        (row["key"], row["value"], row["tags"], (row["at"] - epoch) // timedelta(microseconds=1)) for row in ours
    ]
