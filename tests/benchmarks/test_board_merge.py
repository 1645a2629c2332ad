"""Rows of others join where they can be compared; where not, the reason is told and nothing is written."""

from __future__ import annotations

import dataclasses

import boards
from boards import row

from benchmarks import board_merge, leaderboard


def test_comparable_rows_join_marked_as_merged_once(tmp_path):
    ours = boards.write(tmp_path / "ours.csv", row())
    theirs = boards.write(tmp_path / "theirs.csv", row("locogan", 0.5), row())
    merged = board_merge.merge(ours, [theirs])
    assert merged.refused == []
    assert merged.known == 1
    assert leaderboard.read(ours) == [row(), row("locogan", 0.5, origin="merged")]
    again = board_merge.merge(ours, [theirs])
    assert (again.added, again.known) == ([], 2)


def test_a_row_that_cannot_be_compared_is_refused_with_what_differs(tmp_path):
    ours = boards.write(tmp_path / "ours.csv", row(), row("stylegan2", n_real=9))
    other = row("locogan", n_generated=50_000, resize="clean")
    theirs = boards.write(tmp_path / "theirs.csv", other, row("locogan"), row("locogan", None, infinity_fd=None))
    merged = board_merge.merge(ours, [theirs])
    assert merged.refused == [
        f"{theirs}, line 2: cannot be compared with any row here: resize is clean, here none; n_generated is 50000, "
        "here 1000",
        f"{theirs}, line 4: nothing was measured (fid and fd are empty)",
    ]
    assert [one.model for one in merged.added] == ["locogan"]


def test_a_file_with_one_bad_line_adds_nothing(tmp_path):
    ours = boards.write(tmp_path / "ours.csv", row())
    before = ours.read_bytes()
    theirs = boards.write(tmp_path / "theirs.csv", row("locogan"), row("stylegan2", device="=1+1"))
    merged = board_merge.merge(ours, [theirs])
    assert merged.refused == [f"{theirs}, line 3, device: begins with '=': a spreadsheet would run it"]
    assert ours.read_bytes() == before


def test_the_papers_numbers_are_not_merged(tmp_path):
    assert "benchmarks/paper.csv" in str(board_merge.why_not(dataclasses.replace(row(), origin="paper"), [row()]))


def test_an_empty_leaderboard_takes_nothing(tmp_path):
    assert "no measured row" in str(board_merge.why_not(row(), []))
