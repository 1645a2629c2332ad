"""Small tables for tests of tables: rows of every kind of column, and plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from manifests.tables import Table

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("value", pa.int64()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("at", pa.timestamp("us", tz="UTC")),
    ]
)

NUMBERS = pa.schema([pa.field("n", pa.int64(), nullable=False)])

START = datetime(2021, 5, 1, 12, 30, 15, 123456, UTC)


def row(n: int) -> dict[str, object]:
    return {
        "key": f"k{n % 7}",
        "value": None if n % 5 == 0 else n,
        "tags": None if n % 4 == 0 else ["fjord", "é" * (n % 3)][: n % 3],
        "at": START + timedelta(seconds=n),
    }


def rows(numbered: Sequence[int]) -> pa.Table:
    return pa.Table.from_pylist([row(n) for n in numbered], schema=SCHEMA)


def numbers(*values: int) -> pa.Table:
    return pa.table({"n": pa.array(values, pa.int64())}, schema=NUMBERS)


def file_names(table: Table) -> list[str]:
    return sorted(path.name for path in table.folder.iterdir())
