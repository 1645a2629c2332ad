"""A dataset folder is opened only when it is one, and its current view has one row per photo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import schema
from manifests.dataset import CRAWL_LOCK, Dataset
from manifests.errors import LockedError, SetupError
from manifests.records import File, Photo, Sighting

NOW = datetime(2024, 2, 3, 4, 5, 6, 789, UTC)


def _new(tmp_path: Path) -> Dataset:
    return Dataset.open_or_create(tmp_path / "set", "0.1.0")


def _add(dataset: Dataset, *rows: Photo | Sighting | File) -> None:
    """Each row as an append of its own."""
    for row in rows:
        table = {Photo: dataset.photos_table, Sighting: dataset.sightings_table, File: dataset.files_table}[type(row)]
        table.append(pa.Table.from_pylist([asdict(row)], schema=table.schema))


def _photo(name: str, **more: object) -> Photo:
    return Photo(photo_id=f"folder:a/{name}", source="folder", source_id=f"a/{name}", seen_at=NOW, **more)  # type: ignore[arg-type]


def _sighting(name: str, query: str, rank: int = 0) -> Sighting:
    return Sighting(f"folder:a/{name}", "folder", query, rank, NOW)


# Opening.


def test_a_new_dataset_says_what_it_is_and_opens_again(tmp_path: Path) -> None:
    dataset = _new(tmp_path)
    facts = json.loads((dataset.root / "dataset.json").read_text())
    assert (facts["format"], facts["name"], facts["toolkit"]) == (schema.FORMAT, "set", "0.1.0")
    assert datetime.fromisoformat(facts["created_at"]).tzinfo is not None
    before = (dataset.root / "dataset.json").read_bytes()
    assert Dataset.open_or_create(dataset.root, "0.2.0") == Dataset.open(dataset.root) == dataset
    assert (dataset.root / "dataset.json").read_bytes() == before
    assert [path.name for path in dataset.root.iterdir()] == ["dataset.json"]


@pytest.mark.parametrize("more", [{"generations": {}}, {}, {"generations": ["other", "layout"]}])
def test_a_newer_format_is_refused_with_both_versions_whatever_else_it_holds(
    tmp_path: Path, more: dict[str, object]
) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"format": 7, "toolkit": "9.4", **more}))
    for opening in (Dataset.open, lambda root: Dataset.open_or_create(root, "0.1.0")):
        with pytest.raises(SetupError, match=r"format 7, made by LHQ Toolkit 9\.4.* up to 1: upgrade"):
            opening(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"format": 1}',
        b'{"format": "one", "generations": {}}',
        b'{"format": null, "generations": {}}',
        b'{"format": 1e999, "generations": {}}',
        b'{"format": 1, "generations": []}',
        b'{"format": 1, "generations": {"photos": "two"}}',
    ],
)
def test_a_damaged_dataset_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(SetupError, match=r"dataset\.json is damaged"):
        Dataset.open(tmp_path)


def test_what_is_not_a_dataset_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="not a dataset"):
        Dataset.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(SetupError, match="not a dataset"):
        Dataset.open(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(SetupError, match="holds other files"):
        Dataset.open_or_create(tmp_path, "0.1.0")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]
    with pytest.raises(SetupError, match="is a file"):
        Dataset.open_or_create(tmp_path / "photo.jpg", "0.1.0")
    with pytest.raises(SetupError, match="not a dataset"):
        Dataset.open(tmp_path / "photo.jpg")


def test_an_empty_folder_and_missing_parents_become_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    Dataset.open_or_create(tmp_path / "empty", "0.1.0")
    Dataset.open_or_create(tmp_path / "a" / "b" / "c", "0.1.0")


def test_a_creation_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    killed = """
import os, sys
from pathlib import Path
from manifests import atomic
from manifests.dataset import Dataset
atomic.fsync = lambda path: path.is_dir() or os.kill(os.getpid(), 9)  # the file is written, not yet named
Dataset.open_or_create(Path(sys.argv[1]), "0.1.0")
"""
    root = tmp_path / "set"
    assert subprocess.run([sys.executable, "-c", killed, root], check=False).returncode == -signal.SIGKILL
    assert [path.name.startswith(".tmp-") for path in root.iterdir()] == [True]
    assert Dataset.open_or_create(root, "0.1.0").root == root


def test_a_later_generation_is_read_where_dataset_json_names_it(tmp_path: Path) -> None:
    dataset = _new(tmp_path)
    _add(dataset, _photo("old.jpg"))
    facts = json.loads((dataset.root / "dataset.json").read_text())
    facts["generations"] = {"photos": 2}
    (dataset.root / "dataset.json").write_text(json.dumps(facts))
    later = Dataset.open(dataset.root)
    assert later.photos().num_rows == 0
    _add(later, _photo("new.jpg"))
    assert later.photos()["photo_id"].to_pylist() == ["folder:a/new.jpg"]
    assert dataset.photos()["photo_id"].to_pylist() == ["folder:a/old.jpg"]


def test_a_lock_sweeps_the_tables_it_guards_and_leaves_others_alone(tmp_path: Path) -> None:
    dataset = _new(tmp_path)
    _add(dataset, _photo("a.jpg"), _sighting("a.jpg", "sea"))
    for table in (dataset.photos_table, dataset.sightings_table):
        (table.folder / ".tmp-1-x-part").write_bytes(b"half")
    with dataset.lock(CRAWL_LOCK, [dataset.photos_table]):
        assert not (dataset.photos_table.folder / ".tmp-1-x-part").exists()
        assert (dataset.sightings_table.folder / ".tmp-1-x-part").exists()
        with pytest.raises(LockedError, match=str(os.getpid())), dataset.lock(CRAWL_LOCK):
            pass


# The current view.


def test_an_empty_dataset_has_every_view_with_all_its_columns(tmp_path: Path) -> None:
    dataset = _new(tmp_path)
    photos = dataset.photos()
    assert photos.num_rows == 0
    assert photos.column_names == [*schema.PHOTOS.names, "queries"]
    assert photos.schema.field("queries").type == pa.list_(pa.string())
    assert dataset.files().schema == schema.FILES
    assert dataset.with_queries(photos.drop_columns("queries")).equals(photos)
    both = dataset.photos_with_files()
    assert both.num_rows == 0
    renamed = [f"file_{name}" for name in ("status", "bytes", "format", "width", "height", "error")]
    assert both.column_names == [*schema.PHOTOS.names, "sha256", "path", *renamed]
    assert dataset.measurements_table("objects", {"area": pa.float32()}).read().num_rows == 0
    assert [path.name for path in dataset.root.iterdir()] == ["dataset.json"]  # looking writes nothing


def test_photos_without_files_and_files_without_photos(tmp_path: Path) -> None:
    dataset = _new(tmp_path)
    _add(dataset, _photo("a.jpg"), _sighting("a.jpg", "sea"))
    rows = dataset.with_queries(dataset.photos_with_files())
    assert rows.select(["photo_id", "queries", "sha256", "file_status"]).to_pylist() == [
        {"photo_id": "folder:a/a.jpg", "queries": ["sea"], "sha256": None, "file_status": None}
    ]
    _add(dataset, File("folder:a/other.jpg", NOW, schema.OK, sha256="ff"))
    assert dataset.photos_with_files().num_rows == 1


def test_each_photo_has_its_own_latest_file(tmp_path: Path) -> None:
    dataset = _new(tmp_path)
    _add(dataset, _photo("a.jpg", width=1), _photo("b.jpg", width=2))
    _add(dataset, File("folder:a/b.jpg", NOW, schema.FAILED, error="late", http_status=500))
    _add(dataset, File("folder:a/a.jpg", NOW, schema.GIVEN_UP, error="broken"))
    _add(dataset, File("folder:a/b.jpg", NOW, schema.OK, "ab", "images/ab/ab.jpg", 10, "jpeg", 30, 20))
    rows = dataset.photos_with_files().to_pylist()
    assert [(row["photo_id"][-5:], row["width"], row["file_status"], row["file_error"]) for row in rows] == [
        ("a.jpg", 1, "given_up", "broken"),
        ("b.jpg", 2, "ok", None),
    ]
    assert (rows[1]["sha256"], rows[1]["file_bytes"], rows[1]["file_width"], rows[1]["file_height"]) == (
        "ab",
        10,
        30,
        20,
    )
    assert (rows[1]["path"], rows[1]["file_format"]) == ("images/ab/ab.jpg", "jpeg")


def test_a_row_keeps_every_value_of_its_photo(tmp_path: Path) -> None:
    dataset = _new(tmp_path)
    photo = _photo(
        "a.jpg",
        tags_raw=("Sea", "Fjord é"),
        tags=("sea",),
        taken_at=NOW,
        title="x\n\0y",
        extra='{"a": [1]}',
        width=2**31 - 1,
    )
    _add(dataset, photo)
    expected = {**asdict(photo), "tags_raw": ["Sea", "Fjord é"], "tags": ["sea"], "queries": None}
    assert dataset.photos().to_pylist() == [expected]


names = st.sampled_from(["a", "b", "c", "d"])
queries = st.sampled_from(["sea", "Sea", "fjord", "é", ""])
events = st.one_of(
    st.tuples(st.just("photo"), names, st.integers(0, 9)),
    st.tuples(st.just("sighting"), names, queries),
    st.tuples(st.just("file"), names, st.sampled_from(["ok", "failed", "given_up"])),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(events, max_size=14))
def test_the_view_is_the_last_of_each_with_all_queries_sorted(events: list[tuple[str, str, int | str]]) -> None:
    photos: dict[str, object] = {}
    found: dict[str, set[str]] = {}
    files: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset.open_or_create(Path(folder) / "set", "0.1.0")
        for kind, name, value in events:
            if kind == "photo":
                photos[name] = value
                _add(dataset, _photo(name, width=value))
            elif kind == "sighting":
                found.setdefault(name, set()).add(str(value))
                _add(dataset, _sighting(name, str(value)))
            else:
                files[name] = value
                _add(dataset, File(f"folder:a/{name}", NOW, str(value)))
        rows = dataset.with_queries(dataset.photos_with_files()).to_pylist()
        assert [
            (row["source_id"].removeprefix("a/"), row["width"], row["queries"], row["file_status"]) for row in rows
        ] == [
            (name, width, sorted(found[name]) if name in found else None, files.get(name))
            for name, width in photos.items()
        ]


def test_a_file_in_place_of_a_dataset_is_told_as_one(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(SetupError, match=r"a\.txt is a file and not a dataset: name the folder"):
        Dataset.open(tmp_path / "a.txt")
