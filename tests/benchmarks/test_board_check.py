"""A leaderboard's file is taken only when every line of it is sound; what is not is named with its line."""

from __future__ import annotations

import csv
import dataclasses
import io

import boards
import pytest
from boards import row

from benchmarks import board_check
from benchmarks.leaderboard import COLUMNS, as_csv
from manifests.errors import SetupError
from models.weights import REGISTRY

INCEPTION = f"inception-2015-12-05@{REGISTRY['inception'].sha256}"


def problems(text: str) -> list[str]:
    return [str(one) for one in board_check.check_text(text).problems]


def csv_of(*rows) -> str:
    return as_csv(rows).decode()


def test_rows_as_the_benchmark_writes_them_are_sound():
    fid = row("stylegan2", fd=None, fid=3.5, features=INCEPTION, resize="clean")
    assert problems(csv_of(row(), row("stylegan2"), row(d=4), fid)) == []


def test_every_wrong_line_is_told_with_its_number_and_column():
    text = csv_of(row(), row("locogan"), row(seed=1), row("alis-nocoords"))
    lines = text.splitlines()
    lines[2] = lines[2].replace(",4000,", ",many,")
    lines[4] = lines[4].replace(",0.02,", ",inf,", 1)
    found = problems("\n".join(lines) + "\n")
    assert found == [
        "line 3, images_seen: 'many' is not of kind int",
        "line 5, train_hours: 'inf' is not of kind float",
    ]


@pytest.mark.parametrize("cell", ["1_000", "٣", "-4", " 5", "9" * 30, "1e3", "0x10"])
def test_only_plain_digits_are_a_count(cell):
    (found,) = problems(csv_of(row()).replace(",4000,", f",{cell},"))
    assert found.startswith("line 2, images_seen: ")


def test_a_missing_an_unknown_and_a_doubled_column_are_named():
    text = csv_of(row())
    assert problems(text.replace("infinity_setup,", "setup,", 1)) == [
        "line 1, infinity_setup: this column is missing",
        "line 1, setup: no such column is known",
    ]
    assert "line 1, model: this column stands there twice" in problems(text.replace("subset_hash", "model", 1))
    assert problems(",".join(reversed(COLUMNS))) == ["line 1: the columns stand in another order"]
    assert problems("a,b\n1,2\n") == ["line 1: not a leaderboard: none of its columns is ours"]


def test_the_same_row_twice_is_told_with_both_lines():
    assert problems(csv_of(row(), row(seed=1), row())) == ["line 4: the same row as in line 2"]
    assert problems(csv_of(row(), row(origin="merged"))) == ["line 3: the same row as in line 2"]


def test_a_fid_of_other_features_than_the_2015_inception_is_refused():
    text = csv_of(row(fd=None, infinity_fd=None))
    header, cells = csv.reader(io.StringIO(text))
    cells[COLUMNS.index("fid")] = "3.5"
    out = io.StringIO()
    csv.writer(out).writerows([header, cells])
    (found,) = problems(out.getvalue())
    assert found.startswith("line 2: a FID of the features small-conv@")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": "=cmd|' /C calc'!A0"}, "model: begins with '=': a spreadsheet would run it"),
        ({"device": "@SUM(1)"}, "device: begins with '@'"),
        ({"device": "a\x1b[2Jb"}, "device: holds the invisible character U+001B"),
        ({"device": "\u202ereversed"}, "device: holds the invisible character U+202E"),
        ({"subset": "x" * 501}, "subset: 501 characters, 500 at most"),
        ({"subset_hash": "xyz"}, "subset_hash: no SHA-256"),
        ({"precision": 1.5}, "precision: 1.5 is above 1"),
        ({"train_hours": -1.0}, "train_hours: -1.0 is below 0"),
        ({"n_generated": 0}, "n_generated: 0 is below 1"),
        ({"total": 7}, "total: 7 is not generator + discriminator"),
        ({"date": "yesterday"}, "date: 'yesterday' is no date"),
        ({"origin": "theirs"}, "origin: 'theirs' is none of ours, paper, merged"),
        ({"n_real": None}, "n_real: is empty: nothing could be compared"),
        ({"resize": None}, "resize: is empty: nothing could be compared"),
        ({"infinity_setup": None}, "infinity_setup: is empty: nothing could be compared"),
        ({"model": "stylegan2"}, "infinity_setup: stylegan2 makes no panorama"),
    ],
)
def test_what_cannot_be_or_would_do_harm_is_told(changed, says):
    found = problems(csv_of(dataclasses.replace(row(), **changed)))
    assert len(found) == 1
    assert found[0].startswith(f"line 2, {says}")


def test_a_file_that_is_too_large_or_no_text_is_not_looked_at(tmp_path, monkeypatch):
    path = boards.write(tmp_path / "a.csv", row())
    assert not board_check.check(path).problems
    monkeypatch.setattr(board_check, "LARGEST_FILE", 100)
    with pytest.raises(SetupError, match="100 at most"):
        board_check.check(path)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(SetupError, match="UTF-8"):
        board_check.check(tmp_path / "b.csv")


def test_no_more_rows_are_looked_at_than_anyone_needs(monkeypatch):
    monkeypatch.setattr(board_check, "MOST_ROWS", 2)
    assert problems(csv_of(row(), row(seed=1), row(seed=2))) == ["line 4: more than 2 rows"]
