"""Tables lose no row that was committed when writers die, parts are damaged or lost, or the disk is full."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from disks import disk
from tabling import NUMBERS, SCHEMA, file_names, numbers, rows

from manifests import tables
from manifests.errors import SetupError
from manifests.tables import Table

BLOBS = pa.schema([pa.field("blob", pa.binary())])


def test_leftovers_of_interrupted_writes_are_ignored_and_swept(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    table.append(numbers(1, 2))
    (tmp_path / ".tmp-12-abcd-part-000000002-000000002.parquet").write_bytes(b"PAR1 half")
    (tmp_path / "notes.txt").write_text("mine")
    assert table.read()["n"].to_pylist() == [1, 2]
    table.append(numbers(3))
    table.sweep()
    assert file_names(table) == [
        "notes.txt",
        "part-000000001-000000001.parquet",
        "part-000000002-000000002.parquet",
    ]


def test_a_part_inside_anothers_range_is_ignored_and_swept(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(10):
        table.append(numbers(n))
    covered = [name for name in file_names(table) if name.endswith("-000000008.parquet")]
    assert covered[0].startswith("part-000000001")
    assert len(file_names(table)) > 3  # what was merged is still there
    pq.write_table(numbers(99), tmp_path / "part-000000003-000000006.parquet")
    assert table.read()["n"].to_pylist() == list(range(10))
    table.sweep()
    assert [part.width for part in table.parts()] == [8, 1, 1]
    assert len(file_names(table)) == 3
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
    assert any(name.startswith(".tmp-") for name in file_names(table))
    table.sweep()
    assert not any(name.startswith(".tmp-") for name in file_names(table))
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
        table.append(numbers(n))
    conform, slept = tables._conform, []

    def slow(rows: pa.Table, schema: pa.Schema) -> pa.Table:
        if not slept:
            slept.append(True)
            writer = Table(tmp_path, NUMBERS)
            writer.append(numbers(7))
            writer.sweep()
            assert [part.width for part in writer.parts()] == [8]
        return conform(rows, schema)

    monkeypatch.setattr(tables, "_conform", slow)
    monkeypatch.setattr(tables, "_READ_ATTEMPTS", 1)
    assert table.read()["n"].to_pylist() == list(range(7))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"garbage" * 100, b"PAR1" + bytes(50) + b"PAR1"])
def test_a_damaged_part_is_named_by_every_reader(tmp_path: Path, content: bytes) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(3):
        table.append(numbers(n))
    damaged = table.parts()[1].path
    damaged.write_bytes(content)
    for read in (table.read, table.row_count, lambda: table.current("n")):
        with pytest.raises(SetupError, match=damaged.name):
            read()


def test_a_part_cut_short_anywhere_is_named(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    table.append(rows(range(30)))
    path = table.parts()[0].path
    data = path.read_bytes()
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(SetupError, match=path.name):
            table.read()


def test_a_flipped_bit_in_the_rows_is_never_read_as_data(tmp_path: Path) -> None:
    table = Table(tmp_path, SCHEMA)
    table.append(rows(range(200)))
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
    table.append(rows(range(200)))
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
        table.append(numbers(n))
    damaged = table.parts()[3].path
    data = damaged.read_bytes()
    damaged.write_bytes(data[:4] + b"\xff" * 20 + data[24:])
    with pytest.raises(SetupError, match=damaged.name):
        table.append(numbers(7))
    damaged.write_bytes(data)  # from the backup
    assert table.read()["n"].to_pylist() == list(range(8))


def test_a_lost_part_is_missed(tmp_path: Path) -> None:
    table = Table(tmp_path, NUMBERS)
    for n in range(5):
        table.append(numbers(n))
    table.parts()[2].path.unlink()
    with pytest.raises(SetupError, match="append 3 is missing"):
        table.read()
    with pytest.raises(SetupError, match="append 3 is missing"):
        table.row_count()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "disk", "256k") as place:
        yield place


def _blobs(size: int) -> pa.Table:
    return pa.table({"blob": pa.array([os.urandom(size)], pa.binary())}, schema=BLOBS)


def test_an_append_that_does_not_fit_on_the_disk_leaves_the_table_as_it_was(tiny_disk: Path) -> None:
    table = Table(tiny_disk / "t", BLOBS)
    first = _blobs(60_000)
    table.append(first)
    names = file_names(table)
    with pytest.raises(OSError, match="No space left"):
        table.append(_blobs(400_000))
    assert file_names(table) == names
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
    assert not any(name.startswith(".tmp-") for name in file_names(table))
    assert table.read().equals(pa.concat_tables(rows[:8]))
    subprocess.run(["mount", "-o", "remount,size=2m", tiny_disk], check=True)
    table.append(rows[8])
    assert table.read().equals(pa.concat_tables(rows))
    assert len(table.parts()) == 2


def test_a_disk_that_fails_to_sync_leaves_the_table_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path, NUMBERS)
    table.append(numbers(1))

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="Input/output"):
            table.append(numbers(2))
    assert file_names(table) == ["part-000000001-000000001.parquet"]
    assert table.read()["n"].to_pylist() == [1]
