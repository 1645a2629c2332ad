"""Delimited files in parts are read cell for cell, whatever is quoted in them, and what is no table says so."""

from __future__ import annotations

import csv
import io
import tempfile
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import SetupError
from pipelines.sources import delimited
from pipelines.sources.delimited import find, rows

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=12)


def _table(header: list[str], *lines: list[str], delimiter: str = "\t") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([header, *lines])
    return out.getvalue()


def _read(path: Path, columns: list[str], skipped: Counter[str] | None = None) -> list[list[str]]:
    return list(rows(find(path, "photos"), columns, columns[:1], skipped if skipped is not None else Counter()))


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=8),
    delimiter=st.sampled_from("\t,"),
    zipped=st.booleans(),
    cut=st.integers(0, 8),
)
def test_any_cells_come_back_from_a_folder_or_a_zip_of_parts(
    lines: list[list[str]], delimiter: str, zipped: bool, cut: int
) -> None:
    header = ["photo_id", "b", "c"]
    parts = {"photos.tsv000": lines[:cut], "photos.tsv001": lines[cut:]}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, some in parts.items():
            (place / name).write_text(_table(header, *some, delimiter=delimiter), encoding="utf-8", newline="")
        if zipped:
            place = place / "all.zip"
            with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in parts:
                    archive.write(Path(folder) / name, f"release/{name}")
        assert _read(place, ["photo_id", "b", "c"]) == lines
        assert _read(place, ["c", "none", "photo_id"]) == [[c, "", a] for a, _, c in lines]


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text('photo_id\t\n\r",x\0', max_size=60).map(str.encode)))
def test_any_bytes_are_rows_or_a_clear_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "photos.tsv000").write_bytes(b"photo_id\tb\n" + data)
        (Path(folder) / "photos.tsv001").write_bytes(data)
        told = "photos.tsv00"
        try:
            assert all(len(one) == 2 for one in _read(Path(folder), ["photo_id", "b"]))
        except SetupError as error:
            told = str(error)
        assert "photos.tsv00" in told


def test_parts_are_taken_by_number_and_others_left(tmp_path: Path) -> None:
    for name in ("photos.tsv010", "photos.tsv2", "photos.csv001", "photos.tsv", "photos.tsv000.gz", "a.photos.tsv000"):
        (tmp_path / name).write_text("photo_id\n")
    (tmp_path / "photos.tsv005").mkdir()
    assert [part.place.name for part in find(tmp_path, "photos")] == [
        "photos.tsv",
        "photos.csv001",
        "photos.tsv2",
        "photos.tsv010",
    ]


def test_columns_of_a_later_part_may_stand_otherwise_or_not_be_named(tmp_path: Path) -> None:
    (tmp_path / "photos.tsv000").write_text("photo_id\tb\n1\tx\n")
    (tmp_path / "photos.tsv001").write_text("b\tphoto_id\ny\t2\n")
    (tmp_path / "photos.tsv002").write_text("z\t3\n")
    assert _read(tmp_path, ["photo_id", "b"]) == [["1", "x"], ["2", "y"], ["3", "z"]]


def test_rows_of_another_width_are_counted_and_empty_lines_are_none(tmp_path: Path) -> None:
    (tmp_path / "photos.tsv000").write_text("photo_id\tb\n1\tx\n\n2\n3\ty\tz\n4\tw\n")
    skipped = Counter[str]()
    assert _read(tmp_path, ["photo_id", "b"], skipped) == [["1", "x"], ["4", "w"]]
    assert skipped == {delimited.OTHER_CELLS: 2}


def test_bytes_that_are_no_text_do_not_stop_the_reading(tmp_path: Path) -> None:
    (tmp_path / "photos.tsv000").write_bytes(b"\xef\xbb\xbfphoto_id\tb\n1\tcaf\xe9\n")
    assert _read(tmp_path, ["photo_id", "b"]) == [["1", "caf\ufffd"]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", None),
        ("name\tb\n1\t2\n", "has no column photo_id; it begins with: name, b"),
        ("<html>\n", "has no column photo_id"),
        ('photo_id\tb\n1\t"' + "x\n" * 3_000_000, r"line \d+: field larger than field limit"),
        ("photo_id\tb\n" + "x" * 9_000_000, "over 8,388,608 characters"),
    ],
)
def test_what_is_no_such_table_is_named_with_its_file(tmp_path: Path, text: str, says: str | None) -> None:
    (tmp_path / "photos.tsv000").write_text(text)
    if says is None:
        assert _read(tmp_path, ["photo_id"]) == []
        return
    with pytest.raises(SetupError, match=says) as caught:
        _read(tmp_path, ["photo_id"])
    assert "photos.tsv000" in str(caught.value)


def test_a_missing_needed_column_is_named_with_those_there(tmp_path: Path) -> None:
    (tmp_path / "photos.tsv000").write_text("photo_id\tb\n")
    with pytest.raises(SetupError, match="has no column url; it has: photo_id, b"):
        list(rows(find(tmp_path, "photos"), ["photo_id", "url"], ["photo_id", "url"], Counter()))


def test_a_zip_that_is_cut_or_changed_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "all.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photos.tsv000", _table(["photo_id"], *([str(n * 7919)] for n in range(5000))))
    whole = place.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 0xFF
    place.write_bytes(changed)
    with pytest.raises(SetupError, match="download it again"):
        _read(place, ["photo_id"])
    place.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SetupError, match="neither a folder nor a zip"):
        find(place, "photos")


@pytest.mark.slow
def test_a_stream_is_never_held_whole(tmp_path: Path) -> None:
    place = tmp_path / "all.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photos.tsv000", "photo_id\tb\n" + f"1\t{'x' * 200}\n" * 200_000)  # 40 MB
    tracemalloc.start()
    try:
        assert sum(1 for _ in rows(find(place, "photos"), ["b"], ["b"], Counter())) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
