"""Bytes as a broken disk, a broken download or someone unkind leaves them."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

T = TypeVar("T")

INSERTED = [b"", b"\0", b"\xff\xfe", b"\n", b'"', b",", b"{", b"[", b"NaN", b"-1", b"1e999", b"9" * 400, b"../../x"]
INSERTED += [b"9" * 5000, b"[" * 50_000]
OTHERS = ["null", "true", "-1", "0", "1.5", "1e308", str(2**63), "9" * 40, "NaN", "[]", "[[]]", "{}", '{"a": 1}']
OTHERS += ['""', '"x"', r'"\ud800"', '"../../x"', r'"a\u0000b"']
"""JSON that stands where something else is expected."""

MANY = 3000
FEW_OR_MANY = pytest.mark.parametrize(
    "many", [pytest.param(False, id="few"), pytest.param(True, id="many", marks=pytest.mark.long)]
)


def tried(check: Callable[[T], None], on: st.SearchStrategy[T], few: int, *, many: bool | int = False) -> None:
    """Check `few` examples, the same ones every time; where it is to be `many` (or that many), others every time."""
    count = few if not many else MANY if many is True else many
    settings(derandomize=not many, max_examples=count, deadline=None, database=None)(given(on)(check))()


@st.composite
def mangled(draw: st.DrawFn, sound: bytes) -> bytes:
    """`sound` with some bytes overwritten, cut out, doubled or put in."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at = int(draw(st.floats(0, 1)) * len(data))
        end = min(len(data), at + draw(st.sampled_from([1, 2, 8, 64, len(sound)])))
        kind = draw(st.sampled_from(["change", "cut", "double", "insert"]))
        if kind == "change" and at < end:
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:end]
        elif kind == "double":
            data[at:at] = data[at:end]
        else:
            data[at:at] = draw(st.sampled_from(INSERTED))
    return bytes(data)


@st.composite
def mangled_json(draw: st.DrawFn, sound: bytes) -> bytes:
    """As `mangled`, or JSON that is well-formed, with a value of another kind somewhere, or a name gone or new."""
    if draw(st.booleans()):
        return draw(mangled(sound))
    facts = json.loads(sound)
    for _ in range(draw(st.integers(1, 3))):
        facts = _changed(draw, facts)
    return json.dumps(facts).encode()


def _other(draw: st.DrawFn) -> Any:
    return json.loads(draw(st.sampled_from(OTHERS)))


def _changed(draw: st.DrawFn, value: Any) -> Any:
    places = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    if not places or draw(st.integers(0, 4)) == 0:
        return _other(draw)
    at = draw(st.sampled_from(list(places)))
    kind = draw(st.sampled_from(["change", "change", "deeper", "drop", "new"]))
    if kind == "drop":
        del value[at]
    elif kind == "new" and isinstance(value, dict):
        value["unknown"] = _other(draw)
    else:
        value[at] = _changed(draw, value[at]) if kind == "deeper" else _other(draw)
    return value


@st.composite
def mangled_lines(draw: st.DrawFn, sound: bytes) -> bytes:
    """As `mangled_json`, in some lines of many."""
    lines = sound.splitlines()
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = draw(mangled_json(sound.splitlines()[at]))
    return b"\n".join(lines) + b"\n"


VALUES = [None, "", "x", "../../x", "/etc/hostname", "\0", "a" * 300, -1, 2**62, float("nan"), b"\xff\xfe"]
VALUES += [[1], {"a": 1}]


@st.composite
def mangled_parquet(draw: st.DrawFn, sound: bytes) -> bytes:
    """As `mangled`, or a sound file with a column of other values or another type, without it, or with it twice."""
    if draw(st.booleans()):
        return draw(mangled(sound))
    with pq.ParquetFile(io.BytesIO(sound)) as file:
        table = file.read()
    at = draw(st.integers(0, table.num_columns - 1))
    name, kind = table.column_names[at], table.schema.types[at]
    what = draw(st.sampled_from(["values", "values", "type", "drop", "twice"]))
    if what == "drop":
        table = table.drop_columns([name])
    elif what == "twice":
        table = table.append_column(name, table[at])
    else:
        value = draw(st.sampled_from(VALUES))
        other = pa.array([value] * table.num_rows)
        if what == "values" and isinstance(value, bytes):
            other = other.cast(pa.binary()).view(pa.string())  # no UTF-8
        elif what == "values":
            with contextlib.suppress(pa.ArrowException):
                other = other.cast(kind)
        table = table.set_column(at, name, other)
    out = io.BytesIO()
    pq.write_table(table, out, write_page_checksum=True)
    return out.getvalue()


@st.composite
def mangled_sqlite(draw: st.DrawFn, sound: bytes, folder: Path) -> bytes:
    """As `mangled`, or a sound database with other values in a column, another column, or without a table."""
    if draw(st.booleans()):
        return draw(mangled(sound))
    path = folder / "mangled.sqlite"
    path.write_bytes(sound)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%'")]
        table = draw(st.sampled_from([one for one in tables if not one.startswith("sqlite_")]))
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        column = draw(st.sampled_from(columns))
        what = draw(st.sampled_from(["values", "values", "values", "rename", "drop", "view"]))
        if what == "values":
            database.execute("PRAGMA ignore_check_constraints = ON")
            value = draw(st.sampled_from([one for one in VALUES if not isinstance(one, (list, dict))]))
            with contextlib.suppress(sqlite3.IntegrityError):
                database.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", [value])
        elif what == "rename":
            database.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
        elif what == "drop":
            database.execute(f"DROP TABLE {table}")
        else:
            database.execute(f"ALTER TABLE {table} RENAME TO other")
            database.execute(f"CREATE VIEW {table} AS SELECT * FROM other")
    data = path.read_bytes()
    path.unlink()
    return data
