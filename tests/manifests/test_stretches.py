"""Rows brought into another order a stretch at a time are those that sorting them all at once gives."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import stretches

KINDS = pa.schema(
    [pa.field("n", pa.int64(), nullable=False), pa.field("text", pa.string()), pa.field("list", pa.list_(pa.string()))]
)


def batches_of(count: int, size: int) -> list[pa.RecordBatch]:
    texts = [None if n % 3 == 0 else "é" * (n % 4) for n in range(count)]
    lists = [None if n % 5 == 0 else [f"{n}", None][: n % 3] for n in range(count)]
    table = pa.table({"n": range(count), "text": texts, "list": lists}, schema=KINDS)
    return table.to_batches(max_chunksize=size)


@settings(max_examples=50, deadline=None)
@given(
    place=st.lists(st.integers(-1, 19), max_size=60),
    later=st.integers(0, 3),
    size=st.integers(1, 20),
    length=st.integers(1, 20),
)
def test_every_row_comes_to_the_stretch_of_its_place_in_the_order_in_which_it_came(place, later, size, length):
    """`later` rows came when the places had been told already."""
    batches = batches_of(len(place) + later, size)
    cuts = [range(first, min(first + length, 20)) for first in range(0, 20, length)]
    found = list(stretches.in_stretches(batches, KINDS, np.array(place, np.int32), cuts))
    rows = pa.Table.from_batches(batches, KINDS).to_pylist()
    for stretch, table in zip(cuts, found, strict=True):
        assert table.schema.names == [*KINDS.names, stretches.PLACE]
        by_place = sorted(table.to_pylist(), key=lambda row: row[stretches.PLACE])
        wanted = sorted((at, n) for n, at in enumerate(place) if at in stretch)
        assert by_place == [{**rows[n], stretches.PLACE: at} for at, n in wanted]
        last = dict(wanted)
        one_each = stretches.one_each(table, stretch).to_pylist()
        nothing = dict.fromkeys(KINDS.names)
        assert one_each == [rows[last[at]] if at in last else nothing for at in stretch]


@pytest.mark.parametrize("count", [0, 1, 65_535, 65_536, 65_537, 13_107_200, 13_107_201, 100_000_000])
def test_stretches_are_few_and_cover_every_place_once(count):
    cuts = stretches.cut(count)
    assert 1 <= len(cuts) <= stretches.MOST
    assert (cuts[0].start, cuts[-1].stop) == (0, count)
    assert all(one.stop == two.start for one, two in itertools.pairwise(cuts))
    assert all(len(one) % stretches.ROWS == 0 for one in cuts[:-1])


def test_what_is_not_asked_for_any_more_leaves_nothing(tmp_path):
    cuts = [range(4), range(4, 8)]
    found = stretches.in_stretches(batches_of(8, 3), KINDS, np.arange(8, dtype=np.int32), cuts, tmp_path)
    assert next(found)["n"].to_pylist() == [0, 1, 2, 3]
    found.close()
    assert list(tmp_path.iterdir()) == []
