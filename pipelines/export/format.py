"""The contract of an export's format: what its pictures are called, where they are made, what holds them at last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from pipelines.engine.pool import Pool

Part = Literal["train", "validation"]
TRAIN: Final = "train"
VALIDATION: Final = "validation"
PARTS: tuple[Part, ...] = (TRAIN, VALIDATION)


@dataclass(frozen=True)
class Member:
    """A photo in an export."""

    row: Mapping[str, Any]  # photo_id, path, file_width, file_height and the columns of `rights`
    files: tuple[str, ...]  # the names of its pictures, by crop number
    part: Part = TRAIN


class Format(Protocol):
    """What a module of this package makes. Pictures are placed one by one in a workplace; `pack` makes of them what
    is kept.

    Whatever it does may be killed and is then done again; equal pictures give equal bytes.
    """

    @property
    def where(self) -> str:
        """For the card: where in the export the pictures are."""

    def file(self, number: int, part: Part) -> str:
        """The name of a picture, in some folder, such as `images/0000000.png`; sorted as the numbers of a part are."""

    def workplace(self, out: Path) -> Path:
        """The folder below which the pictures are placed, one file each, under their names."""

    def packed(self, out: Path, members: Sequence[Member]) -> set[str]:
        """Names that an earlier `pack` took in: they need not be in the workplace."""

    def pack(self, out: Path, members: Sequence[Member], left_out: frozenset[str], pool: Pool) -> None:
        """Bring the pictures of all members but those left out (photo ids) to where they stay, and leave no workplace
        that is not that."""

    def holders(self, members: Sequence[Member], left_out: frozenset[str]) -> dict[str, Part]:
        """The files of the export, relative to it, that hold the pictures, and which part each holds."""
