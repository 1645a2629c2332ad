"""Encoded pictures out of folders, zips, WebDataset tars and Parquet files, by their names.

Pictures are ordered by their names, whatever file they lie in. Those of an export are numbers of one width, so that
the same export in two formats gives the same pictures in the same order. Nothing is unpacked to disk or unpickled.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from benchmarks import exports
from benchmarks.exports import LARGEST_FILE, SUFFIXES, Source
from manifests.archives import BAD_TAR, BAD_ZIP
from manifests.errors import SetupError

TOGETHER = 64  # pictures that one thread reads in a row
ROWS = 8  # of a Parquet file, held at once
PARQUET = ("image.bytes", "image.path")  # its columns, as `datasets` lays out an Image

Encoded = Iterator[tuple[str, bytes]]


@dataclass(frozen=True)
class Piece:
    """Some pictures that are read one after the other. `read` raises SetupError where that fails."""

    names: Sequence[str]
    read: Callable[[], Encoded]


@contextmanager
def pieces(source: Source) -> Iterator[list[Piece]]:
    """Everything there is to read, in order; pieces may be read by several threads while this is open.

    An export's archives are checked against their sums first. Raises SetupError for archives that are changed,
    damaged, or hold a picture that is too large, twice there or of a name that leads out of its folder.
    """
    if source.is_export and source.form != "folder":
        exports.refuse_changed(source)
    with ExitStack() as opened:
        found: list[Piece] = []
        for name, path in {"": source.place}.items() if source.form == "folder" else source.files.items():
            if source.form == "folder":
                found += _of_folder(source)
            elif source.form == "zip":
                found += _of_zip(path, opened)
            elif source.form == "webdataset":
                found += _of_tar(path)
            else:
                found += _of_parquet(path, name)
        _refuse_odd_names(source, found)
        yield found


def _refuse_odd_names(source: Source, found: Sequence[Piece]) -> None:
    names = [name for piece in found for name in piece.names]
    if len(names) < 2:
        raise exports.too_few(source.place, len(names))
    known: set[str] = set()
    for name in names:
        if name in known:
            raise SetupError(f"{source.place} holds two pictures of the name {name!r}; export again")
        if name.startswith("/") or ".." in PurePosixPath(name).parts or "\0" in name:
            raise SetupError(f"{source.place} holds a picture whose name leads out of its folder, {name!r}; remove it")
        known.add(name)


def _refuse_large(place: Path, name: str, size: int) -> None:
    if size > LARGEST_FILE:
        raise SetupError(f"{place}: {name} would be {size:,} bytes; a picture has {LARGEST_FILE:,} at most")


def unreadable(place: Path, name: str, error: Exception) -> SetupError:
    """For a picture that cannot be read or decoded."""
    return SetupError(f"{place}: {name}: {error}; remove the file or export again")


def _cut(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[first : first + TOGETHER] for first in range(0, len(names), TOGETHER))


def _of_folder(source: Source) -> Iterator[Piece]:
    def read(names: Sequence[str]) -> Encoded:
        for name in names:
            try:
                _refuse_large(source.place, name, source.files[name].stat().st_size)
                yield name, source.files[name].read_bytes()
            except OSError as error:
                raise unreadable(source.place, name, error) from error

    return (Piece(names, lambda names=names: read(names)) for names in _cut(list(source.files)))  # type: ignore[misc]


def _of_zip(path: Path, opened: ExitStack) -> Iterator[Piece]:
    try:
        unpacked = opened.enter_context(zipfile.ZipFile(path))
    except BAD_ZIP as error:
        raise SetupError(f"{path} is not a zip that can be read ({error})") from error
    members = [one for one in unpacked.infolist() if one.filename.lower().endswith(SUFFIXES)]
    members.sort(key=lambda one: one.filename)
    for one in members:
        _refuse_large(path, one.filename, one.file_size)

    def read(some: Sequence[zipfile.ZipInfo]) -> Encoded:
        for one in some:
            try:
                content = unpacked.read(one)  # never more than file_size
            except BAD_ZIP as error:
                raise unreadable(path, one.filename, error) from error
            yield one.filename, content

    for first in range(0, len(members), TOGETHER):
        some = members[first : first + TOGETHER]
        yield Piece([one.filename for one in some], lambda some=some: read(some))  # type: ignore[misc]


def _of_tar(path: Path) -> Iterator[Piece]:
    """Tars are indexed once and then read at their places: tarfile itself is not made for threads."""
    places: dict[str, tuple[int, int]] = {}  # first byte, bytes
    try:
        with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            stream.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
            if any(stream.read()):
                raise EOFError("it ends too early")
            stream.seek(archive.offset)
            for one in archive:
                if not one.name.lower().endswith(SUFFIXES):
                    continue
                if not one.isreg() or one.issparse():
                    raise SetupError(f"{path}: {one.name!r} is no plain file; export again")
                if one.name in places:
                    raise SetupError(f"{path} holds two pictures of the name {one.name!r}; export again")
                _refuse_large(path, one.name, one.size)
                places[one.name] = (one.offset_data, one.size)
    except BAD_TAR as error:
        raise SetupError(f"{path} is not a tar that can be read ({error}); export again") from error

    def read(names: Sequence[str]) -> Encoded:
        try:
            with path.open("rb") as stream:
                for name in names:
                    stream.seek(places[name][0])
                    content = stream.read(places[name][1])
                    if len(content) != places[name][1]:
                        raise unreadable(path, name, EOFError("the tar ends before the picture does"))
                    yield name, content
        except OSError as error:
            raise unreadable(path, names[0], error) from error

    return (Piece(names, lambda names=names: read(names)) for names in _cut(sorted(places)))  # type: ignore[misc]


def _of_parquet(path: Path, file_name: str) -> list[Piece]:
    """A piece for each row group; only the names are read now."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def read(group: int) -> Encoded:
        try:
            with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
                wanted = {"row_groups": [group], "columns": list(PARQUET), "use_threads": False}
                for batch in file.iter_batches(batch_size=ROWS, **wanted):
                    yield from _rows(path, batch.column("image").to_pylist())
        except (pa.ArrowException, OSError) as error:
            raise SetupError(f"{path} cannot be read ({error}); export again") from error

    try:
        with pq.ParquetFile(path) as file:
            _refuse_other_columns(path, file.schema_arrow)
            found = []
            for group in range(file.metadata.num_row_groups):
                _refuse_large_group(path, group, file.metadata.row_group(group))
                names = list(_names(path, file, group))
                found.append(Piece(names, lambda group=group: read(group)))  # type: ignore[misc]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SetupError(f"{file_name} in {path.parent} is no Parquet that can be read ({error})") from error
    return found


def _names(path: Path, file: Any, group: int) -> Iterator[str]:
    """The names of a row group, some at a time: a small file can say one of them thousands of millions of times."""
    known: set[str] = set()
    for batch in file.iter_batches(batch_size=TOGETHER, row_groups=[group], columns=[PARQUET[1]]):
        for row in batch.column("image").to_pylist():
            name = row["path"] if row else None
            if not isinstance(name, str):
                raise SetupError(f"{path}: a picture of row group {group} has no name; export again")
            if name in known:
                raise SetupError(f"{path} holds two pictures of the name {name!r}; export again")
            known.add(name)
            yield name


def _rows(path: Path, rows: Sequence[Mapping[str, Any] | None]) -> Encoded:
    for row in rows:
        name, content = (row["path"], row["bytes"]) if row else (None, None)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise SetupError(f"{path}: the picture {name!r} is empty; export again")
        _refuse_large(path, name, len(content))
        yield name, content


def _refuse_other_columns(path: Path, schema: Any) -> None:
    import pyarrow as pa

    at = schema.get_field_index("image")
    kind = schema.field(at).type if at >= 0 else None
    inner = [kind.field(one) for one in range(kind.num_fields)] if kind and pa.types.is_struct(kind) else []
    fields = {one.name: one.type for one in inner}
    if fields.get("bytes") not in (pa.binary(), pa.large_binary()) or fields.get("path") not in (
        pa.string(),
        pa.large_string(),
    ):
        raise SetupError(f"{path} has no column `image` of bytes and path, as lhq export writes it; export again")


def _refuse_large_group(path: Path, group: int, told: Any) -> None:
    """SetupError where a row group says that it unpacks to more than pictures take."""
    size = sum(
        told.column(one).total_uncompressed_size
        for one in range(told.num_columns)
        if told.column(one).path_in_schema in PARQUET
    )
    if size > min(told.num_rows * LARGEST_FILE, 2**31):
        raise SetupError(f"{path}: row group {group} would be {size:,} bytes, for {told.num_rows:,} pictures")
