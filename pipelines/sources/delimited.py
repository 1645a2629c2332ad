"""Large delimited files that come in parts, in a folder or a zip, read as a stream: never unpacked, never held whole.

Real CSV quoting, line breaks inside quotes included; columns by the names in the header, whatever their order.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from manifests.archives import BAD_ZIP
from manifests.errors import MisuseError, SetupError
from manifests.lines import LONGEST_LINE, Lines

LONGEST_CELL = 4 * 1024**2  # characters
OTHER_CELLS = "rows with another number of cells than the header"

_SHOWN = 5


@dataclass(frozen=True)
class Part:
    """One file of a table: a path, or a member of the zip at that path."""

    place: Path
    member: str | None
    size: int  # bytes, uncompressed

    @property
    def name(self) -> str:
        return f"{self.place}: {self.member}" if self.member else str(self.place)

    @contextlib.contextmanager
    def open(self) -> Iterator[TextIO]:
        """The text; SetupError where it cannot be read. Bytes that are no UTF-8 become replacement characters."""
        try:
            with contextlib.ExitStack() as stack:
                if self.member is None:
                    raw: IO[bytes] = stack.enter_context(self.place.open("rb"))
                else:
                    archive = stack.enter_context(zipfile.ZipFile(self.place))
                    raw = stack.enter_context(archive.open(self.member))
                yield io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
        except BAD_ZIP as error:
            raise SetupError(f"{self.name} cannot be read ({error}): download it again") from error


def find(path: Path, table: str) -> list[Part]:
    """The parts `<table>.tsv000`, `.csv001`, ... of a folder or zip, by number; SetupError for what is neither."""
    wanted = re.compile(rf"{re.escape(table)}\.[tc]sv([0-9]{{0,9}})")
    if path.is_dir():
        there = [Part(file, None, file.stat().st_size) for file in path.iterdir() if file.is_file()]
    elif zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                there = [Part(path, one.filename, one.file_size) for one in archive.infolist() if not one.is_dir()]
        except BAD_ZIP as error:
            raise SetupError(f"{path} is damaged ({error}): download it again") from error
    else:
        raise MisuseError(f"{path} is neither a folder nor a zip file: give where the release lies, packed or unpacked")
    found = [
        (int(match[1] or 0), part.name, part)
        for part in there
        if (match := wanted.fullmatch((part.member or part.place.name).rpartition("/")[2]))
    ]
    return [part for _, _, part in sorted(found, key=lambda one: one[:2])]


def rows(
    parts: Sequence[Part], columns: Sequence[str], needed: Sequence[str], skipped: Counter[str]
) -> Iterator[list[str]]:
    """The cells of these columns of every row, in their order; empty text where the file has no such column.

    A part without a header row has the columns of the one before it. Rows with a wrong number of cells are counted
    in `skipped`. SetupError where a needed column is missing or the file is not of this kind.
    """
    csv.field_size_limit(LONGEST_CELL)
    header: list[str] = []
    for part in parts:
        with part.open() as stream:
            first = stream.readline(LONGEST_LINE)
            lines = Lines(stream, part.name, first)
            reader = csv.reader(lines, delimiter="\t" if first.count("\t") >= first.count(",") else ",")
            try:
                for number, cells in enumerate(reader):
                    lines.row_ends()
                    if number == 0 and needed[0] in cells:
                        header = cells
                        at = _places(part, header, columns, needed)
                    elif not header:
                        raise SetupError(f"{part.name} has no column {needed[0]}; it begins with: {_some(cells)}")
                    elif len(cells) != len(header):
                        skipped[OTHER_CELLS] += bool(cells)  # an empty line is none
                    else:
                        yield [cells[place] if place is not None else "" for place in at]
            except csv.Error as error:
                raise SetupError(f"{part.name}, line {reader.line_num}: {error}: download it again") from error


def _places(part: Part, header: Sequence[str], columns: Sequence[str], needed: Sequence[str]) -> list[int | None]:
    if missing := [name for name in needed if name not in header]:
        raise SetupError(f"{part.name} has no column {missing[0]}; it has: {_some(header)}")
    return [header.index(name) if name in header else None for name in columns]


def _some(cells: Sequence[str]) -> str:
    text = ", ".join(cell[:40] for cell in cells[:_SHOWN]) or "nothing"
    return text + (", ..." if len(cells) > _SHOWN else "")
