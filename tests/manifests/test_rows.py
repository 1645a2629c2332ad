"""Rows are looked up and taken as a dictionary would, however long their text is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import rows as rows_module
from manifests.rows import latest, latest_at, not_in, sorted_by, take


@given(st.lists(st.text("abc", max_size=2), max_size=30), st.lists(st.text("abc", max_size=2), max_size=5))
def test_latest_and_not_in_agree_with_a_dictionary_and_a_set(keys: list[str], known: list[str]) -> None:
    rows = pa.table({"key": pa.array(keys, pa.string()), "n": pa.array(range(len(keys)), pa.int64())})
    assert latest(rows, "key").to_pylist() == [
        {"key": key, "n": n} for key, n in {key: n for n, key in enumerate(keys)}.items()
    ]
    kept = not_in(rows, "key", pa.chunked_array([pa.array(known, pa.string())]))
    assert kept["n"].to_pylist() == [n for n, key in enumerate(keys) if key not in known]


@given(st.lists(st.integers(0, 5), max_size=12), st.lists(st.integers(0, 6), max_size=8), st.integers(0, 12))
def test_the_last_row_of_each_wanted_key_is_found(keys: list[int], wanted: list[int], cut: int) -> None:
    names = [str(key) for key in keys]
    chunked = pa.chunked_array([names[:cut], names[cut:]], pa.string())
    expected = [max((at for at, key in enumerate(keys) if key == one), default=None) for one in wanted]
    assert latest_at(pa.array(map(str, wanted), pa.string()), chunked).to_pylist() == expected


def test_text_too_long_for_offsets_of_32_bits_can_be_taken_from(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({"n": [1, 2, 3], "text": ["a", None, "c" * 99], "tags": [["x" * 50], [], ["y" * 50]]})
    monkeypatch.setattr(rows_module, "LARGE_BYTES", 60)
    taken = take(rows, pa.array([2, None, 0]))
    assert taken.to_pylist() == [rows.to_pylist()[2], {"n": None, "text": None, "tags": None}, rows.to_pylist()[0]]
    assert taken.schema.types == [pa.int64(), pa.large_string(), pa.large_list(pa.large_string())]
    assert sorted_by(rows, "text")["n"].to_pylist() == [1, 3, 2]


@pytest.mark.long
def test_three_gigabytes_of_text_can_be_taken_from() -> None:
    column = pa.chunked_array([pa.array(["x" * 2**20] * 256)] * 12)
    rows = pa.table({"n": np.arange(len(column)), "text": column})
    assert take(rows, pa.array([5, 3000]))["text"].to_pylist() == ["x" * 2**20] * 2
