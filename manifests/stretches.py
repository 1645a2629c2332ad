"""Rows that are too many for memory, brought into another order: through temporary files, one to a stretch of it."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PLACE = "place"  # the column that is added
MOST = 200  # stretches of one order: each is an open file
ROWS = 65_536  # of a stretch at least

Places = npt.NDArray[np.int32]


def cut(count: int) -> list[range]:
    """So many places in stretches of one size; at least one stretch, which may be empty."""
    size = ROWS * -(-count // (ROWS * MOST)) or ROWS
    return [range(first, min(first + size, count)) for first in range(0, count, size)] or [range(0)]


def in_stretches(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    place: Places,
    stretches: Sequence[range],
    folder: Path | None = None,
) -> Iterator[pa.Table]:
    """The rows of `batches`, all of this schema, that go to each of the stretches, which follow one another from 0.

    `place` says of each row, counted through all batches, where it goes; below 0: nowhere. Rows beyond its end are left
    out. A table has the column `PLACE` besides; those of one place stand in the order in which they came. Until they
    are asked for they lie compressed in unnamed files in `folder`; None: where the system keeps such.
    """
    schema = schema.append(pa.field(PLACE, pa.int32(), nullable=False))
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile(dir=folder)) for _ in stretches]
        with contextlib.ExitStack() as writing:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            writers = [writing.enter_context(pa.ipc.new_stream(file, schema, options=options)) for file in files]
            done = 0
            for batch in batches:
                here = place[done : done + batch.num_rows]
                done += batch.num_rows
                order = np.argsort(here, kind="stable")
                columns = [*batch.slice(0, len(here)).columns, pa.array(here)]
                rows = pa.RecordBatch.from_arrays(columns, schema=schema).take(pa.array(order))
                edges = np.searchsorted(here[order], [0, *(stretch.stop for stretch in stretches)])
                for writer, (first, last) in zip(writers, itertools.pairwise(edges.tolist()), strict=True):
                    if first < last:
                        writer.write_batch(rows.slice(first, last - first))
        for file in files:
            file.seek(0)
            with pa.ipc.open_stream(file) as stream:
                rows_here = stream.read_all()
            file.close()
            yield rows_here


def one_each(rows: pa.Table, stretch: range) -> pa.Table:
    """Of every place of the stretch the last row that came to it; nulls where none did."""
    at = np.full(len(stretch), -1, np.int64)
    at[rows[PLACE].to_numpy() - stretch.start] = np.arange(rows.num_rows)
    return rows.drop_columns([PLACE]).take(pa.array(at, mask=at < 0))
