"""Rows of tables looked up by a key, taken and put into order, also where a column holds more than 2 GiB of text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LARGE_BYTES = 2**31 - 1  # of a column, above which 32-bit offsets do not reach


def latest(rows: pa.Table, key: str) -> pa.Table:
    """The last row of each key, in order of the key's first appearance."""
    if len(pc.unique(rows[key])) == rows.num_rows:  # nothing was superseded
        return rows
    numbered = pa.table({"key": rows[key], "row": np.arange(rows.num_rows)})
    grouped = numbered.group_by("key", use_threads=False).aggregate([("row", "min"), ("row", "max")])
    return take(rows, grouped.sort_by("row_min")["row_max"])  # Arrow leaves the order of groups open


def take(rows: pa.Table, at: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The rows at these places; null where a place is null. Text above 2 GiB becomes `large_string`.

    Arrow puts the chunks of a column together to take from them, and its `string` counts bytes in 32 bits.
    """
    for place, field in enumerate(rows.schema):
        if rows[field.name].nbytes > LARGE_BYTES:
            wide = field.with_type(_large(field.type))
            rows = rows.set_column(place, wide, rows[field.name].cast(wide.type))
    return rows.take(at)


def latest_at(wanted: pa.ChunkedArray | pa.Array, keys: pa.ChunkedArray | pa.Array) -> pa.Array:
    """For each wanted key the place of its last row among `keys`; null where it has none."""
    last = len(keys) - 1
    backwards = in_one(keys.take(pa.array(np.arange(last, -1, -1))))
    at = pc.index_in(wanted, value_set=backwards)  # of a key that stands twice it finds the first
    return in_one(pc.subtract(pa.scalar(last, pa.int64()), pc.cast(at, pa.int64())))


def in_one(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one array; where it is one already nothing is copied, as `combine_chunks` would."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def sorted_by(rows: pa.Table, key: str) -> pa.Table:
    """The rows in order of a column."""
    return take(rows, pc.sort_indices(rows[key]))


def not_in(rows: pa.Table, key: str, known: pa.ChunkedArray | pa.Array) -> pa.Table:
    """The rows whose key is not among `known` (anti-join)."""
    return rows.filter(pc.invert(pc.is_in(rows[key], value_set=in_one(known))))


def _large(kind: pa.DataType) -> pa.DataType:
    """The same type with offsets of 64 bits."""
    if pa.types.is_list(kind):
        return pa.large_list(_large(kind.value_type))
    return {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(kind, kind)
