"""The shipped queries: 450 distinct searches in the groups the documentation tells; and how lists are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.errors import SetupError
from manifests.queries import LONGEST, QUERIES, fold_query, read_queries
from manifests.tags import BLACKLIST, normalise_tag, read_list

PAGE = (QUERIES.parents[1] / "docs" / "lists.md").read_text(encoding="utf-8")
WEAK_WORDS = {"a", "an", "and", "at", "from", "in", "of", "on", "over", "the", "to", "under", "with"} | {
    "landscape",
    "landscapes",
    "nature",
    "view",
}


def _groups() -> dict[str, list[str]]:
    blocks = [block.splitlines() for block in QUERIES.read_text(encoding="utf-8").strip().split("\n\n")][1:]
    assert all(heading.startswith("# ") for heading, *_ in blocks)
    return {heading[2:]: queries for heading, *queries in blocks}


def _meaning(query: str) -> frozenset[str]:
    """Its words without order, plural and the words that add nothing."""
    return frozenset(re.sub(r"(?<=[^s])s$", "", word) for word in query.split() if word not in WEAK_WORDS)


def test_it_holds_exactly_450_queries_no_two_of_which_are_one_search() -> None:
    queries = read_queries()
    assert len(queries) == 450
    assert len({fold_query(query) for query in queries}) == 450
    assert len({_meaning(query) for query in queries}) == 450


def test_every_query_is_lower_case_ascii_of_one_to_five_words() -> None:
    for query in read_queries():
        assert re.fullmatch(r"[a-z]+( [a-z]+){0,4}", query), query


def test_groups_and_their_counts_are_those_of_the_page() -> None:
    table = PAGE.split("| group | queries |\n|---|---|\n")[1].split("\n\n")[0]
    told = {name: int(count) for name, count in re.findall(r"^\| (.+) \| (\d+) \|$", table, re.MULTILINE)}
    groups = _groups()
    assert told == {name: len(queries) for name, queries in groups.items()}
    assert sum(told.values()) == 450
    sums = re.search(r"what a landscape is made of \((\d+) queries.*?where it is \((\d+) named", PAGE, re.DOTALL)
    assert sums
    names = list(groups)
    places = names.index("North America")
    assert [int(one) for one in sums.groups()] == [
        sum(told[name] for name in names[:places]),
        sum(told[name] for name in names[places:]),
    ]


def test_every_continent_has_its_places() -> None:
    groups = _groups()
    for continent in ("North America", "South America", "Europe", "Africa", "Asia", "Australia and the Pacific"):
        assert len(groups[continent]) >= 19, continent
    assert any("antarctic" in query for query in groups["the polar regions and far islands"])


def test_no_query_asks_for_what_the_tag_list_rejects() -> None:
    unwanted = read_list(BLACKLIST)
    for query in read_queries():
        assert not {normalise_tag(part) for part in (query, *query.split())} & unwanted, query


def test_a_list_of_ones_own_keeps_its_order_and_script(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("\ufeff# mine\n\n  Zugspitze \n富士山\nlago  di\tComo\r\n", encoding="utf-8")
    assert read_queries(file) == ("Zugspitze", "富士山", "lago di Como")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no query"),
        ("# only\n\n", "holds no query"),
        ("alps\nAndes\nALPS\n", r"line 3: 'ALPS' already stands in line 1"),
        ("mountain  lake\nmountain lake", "line 2"),
        ("x" * (LONGEST + 1), "at most 200 printable"),
        ("sea\x07side", "line 1"),
    ],
)
def test_what_is_wrong_with_a_list_is_told_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match=says) as caught:
        read_queries(file)
    assert str(file) in str(caught.value)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"none\.txt"):
        read_queries(tmp_path / "none.txt")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(SetupError, match=r"latin\.txt"):
        read_queries(tmp_path / "latin.txt")


@given(st.text(max_size=60))
def test_folding_is_idempotent_and_blind_to_spaces_and_ascii_case(text: str) -> None:
    folded = fold_query(text)
    assert fold_query(f"  {text} ") == folded
    ascii_text = text.encode("ascii", "ignore").decode()
    assert fold_query(ascii_text.upper()) == fold_query(ascii_text)
