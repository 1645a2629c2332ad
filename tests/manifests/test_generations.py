"""A rewritten table changes at once, for readers and for those who write next."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pyarrow as pa
import pytest

from manifests import generations
from manifests.dataset import Dataset
from manifests.errors import SetupError
from manifests.tables import Table

NUMBERS = pa.schema([pa.field("n", pa.int64(), nullable=False)])


def _dataset(tmp_path: Path, appends: int = 20) -> tuple[Dataset, Table]:
    dataset = Dataset.open_or_create(tmp_path / "d", "0.1.0")
    table = dataset.table("numbers", NUMBERS)
    for n in range(appends):
        table.append(pa.table({"n": [n, 100 + n]}, schema=NUMBERS))
    return dataset, table


def _rewrite(dataset: Dataset, table: Table, *without: int) -> None:
    new = generations.begin(table)
    generations.copy_without(table, new, "n", pa.array(without, pa.int64()))
    generations.name(dataset.root, {"numbers": new})


def test_a_copy_has_the_same_parts_without_the_rows(tmp_path: Path) -> None:
    _, table = _dataset(tmp_path)
    before = table.read()["n"].to_pylist()
    new = generations.begin(table)
    assert generations.copy_without(table, new, "n", pa.array([3, 117, 999], pa.int64())) == 2
    copy = Table(new, NUMBERS)
    assert copy.read()["n"].to_pylist() == [n for n in before if n not in (3, 117)]
    assert copy.version() == table.version()
    shared = [one.path.samefile(other.path) for one, other in zip(table.parts(), copy.parts(), strict=True)]
    assert True in shared
    assert False in shared


def test_a_part_that_loses_all_its_rows_leaves_no_gap(tmp_path: Path) -> None:
    _, table = _dataset(tmp_path, appends=3)
    new = generations.begin(table)
    generations.copy_without(table, new, "n", pa.array([1, 101], pa.int64()))
    assert Table(new, NUMBERS).read()["n"].to_pylist() == [0, 100, 2, 102]


def test_naming_changes_the_current_generation_and_keeps_every_other_fact(tmp_path: Path) -> None:
    dataset, table = _dataset(tmp_path)
    before = json.loads((dataset.root / "dataset.json").read_text())
    _rewrite(dataset, table, 3)
    after = json.loads((dataset.root / "dataset.json").read_text())
    assert after["generations"] == {**before["generations"], "numbers": 2}
    assert {**after, "generations": None} == {**before, "generations": None}
    assert 3 not in Dataset.open(dataset.root).table("numbers", NUMBERS).read()["n"].to_pylist()


def test_whoever_opened_the_dataset_before_a_rewrite_may_neither_write_nor_read_nothing(tmp_path: Path) -> None:
    dataset, table = _dataset(tmp_path)
    _rewrite(dataset, table, 3)
    with pytest.raises(SetupError, match="rewritten by a take-down"), dataset.lock("x", [table]):
        pytest.fail("entered")
    now = Dataset.open(dataset.root)
    with now.lock("x", [now.table("numbers", NUMBERS)]):
        assert not table.folder.exists()
    with pytest.raises(SetupError, match="was replaced by a take-down"):
        table.read()


def test_leftovers_of_a_killed_rewrite_are_swept_at_the_next_locked_start(tmp_path: Path) -> None:
    dataset, table = _dataset(tmp_path)
    generations.copy_without(table, generations.begin(table), "n", pa.array([3], pa.int64()))
    (table.folder.with_name(".tmp-1-ab-1")).mkdir()
    before = table.read()
    with dataset.lock("x", [table]):
        assert [path.name for path in table.folder.parent.iterdir()] == ["1"]
    assert table.read().equals(before)


def test_an_old_generation_goes_also_where_it_cannot_be_renamed(tmp_path: Path, monkeypatch) -> None:
    dataset, table = _dataset(tmp_path)
    _rewrite(dataset, table, 3)

    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(Path, "rename", fails)
    now = Dataset.open(dataset.root).table("numbers", NUMBERS)
    generations.sweep(now)
    assert [path.name for path in now.folder.parent.iterdir()] == ["2"]


def test_an_older_copy_of_dataset_json_costs_nothing_but_an_error(tmp_path: Path) -> None:
    dataset, table = _dataset(tmp_path)
    old = (dataset.root / "dataset.json").read_bytes()
    _rewrite(dataset, table, 3)
    now = Dataset.open(dataset.root)
    with now.lock("x", [now.table("numbers", NUMBERS)]):
        pass
    (dataset.root / "dataset.json").write_bytes(old)
    with pytest.raises(SetupError, match="older copy"), dataset.lock("x", [table]):
        pytest.fail("entered")
    assert (table.folder.with_name("2")).is_dir()
