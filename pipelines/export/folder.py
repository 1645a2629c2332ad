"""`lhq export --format folder`: one file per picture, in OUT/images, of the validation part in OUT/validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.engine.pool import Pool
from pipelines.export.format import TRAIN, VALIDATION, Member, Part

PLACES: dict[Part, str] = {TRAIN: "images", VALIDATION: "validation"}


@dataclass(frozen=True)
class Folder:
    """Pictures stay where they are placed. suffix: `.png` or `.jpg`."""

    suffix: str
    where: str = "`images/`"

    def file(self, number: int, part: Part) -> str:
        return f"{PLACES[part]}/{number:07d}{self.suffix}"

    def workplace(self, out: Path) -> Path:
        return out

    def packed(self, out: Path, members: Sequence[Member]) -> set[str]:
        del out, members
        return set()

    def pack(self, out: Path, members: Sequence[Member], left_out: frozenset[str], pool: Pool) -> None:
        """Nothing to do: a picture stays where it was placed."""

    def holders(self, members: Sequence[Member], left_out: frozenset[str]) -> dict[str, Part]:
        kept = [member for member in members if member.row["photo_id"] not in left_out]
        return {file: member.part for member in kept for file in member.files}
