"""Rows from others join a leaderboard: those that can be compared with a row that stands there, marked as merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import leaderboard
from benchmarks.board_check import check
from benchmarks.leaderboard import ABOUT_THE_MEASURING, MERGED, OURS, PAPER, Row


@dataclass
class Merged:
    """What became of the rows of others."""

    added: list[Row] = field(default_factory=list)
    known: int = 0  # were there already
    refused: list[str] = field(default_factory=list)  # where, and why


def merge(board: Path, others: Sequence[Path]) -> Merged:
    """Add the rows of other files that can be compared with one of the board's.

    A file with a line that is not sound adds nothing: who wrote it should mend it. Raises SetupError where the board
    or a file cannot be read.
    """
    ours = leaderboard.read(board)
    merged = Merged()
    wanted: list[Row] = []
    for path in others:
        checked = check(path)
        merged.refused += [f"{path}, {problem}" for problem in checked.problems]
        if checked.problems:
            continue
        for line, row in checked.rows:
            if any(replace(row, origin=one.origin) == one for one in (*ours, *wanted)):
                merged.known += 1
            elif why := why_not(row, ours):
                merged.refused.append(f"{path}, line {line}: {why}")
            else:
                wanted.append(replace(row, origin=MERGED))
    if wanted:
        merged.added = leaderboard.extend(board, wanted)
    return merged


def why_not(row: Row, ours: Sequence[Row]) -> str | None:
    """Why a row can be compared with none of ours; None where it can."""
    if row.origin == PAPER:
        return "the paper's numbers come with the toolkit (benchmarks/paper.csv), not with a merge"
    if row.distance is None:
        return "nothing was measured (fid and fd are empty)"
    measured = [one for one in ours if one.distance is not None and one.origin in (OURS, MERGED)]
    if not measured:
        return "the leaderboard holds no measured row to compare it with"
    differing = _least_differing(row, measured)
    if not differing:
        return None
    said = "; ".join(f"{name} is {_short(theirs)}, here {_short(here)}" for name, theirs, here in differing)
    return f"cannot be compared with any row here: {said}"


def _least_differing(row: Row, measured: Sequence[Row]) -> list[tuple[str, object, object]]:
    """In what the row differs from the one of ours that is most like it: name, its value, our value."""
    every = [
        [
            (name, getattr(row, name), getattr(one, name))
            for name in ABOUT_THE_MEASURING
            if getattr(row, name) != getattr(one, name)
        ]
        for one in measured
    ]
    return min(every, key=len)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:32]}..."
