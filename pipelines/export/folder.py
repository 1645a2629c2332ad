"""`lhq export --format folder`: one PNG file per picture, in OUT/images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.export.format import Member

WHERE = "`images/`"


def file(number: int) -> str:
    return f"images/{number:07d}.png"


def workplace(out: Path) -> Path:
    return out


def packed(out: Path) -> set[str]:
    del out
    return set()


def pack(out: Path, members: Sequence[Member]) -> None:
    """Nothing to do: a picture stays where it was placed."""


def holders(members: Sequence[Member]) -> list[str]:
    return [file for member in members for file in member.files]
