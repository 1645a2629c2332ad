"""Rows found by sha256 are those that a look-up of texts finds."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import digests
from manifests.digests import Digests
from manifests.rows import latest_at


def texts(numbers) -> pa.Array:
    return pa.array([hashlib.sha256(str(number).encode()).hexdigest() for number in numbers], pa.string())


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.integers(0, 3), st.booleans())
def test_the_last_row_of_each_is_found(wanted, there, skip, chunked):
    left, right = texts(wanted), texts(there).slice(skip)
    expected = latest_at(left, right)
    if chunked:
        right = pa.chunked_array([right.slice(0, 2), right.slice(2)], pa.string())
    found = Digests.of(left).last_in(Digests.of(right))
    assert found.equals(expected)


def test_also_among_many_and_of_some_rows_only():
    rng = np.random.default_rng(0)
    left, right = texts(rng.integers(0, 30_000, 20_000)), texts(rng.integers(0, 30_000, 20_000))
    rows = rng.permutation(20_000)[:5_000]
    expected = latest_at(left.take(pa.array(rows)), right)
    assert 0 < expected.null_count < 5_000
    assert Digests.of(left)[rows].last_in(Digests.of(right)).equals(expected)


@pytest.mark.parametrize("column", [["0" * 63], ["0" * 64, None], ["0" * 63, "0" * 65]])
def test_what_is_no_sha256_is_left_to_the_look_up_of_texts(column):
    assert Digests.of(pa.array(column, pa.string())) is None


def test_digests_of_one_key_are_told_apart_or_left_to_the_look_up_of_texts():
    """Two that differ in their last digits only have one key."""
    one, other = "0" * 64, "0" * 63 + "1"
    held = Digests.of(pa.array([one]))
    assert held.keys[0] == Digests.of(pa.array([other])).keys[0]
    assert Digests.of(pa.array([other])).last_in(held) is None
    assert held.last_in(Digests.of(pa.array([other, one]))).to_pylist() == [1]


def test_slots_that_many_share_are_settled_in_rounds(monkeypatch):
    """With one mixing number nothing can settle: the answer is none, not a wrong one."""
    monkeypatch.setattr(digests, "_MIX", digests._MIX[:2])
    assert Digests.of(texts([1])).last_in(Digests.of(texts([1]))) is None
