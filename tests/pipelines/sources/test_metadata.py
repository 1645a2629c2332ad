"""`--metadata`: what a table says of photos is taken as it is meant, and everything wrong is told at once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import MisuseError, SetupError
from pipelines.sources import metadata
from pipelines.sources.metadata import Metadata


def _csv(folder: Path, text: str | bytes, name: str = "about.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def _read(tmp_path: Path, text: str | bytes) -> Mapping[str, Mapping[str, Any]]:
    return metadata.read(_csv(tmp_path, text)).rows


def _refused(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(SetupError) as refused:
        _read(tmp_path, text)
    assert "about.csv" in str(refused.value)
    return str(refused.value)


def _parquet(tmp_path: Path, **columns: pa.Array | Sequence[Any]) -> Mapping[str, Mapping[str, Any]]:
    path = tmp_path / "about.parquet"
    pq.write_table(pa.table(columns), path)
    return metadata.read(path).rows


# Values.


def test_every_column_of_ours_is_read_from_a_csv(tmp_path: Path) -> None:
    rows = _read(
        tmp_path,
        "file,title,description,author,author_url,page_url,license,license_url,width,height,taken_at,uploaded_at,tags\n"
        "a.jpg,Fjord,Deep,Ann,https://a,https://p,CC BY 4.0,https://l,640,480.0,2020-05-01T12:00:00+02:00,2021-01-02,"
        "Hot Air Balloon;sea\n",
    )
    row = dict(rows["a.jpg"])
    assert "Ann" in row.pop("attribution")
    assert row == {
        "title": "Fjord",
        "description": "Deep",
        "author": "Ann",
        "author_url": "https://a",
        "page_url": "https://p",
        "license": "CC-BY-4.0",
        "license_url": "https://l",
        "width": 640,
        "height": 480,
        "taken_at": datetime(2020, 5, 1, 10, tzinfo=UTC),
        "uploaded_at": datetime(2021, 1, 2, tzinfo=UTC),
        "tags_raw": ("Hot Air Balloon", "sea"),
        "tags": ("hotairballoon", "sea"),
        "extra": "{}",
    }


def test_quotes_newlines_byte_order_marks_and_windows_line_ends(tmp_path: Path) -> None:
    text = '\ufefffile,title\r\n"a,1.jpg","two\r\nlines, ""quoted"""\r\n\r\nb.jpg,é\r\n'
    rows = _read(tmp_path, text)
    assert {path: row["title"] for path, row in rows.items()} == {"a,1.jpg": 'two\r\nlines, "quoted"', "b.jpg": "é"}


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("a;b, c;d", ("a", "b, c", "d")),
        ("a, b,,c ", ("a", "b", "c")),
        (" ; ;a;", ("a",)),
        ("one tag", ("one tag",)),
        (";", ()),
    ],
)
def test_tags_in_a_csv_are_split_at_semicolons_else_at_commas(tmp_path: Path, cell: str, tags: tuple[str, ...]) -> None:
    assert _read(tmp_path, f'file,tags\na.jpg,"{cell}"\n')["a.jpg"]["tags_raw"] == tags


def test_lists_and_times_of_a_parquet_table_are_taken_as_they_are(tmp_path: Path) -> None:
    rows = _parquet(
        tmp_path,
        path=["a.jpg", "b.jpg"],
        tags=pa.array([["Sea, deep", None, "", "bw"], None], pa.list_(pa.string())),
        taken_at=pa.array([1_588_334_400_000_000_001, None], pa.timestamp("ns", "Europe/Oslo")),
        uploaded_at=pa.array([date(2020, 5, 1), None]),
        width=pa.array([640.0, float("nan")]),
        title=["A", None],
    )
    assert rows["a.jpg"]["tags_raw"] == ("Sea, deep", "bw")
    assert rows["a.jpg"]["taken_at"] == datetime(2020, 5, 1, 12, tzinfo=UTC)
    assert type(rows["a.jpg"]["taken_at"]) is datetime
    assert rows["a.jpg"]["uploaded_at"] == datetime(2020, 5, 1, tzinfo=UTC)
    assert rows["a.jpg"]["width"] == 640
    assert set(rows["b.jpg"]) == {"license", "license_url", "attribution", "extra"}


def test_a_table_that_pandas_wrote_is_read_alike_from_csv_and_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "filename": ["a.jpg", "b.jpg"],
            "width": [640, None],
            "title": ["A", None],
            "taken_at": pd.to_datetime(["2020-05-01", None]),
        }
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    from_csv, from_parquet = metadata.read(tmp_path / "a.csv").rows, metadata.read(tmp_path / "a.parquet").rows
    assert from_csv == from_parquet
    assert from_csv["a.jpg"]["width"] == 640


def test_unknown_columns_go_into_extra_as_valid_json(tmp_path: Path) -> None:
    rows = _read(tmp_path, "file,camera,iso,path\na.jpg,Zürich,100,elsewhere\nb.jpg,,,\n")
    assert json.loads(rows["a.jpg"]["extra"]) == {"camera": "Zürich", "iso": "100", "path": "elsewhere"}
    assert "Zürich" in rows["a.jpg"]["extra"]
    assert rows["b.jpg"]["extra"] == "{}"


def test_a_misspelt_column_and_an_unknown_licence_are_told(tmp_path: Path) -> None:
    columns, licences = metadata.notes(_read(tmp_path, "file,licence,license\na.jpg,CC0,\nb.jpg,,CC BY 99\n"))
    assert columns.startswith("metadata columns that are kept and not read: licence (read are: attribution, author,")
    assert licences == "licences that are not known: 1, such as 'CC BY 99'"
    assert metadata.notes(_read(tmp_path, "file,license\na.jpg,CC0\n")) == []


def test_numbers_that_json_does_not_know_become_text_in_extra(tmp_path: Path) -> None:
    rows = _parquet(
        tmp_path,
        file=["a.jpg", "b.jpg"],
        score=[float("inf"), float("nan")],
        box=pa.array([[1.5, float("nan")], None]),
        raw=[b"\x00", None],
        day=[date(2020, 1, 1), None],
    )
    extra = json.loads(rows["a.jpg"]["extra"], parse_constant=pytest.fail)
    assert (extra["score"], extra["box"], extra["day"]) == ("Infinity", [1.5, "NaN"], "2020-01-01")
    assert rows["b.jpg"]["extra"] == "{}"


@pytest.mark.parametrize(
    ("given_as", "spdx", "url"),
    [
        ("CC BY-SA 4.0", "CC-BY-SA-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        (
            "https://creativecommons.org/publicdomain/zero/1.0/",
            "CC0-1.0",
            "https://creativecommons.org/publicdomain/zero/1.0/",
        ),
        ("all mine", "LicenseRef-unknown", None),
        ("", "LicenseRef-unknown", None),
    ],
)
def test_licences_are_normalised_and_what_is_unknown_is_kept_as_given(
    tmp_path: Path, given_as: str, spdx: str, url: str | None
) -> None:
    row = _read(tmp_path, f"file,license,author\na.jpg,{given_as},Ann\n")["a.jpg"]
    assert (row["license"], row["license_url"]) == (spdx, url)
    assert json.loads(row["extra"]) == ({"license_as_given": "all mine"} if given_as == "all mine" else {})
    assert "Ann" in row["attribution"]


def test_a_credit_line_that_the_table_gives_is_kept_to_the_letter(tmp_path: Path) -> None:
    row = _read(tmp_path, "file,author,attribution\na.jpg,Ann,Photo: Ann / Agency 7\n")["a.jpg"]
    assert row["attribution"] == "Photo: Ann / Agency 7"


# Matching.


def _matched(file: Path, root: Path, *files: str) -> dict[str, str]:
    return {name: row["title"] for name, row in metadata.read(file).matched(root, files).items()}


def test_paths_are_relative_to_the_photos_or_to_the_table(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    text = "file,title\n./a.jpg,A\nphotos/b.jpg,B\nphotos\\sub\\c.jpg,C\nsub//d.jpg,D\nnone.jpg,N\n"
    found = {"a.jpg": "A", "b.jpg": "B", "sub/c.jpg": "C", "sub/d.jpg": "D"}
    root.mkdir()
    assert _matched(_csv(tmp_path, text), root, *found, "other.jpg") == found


def test_a_table_inside_the_photos_folder_or_beside_it(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    inside = _csv(root / "about", "file,title\nx.jpg,X\n../y.jpg,Y\n")
    assert _matched(inside, root, "about/x.jpg", "y.jpg", "z.jpg") == {"about/x.jpg": "X", "y.jpg": "Y"}
    beside = _csv(tmp_path / "tables", "file,title\n../photos/y.jpg,Y\n")
    assert _matched(beside, root, "y.jpg") == {"y.jpg": "Y"}


def test_a_row_never_serves_two_photos_and_the_reading_that_fits_more_goes_first(tmp_path: Path) -> None:
    """Paths relative to the table's folder `set`, photos in `set/a`, which holds another `a`."""
    root = tmp_path / "set" / "a"
    root.mkdir(parents=True)
    table = _csv(tmp_path / "set", "file,title\na/x.jpg,outer\na/a/x.jpg,inner\na/y.jpg,other\n")
    assert _matched(table, root, "x.jpg", "a/x.jpg", "y.jpg") == {
        "x.jpg": "outer",
        "a/x.jpg": "inner",
        "y.jpg": "other",
    }
    alone = _csv(tmp_path / "set", "file,title\na/x.jpg,one\n")
    assert len(_matched(alone, root, "x.jpg", "a/x.jpg")) == 1


def test_a_relative_path_to_the_table_and_to_the_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    _csv(tmp_path, "file,title\nphotos/a.jpg,A\n")
    monkeypatch.chdir(tmp_path)
    assert _matched(Path("about.csv"), Path("photos"), "a.jpg") == {"a.jpg": "A"}
    monkeypatch.chdir(tmp_path / "photos")
    assert _matched(Path("../about.csv"), Path(), "a.jpg") == {"a.jpg": "A"}


def test_a_table_that_matches_no_photo_is_refused(tmp_path: Path) -> None:
    table = _csv(tmp_path, "file,title\nb.jpg,B\n")
    with pytest.raises(SetupError, match="none of the rows of"):
        _matched(table, tmp_path, "a.jpg")


# What is wrong.


def test_all_errors_are_told_together_with_their_lines(tmp_path: Path) -> None:
    told = _refused(
        tmp_path,
        "file,width,height,taken_at\n"
        "a.jpg,0,10,2020-01-01\n"
        ",1,1,\n"
        "b.jpg,1.5,-3,yesterday\n"
        "b.jpg,1,1,\n"
        "./a.jpg,,,\n"
        "c.jpg,1\n"
        "d.jpg,1,1,,,\n"
        "e.jpg,nan,inf,0001-01-01T00:00:00+05:00\n"
        "f.jpg,4294967296,1e400,\n",
    )
    expected = {
        2: ["width '0'"],
        3: ["no path"],
        4: ["width '1.5'", "height '-3'", "taken_at 'yesterday'"],
        5: ["second row for b.jpg"],
        6: ["second row for a.jpg"],
        7: ["another number of cells"],
        8: ["another number of cells"],
    }
    assert len(told.splitlines()) == 12  # the file, ten errors, and how many more
    assert told.splitlines()[-1] == "  ... and 4 more"
    for line, parts in expected.items():
        for part in parts:
            assert any(one.startswith(f"  line {line}: ") and part in one for one in told.splitlines()), (line, part)


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ("nan,,", "width"),
        (",inf,", "height"),
        ("4294967296,,", "width"),
        ("12px,,", "width"),
        (",,0001-01-01T00:00:00+05:00", "taken_at"),
        (",,2020:05:01 10:00:00", "taken_at"),
        (",,9999-12-31T23:59:59-05:00", "taken_at"),
    ],
)
def test_a_value_out_of_range_is_named_with_line_and_column(tmp_path: Path, row: str, column: str) -> None:
    assert f"line 2: {column} " in _refused(tmp_path, f"file,width,height,taken_at\na.jpg,{row}\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "cannot read"),
        ("file,title\na.jpg,Zürich\n".encode("latin-1"), "is not UTF-8; save it as CSV in UTF-8"),
        ("file,title\n".encode("utf-16"), "cannot read"),
        (b"name;title\na.jpg;A\n", "it needs one named file, path, file_name or filename; it has: name;title"),
        (b"\n\n", "is empty"),
        (b"file,title,title\na.jpg,A,B\n", "more than one column named title"),
        (b'file,title\na.jpg,"A\n', "line 2: "),
        (b'file,title\na.jpg,"A"B\n', "line 2: "),
    ],
)
def test_a_table_that_is_empty_garbage_or_without_paths_is_refused(tmp_path: Path, text: bytes, told: str) -> None:
    assert told in _refused(tmp_path, text)


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    for path, told in (
        (tmp_path / "none.csv", "there is no such file"),
        (tmp_path / "none.parquet", "there is no such file"),
        (tmp_path, "it is a folder"),
    ):
        with pytest.raises(MisuseError, match=told):
            metadata.read(path)


def test_a_damaged_parquet_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "about.parquet"
    pq.write_table(pa.table({"file": [f"{n}.jpg" for n in range(500)]}), path)
    data = path.read_bytes()
    for damaged in (b"", b"PAR1", data[:-1], data[: len(data) // 2], data[:4] + b"\xff" * 200 + data[204:]):
        path.write_bytes(damaged)
        with pytest.raises(SetupError, match=r"about\.parquet"):
            metadata.read(path)


def test_a_parquet_table_with_values_that_no_photo_can_have_is_refused_with_lines(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="line 1: width") as refused:
        _parquet(tmp_path, file=["a.jpg", "b.jpg"], width=[[1], None], height=[None, float("inf")])
    assert "line 2: height" in str(refused.value)
    with pytest.raises(SetupError, match=r"about\.parquet"):
        _parquet(tmp_path, file=["a.jpg"], taken_at=pa.array([2**60], pa.timestamp("us")))  # the year 38,000
    with pytest.raises(SetupError, match="no path column"):
        _parquet(tmp_path, name=["a.jpg"])


@given(st.binary(max_size=300))
def test_no_bytes_give_anything_but_rows_or_our_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    for content in (data, b"file,title,width\n" + data):
        path.write_bytes(content)
        with contextlib.suppress(SetupError):
            assert isinstance(metadata.read(path), Metadata)
