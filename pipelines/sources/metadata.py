"""`--metadata FILE`: a CSV or Parquet table with titles, tags, authors and licences of a folder's photos."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests.errors import SetupError
from manifests.licenses import attribution, normalise
from manifests.tags import normalise_tags

PATH_COLUMNS = ("file", "path", "file_name", "filename")
_TEXT = {"title", "description", "author", "author_url", "page_url", "license_url"}
_SIZE = {"width", "height"}
_TIME = {"taken_at", "uploaded_at"}
_SHOWN = 10  # of the errors found, so many are shown


@dataclass(frozen=True)
class Metadata:
    """Rows by the path text they gave; `values` are columns of `photos`, ready to use."""

    file: Path
    rows: Mapping[str, Mapping[str, Any]]

    def matched(self, root: Path, files: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Rows by file (relative to `root`): a path is relative to `root`, or to the metadata file's folder."""
        above = _relative(root, self.file.parent)
        found = {}
        for file in files:
            row = self.rows.get(file)
            if row is None and above is not None:
                row = self.rows.get(f"{above}/{file}" if above else file)
            if row is not None:
                found[file] = row
        if not found and files:
            raise SetupError(
                f"none of the {len(self.rows):,} rows of {self.file} matches a photo under {root}: "
                f"its paths must be relative to {root} or to {self.file.parent}"
            )
        return found


def _relative(root: Path, folder: Path) -> str | None:
    try:
        text = root.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return None
    return "" if text == "." else text


def read(file: Path) -> Metadata:
    """Read the whole table; SetupError tells everything that is wrong with it at once."""
    try:
        records = _read_parquet(file) if file.suffix.lower() == ".parquet" else _read_csv(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SetupError(f"cannot read the metadata file {file}: {error}") from error
    rows: dict[str, Mapping[str, Any]] = {}
    wrong: list[str] = []
    for line, record in records:
        name = next((column for column in PATH_COLUMNS if record.get(column)), None)
        if name is None:
            wrong.append(f"line {line}: no path (it needs a column named {', '.join(PATH_COLUMNS[:-1])} or filename)")
            continue
        path = str(record[name]).replace("\\", "/").removeprefix("./")
        if path in rows:
            wrong.append(f"line {line}: a second row for {path}")
        rows[path] = _values({key: value for key, value in record.items() if key != name}, line, wrong)
    if wrong:
        more = f"\n  ... and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise SetupError(f"{file} has errors:\n  " + "\n  ".join(wrong[:_SHOWN]) + more)
    return Metadata(file, rows)


def _read_csv(file: Path) -> list[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream, strict=True)
        if reader.fieldnames is None:
            raise SetupError(f"the metadata file {file} is empty")
        records = []
        for record in reader:
            if None in record or None in record.values():
                raise SetupError(f"{file} line {reader.line_num}: another number of cells than the header has")
            records.append((reader.line_num, dict(record)))
    return records


def _read_parquet(file: Path) -> list[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file).read()
    except pa.ArrowInvalid as error:
        raise SetupError(f"cannot read the metadata file {file}: {error}") from error
    return list(enumerate(table.to_pylist(), start=1))


def _values(record: Mapping[str, Any], line: int, wrong: list[str]) -> dict[str, Any]:
    """Columns of `photos` from one row; what no column of ours is named after goes into `extra`."""
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in record.items():
        if value is None or value == "":
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
        extra["license_as_given"] = given
    values["license"] = license_.spdx
    values.setdefault("license_url", license_.url)
    values["attribution"] = attribution(values.get("title"), values.get("author"), license_, values.get("page_url"))
    values["extra"] = json.dumps(extra, sort_keys=True, default=str, ensure_ascii=False)
    return values


def _parsed(
    values: dict[str, Any], name: str, value: Any, parse: Callable[[Any], Any], line: int, wrong: list[str]
) -> None:
    try:
        values[name] = parse(value)
    except ValueError as error:
        wrong.append(f"line {line}: {name} {str(value)[:40]!r}: {error}")


def _positive(value: Any) -> int:
    number = int(value)
    if not 0 < number < 2**31:
        raise ValueError("must be a positive number of pixels")
    return number


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
