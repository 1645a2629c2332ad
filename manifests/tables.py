"""Append-only tables of Parquet parts, merged as they come, safe to read while they are written.

A part `part-<first>-<last>.parquet` holds the appends numbered first to last. Appending writes a part of
one number; whenever eight neighbours of one width stand at the end they are merged into one of eight times
the width. Readers ignore a part whose range lies inside another's, so a merge needs no moment of silence,
and the parts it replaced are removed later. Only the holder of the table's lock calls a method that writes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import atomic, faults
from manifests.errors import SetupError
from manifests.rows import latest

FAN_IN = 8  # neighbours of one width that become one part
MERGE_BYTES = 512 * 1024**2  # parts together above this size are left as they are
ROW_GROUP = 65_536

_NAME = re.compile(r"part-(\d{9,})-(\d{9,})\.parquet")
_READ_ATTEMPTS = 20  # a listing can go stale while parts are swept; each retry lists anew


@dataclass(frozen=True, order=True)
class Part:
    """One file of a table: the appends numbered first to last."""

    first: int
    last: int
    path: Path

    @property
    def width(self) -> int:
        return self.last - self.first + 1


class Table:
    """One generation of one table, in `folder`, with a stated schema."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self.schema = schema

    # Reading: no lock, at any moment.

    def parts(self) -> list[Part]:
        """The live parts in order of number; one may be swept after the listing, which `opened` makes good."""
        return _live(self._listed())

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows in order of part, then row. Columns that an older part lacks are null."""
        schema = self.schema if columns is None else pa.schema([self.schema.field(name) for name in columns])
        return self._gathered(schema, lambda file, present: file.read(columns=present))

    def read_where(self, column: str, value: str, columns: Sequence[str]) -> pa.Table:
        """The rows that have this value in a column, in order of part, then row; of them `columns`.

        The footers say of most row groups whether all or none of the rows have it: then the column is not read.
        """
        schema = pa.schema([self.schema.field(name) for name in columns])
        return self._gathered(schema, lambda file, present: _read_where(file, column, value, present))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of `read`, a row group at a time, so that little of a large table is in memory."""
        schema = pa.schema([self.schema.field(name) for name in columns])
        with self.opened() as files:
            for part, file in files:
                yield from _batches(part, file, schema)

    @contextlib.contextmanager
    def opened(self) -> Iterator[list[tuple[Part, pq.ParquetFile]]]:
        """The live parts, all of them open: what is open can be read to its end though it is swept meanwhile."""
        with contextlib.ExitStack() as stack:
            yield self._open_all(stack)

    def current(self, key: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The latest row of each key, in order of the key's first appearance."""
        return latest(self.read(columns), key)

    def row_count(self) -> int:
        """Number of rows, superseded ones included, from the footers alone."""
        with self.opened() as files:
            return sum(file.metadata.num_rows for _, file in files)

    def stored_columns(self) -> set[str]:
        """Names of the columns that the parts hold, whatever this table's schema states."""
        with self.opened() as files:
            return {name for _, file in files for name in file.schema_arrow.names}

    def version(self) -> list[str]:
        """Names of the live parts: equal names mean equal content, as parts are never changed."""
        return [part.path.name for part in self.parts()]

    def _listed(self) -> list[Part]:
        if not self.folder.is_dir():
            _refuse_if_rewritten(self.folder)
            return []
        found = ((_NAME.fullmatch(path.name), path) for path in self.folder.iterdir())
        return [Part(int(match[1]), int(match[2]), path) for match, path in found if match]

    def _open_all(self, stack: contextlib.ExitStack) -> list[tuple[Part, pq.ParquetFile]]:
        for attempt in range(_READ_ATTEMPTS):
            parts = self.parts()
            with contextlib.suppress(FileNotFoundError):
                if (lost := _first_gap(parts)) is None:
                    return [(part, stack.enter_context(open_part(part))) for part in parts]
                if attempt and parts == self.parts():
                    raise SetupError(f"{self.folder}: append {lost} is missing; restore it from a backup")
        raise SetupError(f"{self.folder} changes faster than it can be read; try again")

    def _gathered(self, schema: pa.Schema, read: Callable[[pq.ParquetFile, list[str]], pa.Table]) -> pa.Table:
        """What `read` gives of each part and those of these columns that it has, one after the other."""
        tables = []
        with self.opened() as files:
            for part, file in files:
                with naming(part):
                    tables.append(_conform(read(file, _present(file, schema)), schema))
        return pa.concat_tables(tables) if tables else schema.empty_table()

    # Writing: under the table's lock.

    def append(self, rows: pa.Table) -> None:
        """Commit rows as the next part; when this returns they survive a power cut."""
        if rows.num_rows == 0:
            return
        atomic.make_folder(self.folder)
        rows = rows.select(self.schema.names).cast(self.schema)
        parts = self.parts()
        number = parts[-1].last + 1 if parts else 1
        with atomic.replacing(self._path(number, number)) as temporary:
            write_part(temporary, self.schema, rows.to_batches(), fault="part.write.inside")
        self._merge_tail()

    def sweep(self) -> None:
        """Remove what interrupted writes and finished merges left behind."""
        if self.folder.is_dir():
            atomic.sweep_temporaries(self.folder)
            self._remove_replaced(keep=[])

    def _merge_tail(self) -> None:
        while True:
            tail = self.parts()[-FAN_IN:]
            if len(tail) < FAN_IN or len({part.width for part in tail}) > 1:
                return
            if sum(part.path.stat().st_size for part in tail) > MERGE_BYTES:
                return
            with atomic.replacing(self._path(tail[0].first, tail[-1].last)) as temporary:
                write_part(temporary, self.schema, _batches_of(tail, self.schema))
                faults.point("part.merge.before_rename")
            self._remove_replaced(keep=tail)  # a reader may have just listed these

    def _remove_replaced(self, keep: Sequence[Part]) -> None:
        spared = {part.path for part in _live(self._listed())} | {part.path for part in keep}
        for part in self._listed():
            if part.path not in spared:
                part.path.unlink(missing_ok=True)

    def _path(self, first: int, last: int) -> Path:
        return self.folder / f"part-{first:09d}-{last:09d}.parquet"


def is_generation(folder: Path) -> bool:
    """Whether a folder's name is that of a generation."""
    return folder.name.isascii() and folder.name.isdigit()


def _refuse_if_rewritten(folder: Path) -> None:
    """SetupError where this generation is gone and a later one is there; none at all is a table never written."""
    if not is_generation(folder) or not folder.parent.is_dir():
        return
    if any(is_generation(other) and int(other.name) > int(folder.name) for other in folder.parent.iterdir()):
        raise SetupError(
            f"{folder} was replaced by a take-down while this command ran (or dataset.json is an older copy): "
            f"run the command again"
        )


def _live(parts: Sequence[Part]) -> list[Part]:
    """Parts that no other part covers, in order of number."""
    live: list[Part] = []
    for part in sorted(parts, key=lambda part: (part.first, -part.last)):
        if not live or part.last > live[-1].last:
            live.append(part)
    return live


def _first_gap(parts: Sequence[Part]) -> int | None:
    """The first append between 1 and the last that no part holds: of a listing gone stale, or of a lost part."""
    wanted = 1
    for part in parts:
        if part.first > wanted:
            return wanted
        wanted = part.last + 1
    return None


def _read_where(file: pq.ParquetFile, column: str, value: str, columns: Sequence[str]) -> pa.Table:
    """See `Table.read_where`."""
    place = file.schema.names.index(column)
    alike: dict[bool, list[int]] = {True: [], False: []}
    for group in range(file.num_row_groups):
        facts = file.metadata.row_group(group).column(place).statistics
        known = facts is not None and facts.has_min_max and facts.has_null_count
        if known and not facts.min <= value <= facts.max:
            continue
        alike[known and facts.min == facts.max and facts.null_count == 0].append(group)
    if not alike[False]:
        return file.read_row_groups(alike[True], columns=columns)
    rows = file.read_row_groups(sorted(alike[True] + alike[False]), columns=[*columns, column])
    return rows.filter(pc.equal(rows[column], value)).select(columns)


def open_part(part: Part) -> pq.ParquetFile:
    """A part to read from, its pages checked; SetupError where it is damaged."""
    with naming(part):
        return pq.ParquetFile(part.path, page_checksum_verification=True)


def read_through(file: pq.ParquetFile) -> int:
    """Read everything once, a row group at a time, so that damage is met, text that is none too; the number of rows."""
    count = 0
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        rows.validate(full=True)
        count += rows.num_rows
    return count


@contextlib.contextmanager
def naming(part: Part) -> Iterator[None]:
    """SetupError that names the part where its content is damaged."""
    try:
        yield
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's trouble; Arrow's own complaints about content carry no number
        raise SetupError(f"{part.path} is damaged ({error}); restore it from a backup of the dataset") from error


def _present(file: pq.ParquetFile, schema: pa.Schema) -> list[str]:
    """Those of these columns that a part has: it may be older than some of them."""
    return [name for name in schema.names if name in file.schema_arrow.names]


def _conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with these columns. Raises ValueError for text that is no UTF-8, and where a column that every row must
    have is empty in some."""
    rows.validate(full=True)
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    for field, column in zip(schema, columns, strict=True):
        if not field.nullable and column.null_count:
            raise ValueError(f"{column.null_count:,} rows without {field.name}")
    return pa.Table.from_arrays(columns, schema=schema)


def _batches_of(parts: Sequence[Part], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows of several parts, a row group at a time, so that a merge holds little in memory."""
    for part in parts:
        with open_part(part) as file:
            yield from _batches(part, file, schema)


def _batches(part: Part, file: pq.ParquetFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    present = _present(file, schema)
    for group in range(file.num_row_groups):
        with naming(part):
            rows = _conform(file.read_row_group(group, columns=present), schema)
        yield from rows.to_batches()


def write_part(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], fault: str | None = None) -> None:
    """Write rows as a part, a row group at a time; `fault` is passed before its footer is on disk."""
    with (
        path.open("wb") as stream,
        pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            if sum(one.num_rows for one in held) >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held, schema), row_group_size=ROW_GROUP)
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held, schema), row_group_size=ROW_GROUP)
        if fault:
            stream.flush()  # the rows are on disk, the footer is not
            faults.point(fault)
