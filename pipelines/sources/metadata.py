"""`--metadata FILE`: a CSV or Parquet table with titles, tags, authors and licences of a folder's photos."""

from __future__ import annotations

import csv
import json
import math
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests.errors import MisuseError, SetupError
from manifests.licenses import attribution, normalise
from manifests.tags import normalise_tags

PATH_COLUMNS = ("file", "path", "file_name", "filename")
_TEXT = {"title", "description", "author", "author_url", "page_url", "license_url", "attribution"}
_SIZE = {"width", "height"}
_TIME = {"taken_at", "uploaded_at"}
COLUMNS = _TEXT | _SIZE | _TIME | {"tags", "license"}  # beside the path; others go into `extra`
AS_GIVEN = "license_as_given"  # in `extra`: the text of a licence that is not known
LARGEST = 4 * 1024**3  # bytes that a Parquet table may unpack to
_TOGETHER = 256  # rows, unpacked before they are counted
_SHOWN = 10  # of errors, and of columns, so many are shown

_Wrong = tuple[int, str]  # line, what is wrong there


@dataclass(frozen=True)
class Metadata:
    """Rows by the path text they gave; `values` are columns of `photos`, ready to use."""

    file: Path
    rows: Mapping[str, Mapping[str, Any]]

    def matched(self, root: Path, files: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Rows by file (relative to `root`): a path is relative to `root`, or to the metadata file's folder.

        Where both readings fit, the one that fits more photos goes first, and no row serves two photos.
        """
        top, here = f"{root.resolve().as_posix()}/", self.file.parent.resolve().as_posix()
        from_here = {_plain(f"{here}/{path}"): path for path in self.rows}
        readings = [
            {path: path for path in self.rows},
            {whole.removeprefix(top): path for whole, path in from_here.items() if whole.startswith(top)},
        ]
        readings.sort(key=lambda reading: sum(file in reading for file in files), reverse=True)
        found: dict[str, Mapping[str, Any]] = {}
        used: set[str] = set()
        for reading in readings:
            for file in files:
                path = reading.get(file)
                if path is not None and file not in found and path not in used:
                    found[file] = self.rows[path]
                    used.add(path)
        if not found and files:
            raise SetupError(
                f"none of the rows of {self.file} ({len(self.rows):,}) matches a photo under {root}: "
                f"its paths must be relative to {root} or to {self.file.parent}"
            )
        return found


def notes(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What somebody who misspelt a column or a licence should see: columns nobody reads, licences nobody knows."""
    names: dict[str, None] = {}
    licences: list[str] = []
    for row in rows.values():
        for name, value in json.loads(row["extra"]).items():
            if name == AS_GIVEN:
                licences.append(str(value))
            else:
                names[name] = None
    lines = []
    if names:
        shown = ", ".join(list(names)[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        read_ = ", ".join(sorted(COLUMNS))
        lines.append(f"metadata columns that are kept and not read: {shown} (read are: {read_})")
    if licences:
        lines.append(f"licences that are not known: {len(licences):,}, such as {licences[0]!r}")
    return lines


def _plain(path: str) -> str:
    """The one form paths are compared in: forward slashes, no `.` and no `folder/..`."""
    return posixpath.normpath(path.replace("\\", "/"))


def read(file: Path) -> Metadata:
    """Read the whole table; SetupError tells everything wrong with it at once, MisuseError that it is no file."""
    if not file.exists():
        raise MisuseError(f"--metadata {file}: there is no such file")
    if file.is_dir():
        raise MisuseError(f"--metadata {file}: it is a folder; give a CSV or Parquet file")
    wrong: list[_Wrong] = []
    try:
        columns, records = (_read_parquet if file.suffix.lower() == ".parquet" else _read_csv)(file, wrong)
    except UnicodeDecodeError as error:
        raise SetupError(
            f"cannot read the metadata file {file}: its text is not UTF-8; save it as CSV in UTF-8"
        ) from error
    except (OSError, csv.Error) as error:
        raise SetupError(f"cannot read the metadata file {file}: {error}") from error
    if not set(columns) & set(PATH_COLUMNS):
        raise SetupError(
            f"{file} has no path column: it needs one named {', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}; "
            f"it has: {', '.join(columns)}"
        )
    if twice := sorted(name for name, count in Counter(columns).items() if count > 1):
        raise SetupError(f"{file} has more than one column named {', '.join(twice)}")
    rows: dict[str, Mapping[str, Any]] = {}
    for line, record in records:
        name = next((column for column in PATH_COLUMNS if record.get(column)), None)
        if name is None:
            wrong.append((line, "no path"))
            continue
        path = _plain(str(record[name]))
        if path in rows:
            wrong.append((line, f"a second row for {path}"))
        rows[path] = _values({key: value for key, value in record.items() if key != name}, line, wrong)
    if wrong:
        shown = [f"line {line}: {what}" for line, what in sorted(wrong)[:_SHOWN]]
        more = f"\n  ... and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise SetupError(f"{file} has errors:\n  " + "\n  ".join(shown) + more)
    return Metadata(file, rows)


_Records = tuple[Sequence[str], list[tuple[int, dict[str, Any]]]]  # names of columns, rows by line


def _read_csv(file: Path, wrong: list[_Wrong]) -> _Records:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        if not reader.fieldnames:
            raise SetupError(f"the metadata file {file} is empty")
        records = []
        try:
            for record in reader:
                if None in record or None in record.values():
                    wrong.append((reader.line_num, "another number of cells than the header has"))
                else:
                    records.append((reader.line_num, dict(record)))
        except csv.Error as error:
            wrong.append((reader.line_num + 1, f"{error}; nothing after it was read"))
    return list(reader.fieldnames), records


def _read_parquet(file: Path, wrong: list[_Wrong]) -> _Records:  # noqa: ARG001 (what is wrong with it is so as a whole)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as stream:
            names = stream.schema_arrow.names
            if len(set(names)) < len(names):
                return names, []
            kinds = pa.schema([field.with_type(_unpacked(field.type)) for field in stream.schema_arrow])
            rows = [row for batch in _bounded(stream, kinds) for row in batch.to_pylist()]
        return names, list(enumerate(rows, start=1))
    except (pa.ArrowException, ValueError, OverflowError, RecursionError) as error:  # also dates Python cannot hold
        raise SetupError(f"cannot read the metadata file {file}: {error}") from error


def _unpacked(kind: Any) -> Any:
    """The Arrow type by which Python gets plain values: microseconds, and no dictionaries."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _unpacked(kind.value_type)
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    if pa.types.is_list(kind):
        return pa.list_(_unpacked(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([kind.field(at).with_type(_unpacked(kind.field(at).type)) for at in range(kind.num_fields)])
    return kind


def _bounded(stream: Any, kinds: Any) -> Iterator[Any]:
    """The batches of a Parquet file. Raises ValueError where a small file unpacks to more than anyone wrote."""
    size = 0
    for packed in stream.iter_batches(batch_size=_TOGETHER):
        batch = packed.cast(kinds, safe=False)
        size += batch.nbytes
        if size > LARGEST:
            raise ValueError(f"it unpacks to over {LARGEST:,} bytes")
        yield batch


def _values(record: Mapping[str, Any], line: int, wrong: list[_Wrong]) -> dict[str, Any]:
    """Columns of `photos` from one row; what no column of ours is named after goes into `extra`."""
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in record.items():
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):  # no value
            continue
        if name in _TEXT:
            values[name] = str(value)
        elif name in _SIZE:
            _parsed(values, name, value, _positive, line, wrong)
        elif name in _TIME:
            _parsed(values, name, value, _time, line, wrong)
        elif name == "tags":
            values["tags_raw"] = _tags(value)
            values["tags"] = normalise_tags(values["tags_raw"])
        elif name == "license":
            values["license"] = str(value)
        else:
            extra[name] = value
    return _with_rights(values, extra)


def _with_rights(values: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    given = values.pop("license", None)
    license_ = normalise(given)
    if given is not None and license_.spdx == "LicenseRef-unknown":
        extra[AS_GIVEN] = given
    values["license"] = license_.spdx
    values.setdefault("license_url", license_.url)
    line = attribution(values.get("title"), values.get("author"), license_, values.get("page_url"))
    values.setdefault("attribution", line)
    values["extra"] = _json(extra)
    return values


def _json(extra: Mapping[str, Any]) -> str:
    """Valid JSON: numbers it does not know, such as infinity, become text."""
    text = json.dumps(extra, sort_keys=True, default=str, ensure_ascii=False)
    return json.dumps(json.loads(text, parse_constant=str), sort_keys=True, ensure_ascii=False)


def _parsed(
    values: dict[str, Any], name: str, value: Any, parse: Callable[[Any], Any], line: int, wrong: list[_Wrong]
) -> None:
    try:
        values[name] = parse(value)
    except (ValueError, OverflowError) as error:
        wrong.append((line, f"{name} {str(value)[:40]!r}: {error}"))


def _positive(value: Any) -> int:
    try:
        number = float(value)  # tables with gaps write 512 as 512.0
    except (TypeError, ValueError):
        number = 0.0
    if not number.is_integer() or not 0 < number < 2**31:
        raise ValueError("must be a positive whole number of pixels")
    return int(number)


def _time(value: Any) -> datetime:
    time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _tags(value: Any) -> tuple[str, ...]:
    """A list as it is; text split at semicolons, else at commas."""
    if isinstance(value, (list, tuple)):
        return tuple(str(tag) for tag in value if tag)
    text = str(value)
    parts = text.split(";") if ";" in text else text.split(",")
    return tuple(part.strip() for part in parts if part.strip())
