"""Lines of a text file that anybody may have written, none of them longer than memory is meant to hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from manifests.errors import SetupError

LONGEST_LINE = 8 * 1024**2  # characters; a file of other content may have no line break at all
LONGEST_ROW = 16 * 1024**2  # characters: a quote that is never closed would make one row of all lines


class Lines:
    """For a reader of CSV. SetupError, which calls the file `name`, where a line or the lines of one row are too long.

    `first` is the file's first line, where that was read before.
    """

    def __init__(self, stream: TextIO, name: str, first: str | None = None) -> None:
        self._stream, self._name = stream, name
        self._next = stream.readline(LONGEST_LINE) if first is None else first
        self._row = 0  # characters of the row that is being read

    def row_ends(self) -> None:
        """What comes now is another row's."""
        self._row = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next
        if not line:
            raise StopIteration
        self._row += len(line)
        if len(line) >= LONGEST_LINE:
            raise SetupError(f"{self._name} has a line of over {LONGEST_LINE:,} characters: it is no table")
        if self._row > LONGEST_ROW:
            raise SetupError(f"{self._name} has a row of over {LONGEST_ROW:,} characters: a quote is never closed")
        self._next = self._stream.readline(LONGEST_LINE)
        return line
