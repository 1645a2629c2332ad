"""Tables read back what was appended, whatever is merged, swept, interrupted or damaged meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import tables
from manifests.errors import SetupError
from manifests.tables import Table, latest, latest_at, not_in, sorted_by, take

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("value", pa.int64()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)
NUMBERS = pa.schema([pa.field("n", pa.int64(), nullable=False)])
BLOBS = pa.schema([pa.field("blob", pa.binary())])
START = datetime(2021, 5, 1, 12, 30, 15, 123456, UTC)


def _row(n: int) -> dict[str, object]:
    return {
        "key": f"k{n % 7}",
        "value": None if n % 5 == 0 else n,
        "tags": None if n % 4 == 0 else ["fjord", "é" * (n % 3)][: n % 3],
        "at": START + timedelta(seconds=n),
    }


def _rows(numbers: Sequence[int]) -> pa.Table:
    return pa.Table.from_pylist([_row(n) for n in numbers], schema=SCHEMA)


def _numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())}, schema=NUMBERS)


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


def _names(table: Table) -> list[str]:
    return sorted(path.name for path in table.folder.iterdir())


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
                table.append(_rows(new))
            assert table.read().equals(_rows(appended))
            assert pa.Table.from_batches(table.batches(SCHEMA.names), SCHEMA).equals(_rows(appended))
            assert table.row_count() == len(appended)
        last = {_row(n)["key"]: n for n in appended}
        assert table.current("key").equals(_rows([last[key] for key in last]))
        widths = [part.width for part in table.parts()]
        assert all(widths.count(width) < fan_in for width in widths)
        table.sweep()
        assert len(_names(table)) == len(widths) if table.folder.exists() else not appended


def test_seventy_three_appends_become_one_part_of_64_one_of_8_and_one(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(73):
        table.append(_numbers(n))
    assert [(part.first, part.last) for part in table.parts()] == [(1, 64), (65, 72), (73, 73)]
    assert table.read()["n"].to_pylist() == list(range(73))


@pytest.mark.parametrize("appends", [600, pytest.param(4_096, marks=pytest.mark.long)])
def test_many_small_appends_are_never_many_parts(tmp_path: Path, appends: int) -> None:
    """As many live parts as the digits of their number in base eight add up to, and few files besides."""
    table, most_files = Table(tmp_path, NUMBERS), 0
    for n in range(1, appends + 1):
        table.append(_numbers(2 * n, 2 * n + 1))
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
        table.append(_numbers(n))
    assert [part.width for part in table.parts()] == [1] * 20
    assert table.read()["n"].to_pylist() == list(range(20))


def test_rows_over_several_row_groups_keep_their_order_through_a_merge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP", 10)
    table = Table(tmp_path, NUMBERS)
    for start in range(0, 8 * 37, 37):
        table.append(_numbers(*range(start, start + 37)))
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


@given(st.lists(st.text("abc", max_size=2), max_size=30), st.lists(st.text("abc", max_size=2), max_size=5))
def test_latest_and_not_in_agree_with_a_dictionary_and_a_set(keys: list[str], known: list[str]) -> None:
    rows = pa.table({"key": pa.array(keys, pa.string()), "n": pa.array(range(len(keys)), pa.int64())})
    assert latest(rows, "key").to_pylist() == [
        {"key": key, "n": n} for key, n in {key: n for n, key in enumerate(keys)}.items()
    ]
    kept = not_in(rows, "key", pa.chunked_array([pa.array(known, pa.string())]))
    assert kept["n"].to_pylist() == [n for n, key in enumerate(keys) if key not in known]


def test_columns_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    table.append(_rows(range(3)))
    assert table.read(["value", "key"]).column_names == ["value", "key"]


def test_rows_with_a_null_where_the_schema_forbids_it_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        table.append(_rows([1]).set_column(0, "key", pa.array([None], pa.string())))
    assert _names(table) == []


def test_the_version_changes_with_every_append_and_with_nothing_else(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    seen = set()
    for n in range(20):
        table.append(_numbers(n))
        version = table.version()
        table.sweep()
        table.row_count()
        assert table.version() == version
        seen.add(tuple(version))
    assert len(seen) == 20


# Leftovers.


def test_leftovers_of_interrupted_writes_are_ignored_and_swept(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    table.append(_numbers(1, 2))
    (tmp_path / ".tmp-12-abcd-part-000000002-000000002.parquet").write_bytes(b"PAR1 half")
    (tmp_path / "notes.txt").write_text("mine")
    assert table.read()["n"].to_pylist() == [1, 2]
    table.append(_numbers(3))
    table.sweep()
    assert _names(table) == [
        "notes.txt",
        "part-000000001-000000001.parquet",
        "part-000000002-000000002.parquet",
    ]


def test_a_part_inside_anothers_range_is_ignored_and_swept(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(10):
        table.append(_numbers(n))
    covered = [name for name in _names(table) if name.endswith("-000000008.parquet")]
    assert covered[0].startswith("part-000000001")
    assert len(_names(table)) > 3  # what was merged is still there
    pq.write_table(_numbers(99), tmp_path / "part-000000003-000000006.parquet")
    assert table.read()["n"].to_pylist() == list(range(10))
    table.sweep()
    assert [part.width for part in table.parts()] == [8, 1, 1]
    assert len(_names(table)) == 3
    assert table.read()["n"].to_pylist() == list(range(10))


WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from manifests.tables import Table
table = Table(Path(sys.argv[1]), pa.schema([pa.field("n", pa.int64(), nullable=False)]))
for n in range(table.row_count(), int(sys.argv[2])):
    table.append(pa.table({"n": [n]}, schema=table.schema))
    if n % 10 == 0:
        table.sweep()
"""


def _writer(folder: Path, until: int, fault: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, folder, str(until)], env={**os.environ, "LHQ_FAULT": fault})


@pytest.mark.parametrize(
    ("fault", "kept"),
    [("part.write.inside:1", 0), ("part.write.inside:9", 8), ("part.merge.before_rename:1", 8)],
)
def test_a_killed_writer_loses_only_the_append_it_was_in(tmp_path: Path, fault: str, kept: int) -> None:
    folder = tmp_path / "t"
    assert _writer(folder, 20, fault).wait(60) == -signal.SIGKILL
    table = Table(folder, NUMBERS)
    assert table.read()["n"].to_pylist() == list(range(kept))
    assert any(name.startswith(".tmp-") for name in _names(table))
    table.sweep()
    assert not any(name.startswith(".tmp-") for name in _names(table))
    assert _writer(folder, 20).wait(60) == 0
    assert table.read()["n"].to_pylist() == list(range(20))
    assert len(table.parts()) <= 2 * tables.FAN_IN


def test_readers_never_see_an_error_or_a_lost_or_doubled_row_while_a_writer_appends_merges_and_sweeps(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "t"
    reading = threading.Event()

    def read(_: int) -> int:
        table, reads, length = Table(folder, NUMBERS), 0, 0
        while reading.is_set():
            values = table.read()["n"].to_pylist()
            assert values == list(range(len(values))), values
            assert len(values) >= length, "rows that were there have gone"
            assert table.row_count() >= len(values)
            length, reads = len(values), reads + 1
        assert table.read().num_rows == 300
        return reads

    reading.set()
    with ThreadPoolExecutor(3) as threads:
        readers = [threads.submit(read, n) for n in range(3)]
        code = _writer(folder, 300).wait(120)
        reading.clear()
        assert code == 0
        assert sum(reader.result() for reader in readers) > 20


def test_a_slow_read_goes_on_though_its_parts_are_merged_and_swept_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large table takes longer to read than a part lives; it must not begin anew each time."""
    table = Table(tmp_path, NUMBERS)
    for n in range(7):
        table.append(_numbers(n))
    conform, slept = tables._conform, []

    def slow(rows: pa.Table, schema: pa.Schema) -> pa.Table:
        if not slept:
            slept.append(True)
            writer = Table(tmp_path, NUMBERS)
            writer.append(_numbers(7))
            writer.sweep()
            assert [part.width for part in writer.parts()] == [8]
        return conform(rows, schema)

    monkeypatch.setattr(tables, "_conform", slow)
    monkeypatch.setattr(tables, "_READ_ATTEMPTS", 1)
    assert table.read()["n"].to_pylist() == list(range(7))


# Schema evolution.


def test_a_column_that_older_parts_lack_is_null_there_and_stays_so_through_a_merge(tmp_path: Path) -> None:
    for n in range(5):
        Table(tmp_path, NUMBERS).append(_numbers(n))
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


# Damage.


@pytest.mark.parametrize("content", [b"", b"PAR1", b"garbage" * 100, b"PAR1" + bytes(50) + b"PAR1"])
def test_a_damaged_part_is_named_by_every_reader(tmp_path: Path, content: bytes) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(3):
        table.append(_numbers(n))
    damaged = table.parts()[1].path
    damaged.write_bytes(content)
    for read in (table.read, table.row_count, lambda: table.current("n")):
        with pytest.raises(SetupError, match=damaged.name):
            read()


def test_a_part_cut_short_anywhere_is_named(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    table.append(_rows(range(30)))
    path = table.parts()[0].path
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(SetupError, match=path.name):
            table.read()


def test_a_flipped_bit_in_the_rows_is_never_read_as_data(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    table.append(_rows(range(200)))
    path = table.parts()[0].path
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    whole = table.read()
    found = 0
    for at in range(4, footer, 7):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        try:
            read = table.read()
        except SetupError as error:
            found += path.name in str(error)
        else:
            assert read.equals(whole)
    assert found > 50


def test_a_flipped_bit_in_a_footer_gives_no_error_but_ours(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    table.append(_rows(range(200)))
    path = table.parts()[0].path
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for at in range(footer, len(data), 11):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :])
        with contextlib.suppress(SetupError):
            table.read()


def test_a_damaged_part_stops_a_merge_without_losing_a_row(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(7):
        table.append(_numbers(n))
    damaged = table.parts()[3].path
    data = damaged.read_bytes()
    damaged.write_bytes(data[:4] + b"\xff" * 20 + data[24:])
    with pytest.raises(SetupError, match=damaged.name):
        table.append(_numbers(7))
    damaged.write_bytes(data)  # from the backup
    assert table.read()["n"].to_pylist() == list(range(8))


def test_a_lost_part_is_missed(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(5):
        table.append(_numbers(n))
    table.parts()[2].path.unlink()
    with pytest.raises(SetupError, match="append 3 is missing"):
        table.read()
    with pytest.raises(SetupError, match="append 3 is missing"):
        table.row_count()


# A full disk.


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", place], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def _blobs(size: int) -> pa.Table:
    return pa.table({"blob": pa.array([os.urandom(size)], pa.binary())}, schema=BLOBS)


def test_an_append_that_does_not_fit_on_the_disk_leaves_the_table_as_it_was(tiny_disk: Path) -> None:
    table = Table(tiny_disk / "t", BLOBS)
    first = _blobs(60_000)
    table.append(first)
    names = _names(table)
    with pytest.raises(OSError, match="No space left"):
        table.append(_blobs(400_000))
    assert _names(table) == names
    assert table.read().equals(first)
    second = _blobs(60_000)
    table.append(second)  # what fits still goes in
    assert table.read().equals(pa.concat_tables([first, second]))


def test_a_merge_that_does_not_fit_on_the_disk_loses_nothing_and_is_done_later(tiny_disk: Path) -> None:
    table = Table(tiny_disk / "t", BLOBS)
    rows = [_blobs(20_000) for _ in range(9)]
    for row in rows[:7]:
        table.append(row)
    with pytest.raises(OSError, match="No space left"):
        table.append(rows[7])
    assert [part.width for part in table.parts()] == [1] * 8
    assert not any(name.startswith(".tmp-") for name in _names(table))
    assert table.read().equals(pa.concat_tables(rows[:8]))
    subprocess.run(["mount", "-o", "remount,size=2m", tiny_disk], check=True)
    table.append(rows[8])
    assert table.read().equals(pa.concat_tables(rows))
    assert len(table.parts()) == 2


def test_a_disk_that_fails_to_sync_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path, NUMBERS)
    table.append(_numbers(1))

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            table.append(_numbers(2))
    assert _names(table) == ["part-000000001-000000001.parquet"]
    assert table.read()["n"].to_pylist() == [1]


# Other readers.


def test_pandas_duckdb_and_polars_read_the_parts_without_our_code(tmp_path: Path) -> None:
    table = Table(tmp_path / "t", SCHEMA)
    for start in range(0, 27, 3):
        table.append(_rows(range(start, start + 3)))
    table.sweep()
    ours = table.read().to_pylist()
    assert len(_names(table)) == 2
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


@given(st.lists(st.integers(0, 5), max_size=12), st.lists(st.integers(0, 6), max_size=8), st.integers(0, 12))
def test_the_last_row_of_each_wanted_key_is_found(keys: list[int], wanted: list[int], cut: int) -> None:
    names = [str(key) for key in keys]
    chunked = pa.chunked_array([names[:cut], names[cut:]], pa.string())
    expected = [max((at for at, key in enumerate(keys) if key == one), default=None) for one in wanted]
    assert latest_at(pa.array(map(str, wanted), pa.string()), chunked).to_pylist() == expected


def test_text_too_long_for_offsets_of_32_bits_can_be_taken_from(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({"n": [1, 2, 3], "text": ["a", None, "c" * 99], "tags": [["x" * 50], [], ["y" * 50]]})
    monkeypatch.setattr(tables, "LARGE_BYTES", 60)
    taken = take(rows, pa.array([2, None, 0]))
    assert taken.to_pylist() == [rows.to_pylist()[2], {"n": None, "text": None, "tags": None}, rows.to_pylist()[0]]
    assert taken.schema.types == [pa.int64(), pa.large_string(), pa.large_list(pa.large_string())]
    assert sorted_by(rows, "text")["n"].to_pylist() == [1, 3, 2]


@pytest.mark.long
def test_three_gigabytes_of_text_can_be_taken_from() -> None:
    column = pa.chunked_array([pa.array(["x" * 2**20] * 256)] * 12)
    rows = pa.table({"n": np.arange(len(column)), "text": column})
    assert take(rows, pa.array([5, 3000]))["text"].to_pylist() == ["x" * 2**20] * 2
