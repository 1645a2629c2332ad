"""Is a leaderboard's file one that others can rely on? Every line that is not is told, with what is wrong in it.

`leaderboard.read` takes whatever has the right columns and types; this looks further, for a file may come from anyone:
rows that stand there twice, numbers that cannot be, numbers that nothing can be compared with, text that a terminal or
a spreadsheet would obey.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from benchmarks.leaderboard import (
    ABOUT_THE_MEASURING,
    COLUMNS,
    KINDS,
    MERGED,
    OURS,
    PAPER,
    Problem,
    Row,
    parse,
    text_of,
)
from manifests.errors import SetupError

LARGEST_FILE = 8 * 2**20  # bytes
MOST_ROWS = 10_000
LONGEST_CELL = 500  # characters
FORMULAS = ("=", "+", "-", "@")  # a spreadsheet runs a cell that begins so
WITHOUT_PANORAMA = ("stylegan2",)

_HASH = re.compile(r"[0-9a-f]{64}")
_SIGNED = ("kid", "repetition")  # estimates that may fall below 0
_SHARES = ("precision", "recall")
_AT_LEAST_ONE = ("resolution", "anchor_distance", "patches", "n_real", "n_generated", "threads")


@dataclass(frozen=True)
class Checked:
    """The sound rows with their lines, and all problems by their lines."""

    rows: list[tuple[int, Row]]
    problems: list[Problem]


def check(path: Path) -> Checked:
    """Look at every line of a file. Raises MisuseError where there is none, SetupError for one too large to look at."""
    if path.is_file() and (size := path.stat().st_size) > LARGEST_FILE:
        raise SetupError(f"{path} has {size:,} bytes; a leaderboard of {LARGEST_FILE:,} at most is read")
    return check_text(text_of(path))


def check_text(text: str) -> Checked:
    """Look at every line."""
    rows, problems = parse(text)
    if len(rows) > MOST_ROWS:
        problems.append(Problem(rows[MOST_ROWS][0], "", f"more than {MOST_ROWS:,} rows"))
        rows = rows[:MOST_ROWS]
    seen: dict[Row, int] = {}
    sound = []
    for line, row in rows:
        found = [Problem(line, column, what) for column, what in (*_hostile(row), *_impossible(row), *_open(row))]
        first = seen.setdefault(replace(row, origin=OURS), line)
        if first != line:
            found.append(Problem(line, "", f"the same row as in line {first}"))
        problems += found
        if not found:
            sound.append((line, row))
    return Checked(sound, sorted(problems, key=lambda one: one.line))


Found = Iterator[tuple[str, str]]  # column, what is wrong


def _hostile(row: Row) -> Found:
    """Text that would do something where it is shown."""
    for name in COLUMNS:
        text = getattr(row, name)
        if not isinstance(text, str):
            continue
        if len(text) > LONGEST_CELL:
            yield name, f"{len(text):,} characters, {LONGEST_CELL} at most"
        if text.startswith(FORMULAS):
            yield name, f"begins with {text[0]!r}: a spreadsheet would run it"
        if odd := next((letter for letter in text if unicodedata.category(letter) in _INVISIBLE), None):
            yield name, f"holds the invisible character U+{ord(odd):04X}"


_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def _impossible(row: Row) -> Found:
    """Numbers and words that cannot be."""
    for name in COLUMNS:
        value, (kind, _) = getattr(row, name), KINDS[name]
        if value is None or kind is str:
            continue
        if value < 0 and name not in _SIGNED:
            yield name, f"{value} is below 0"
        if value < 1 and name in _AT_LEAST_ONE:
            yield name, f"{value} is below 1"
        if value > 1 and name in _SHARES:
            yield name, f"{value} is above 1"
    if row.origin not in (OURS, PAPER, MERGED):
        yield "origin", f"{row.origin!r} is none of {OURS}, {PAPER}, {MERGED}"
    if not row.model:
        yield "model", "no model is named"
    if row.subset_hash and not _HASH.fullmatch(row.subset_hash):
        yield "subset_hash", "no SHA-256 (64 hexadecimal digits)"
    if row.recipe_hash and not _HASH.fullmatch(row.recipe_hash):
        yield "recipe_hash", "no SHA-256 (64 hexadecimal digits)"
    if row.model in WITHOUT_PANORAMA and (row.endless is not None or row.infinity_setup is not None):
        yield "infinity_setup", f"{row.model} makes no panorama: it has no infinity numbers"
    parts = (row.generator, row.discriminator, row.total)
    if None not in parts and row.generator + row.discriminator != row.total:  # type: ignore[operator]
        yield "total", f"{row.total} is not generator + discriminator"
    if row.date is not None:
        try:
            datetime.fromisoformat(row.date)
        except ValueError:
            yield "date", f"{row.date[:40]!r} is no date as ISO 8601 writes it"


def _open(row: Row) -> Found:
    """Numbers that nothing can be compared with. The paper's may stand alone."""
    if row.origin == PAPER:
        return
    if (row.fid is not None or row.infinity_fid is not None) and (row.fd is not None or row.infinity_fd is not None):
        yield "fd", "a FID and an fd in one row: they are of different features, so of two rows"
    if row.distance is not None:
        for name in ABOUT_THE_MEASURING:
            if getattr(row, name) in (None, ""):
                yield name, "is empty: nothing could be compared with the distance of this row"
    if row.endless is not None:
        for name in ("infinity_setup", "sampling"):
            if getattr(row, name) is None:
                yield name, "is empty: nothing could be compared with the infinity number of this row"
