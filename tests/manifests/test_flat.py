"""The flat manifest's cache answers for its inputs only, and a damaged one is no cache."""

from __future__ import annotations

import datetime
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests import flat

ROWS = pa.table(
    {
        "photo_id": [f"folder:a/{n}.jpg" for n in range(50)],
        "queries": pa.array([["sea", "fjord"][: n % 3] for n in range(50)], pa.list_(pa.string())),
        "taken_at": pa.array(
            [datetime.datetime(2020, 1, 1, 0, 0, n, tzinfo=datetime.UTC) for n in range(50)], pa.timestamp("us", "UTC")
        ),
    }
)


def cached(path: Path, inputs: str) -> pa.Table | None:
    """What a copy of the cache holds; None where there is none for these inputs."""
    out = path.with_name("out.parquet")
    out.unlink(missing_ok=True)
    if not flat.copy(path, out, inputs):
        assert not out.exists()
        return None
    return pq.read_table(out)


def test_the_cache_answers_only_for_the_inputs_it_was_made_from(tmp_path: Path) -> None:
    path = tmp_path / "curated.parquet"
    assert cached(path, "one") is None
    flat.write(path, [ROWS.slice(0, 20), ROWS.slice(20)], "one")
    copied = cached(path, "one")
    assert copied is not None
    assert copied.equals(ROWS)
    assert cached(path, "two") is None
    flat.write(path, [ROWS.slice(3)], "two")
    assert cached(path, "one") is None
    assert [one.name for one in tmp_path.iterdir()] == ["curated.parquet"]


def test_a_parquet_file_of_somebody_else_is_no_cache(tmp_path: Path) -> None:
    pq.write_table(ROWS, tmp_path / "curated.parquet")
    assert cached(tmp_path / "curated.parquet", "one") is None


def test_a_damaged_cache_is_no_cache_and_never_wrong_rows(tmp_path: Path) -> None:
    path = tmp_path / "curated.parquet"
    flat.write(path, [ROWS], "one")
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for length in range(0, len(data), 211):
        path.write_bytes(data[:length])
        assert cached(path, "one") is None
    missed = 0
    for at in range(4, footer, 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])
        copied = cached(path, "one")
        assert copied is None or copied.equals(ROWS)
        missed += copied is None
    assert missed > 20


def test_a_write_that_fails_leaves_the_cache_before_it(tmp_path: Path) -> None:
    path = tmp_path / "curated.parquet"
    flat.write(path, [ROWS], "one")
    with pytest.raises(ValueError, match="schema"):
        flat.write(path, [ROWS, ROWS.drop_columns(["queries"])], "two")
    assert [one.name for one in tmp_path.iterdir()] == ["curated.parquet"]
    assert cached(path, "one") is not None


def test_pandas_duckdb_and_polars_read_it(tmp_path: Path) -> None:
    path = tmp_path / "flat.parquet"
    flat.write(path, [ROWS], "one")
    ids, queries = ROWS["photo_id"].to_pylist(), ROWS["queries"].to_pylist()
    frame = pd.read_parquet(path)
    assert frame["photo_id"].tolist() == ids
    assert [list(value) for value in frame["queries"]] == queries
    assert pl.read_parquet(path)["queries"].to_list() == queries
    assert [row[0] for row in duckdb.execute(f"select queries from '{path}' order by taken_at").fetchall()] == queries
