"""Commands on a million photos: none needs 2 GB or grows faster than they do; the page tells of just these commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.perf import scale

PAGE = (Path(__file__).parents[3] / "docs" / "scale.md").read_text()
MEGABYTES = 2_000
GROWTH = 1.5  # of processor time, over ten times that of a tenth of the photos


def first_column(heading: str) -> list[str]:
    """Of the first table below a heading."""
    table = re.search(r"\n\n((?:\|.*\n)+)", PAGE[PAGE.index(f"## {heading}") :])
    assert table is not None
    return [line.split("|")[1].strip(" `") for line in table[1].splitlines()[2:]]


@pytest.mark.parametrize("heading", ["A million photos", "A hundred million, on paper"])
def test_the_page_tells_of_every_command_that_is_measured_and_of_no_other(heading):
    assert first_column(heading) == [case.name for case in scale.CASES]


def test_every_case_is_three_rows_against_ten_times_the_tenth():
    few = {"status": scale.Cost(1.0, 2.0, 100.0)}
    many = {"status": scale.Cost(5.0, 10.0, 500.0)}
    told = [(row.name, row.value, row.baseline, row.ratio, row.unit) for row in scale.compared(few, many)]
    assert told == [
        ("status: time", 5.0, 10.0, 0.5, "s"),
        ("status: processor time", 10.0, 20.0, 0.5, "s"),
        ("status: memory", 500.0, 1000.0, 0.5, "MB"),
    ]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_no_command_needs_two_gigabytes_for_a_million_photos_nor_grows_faster_than_they(tmp_path):
    costs = [scale.measure(scale.make(tmp_path, rows), tmp_path, turns=1) for rows in (100_000, 1_000_000)]
    rows = scale.compared(*costs)
    print(*rows, sep="\n")
    assert len(rows) == 3 * len(scale.CASES)
    assert [row for row in rows if row.name.endswith(": memory") and row.value > MEGABYTES] == []
    assert [row for row in rows if row.name.endswith("processor time") and (row.ratio or 0) > GROWTH] == []
