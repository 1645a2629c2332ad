"""What each network of the invariance stage learns from, and what it is asked that it did not learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from manifests.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

LEAST_TRAINING = 160  # photos a network learns from, where the other folds have so many
TRAINED, VALIDATION = 0.15, 0.05  # shares of the official split


@dataclass
class Lessons:
    """Tiles uint8 [parts, 3, height, width] of photos, and for each network the rows of them that it meets."""

    learns: list[list[int]]
    judges: list[list[int]]  # held out: it did not learn from them
    tiles: list[Tensor] = field(default_factory=list)
    learned_from: list[str] = field(default_factory=list)  # marks of photos, in the official split
    kept_apart: list[str] = field(default_factory=list)  # marks of its validation photos

    def learned(self, network: int) -> list[Tensor]:
        """The tiles that a network learns from."""
        return [self.tiles[row] for row in self.learns[network]]

    def held_out(self, network: int) -> list[Tensor]:
        """The tiles that a network judges and did not learn from."""
        return [self.tiles[row] for row in self.judges[network]]


@dataclass(frozen=True)
class Reader:
    """How photos become tiles; InputError for a damaged one."""

    sha256s: Sequence[str]
    tiles: Callable[[str], Tensor]
    most: int  # photos a network learns from, whatever the size of the set

    def ordered(self, seed: int) -> list[str]:
        """The photos in an order that no name, date or folder has a part in."""
        return sorted(self.sha256s, key=lambda sha256: (_hash(f"order {seed} {sha256}"), sha256))


def fold_of(sha256: str, folds: int) -> int:
    """The fold of a photo, from its hash alone: one that arrives later has a fold too."""
    return _hash(f"fold {sha256}") % folds


def mark(sha256: str) -> str:
    """What a fit remembers a photo by: after a take-down it must not tell the hash of its file."""
    return f"{_hash(f'mark {sha256}'):016x}"


def in_folds(photos: Reader, folds: int, train_fraction: float, seed: int) -> Lessons:
    """A network per fold. Each learns from photos of the other folds; of its own it judges those read for the others.

    A damaged photo is passed over, the next one learned from instead.
    """
    wanted = min(max(round(train_fraction * len(photos.sha256s)), LEAST_TRAINING), photos.most)
    lessons = Lessons([[] for _ in range(folds)], [[] for _ in range(folds)])
    for sha256 in photos.ordered(seed):
        own = fold_of(sha256, folds)
        learners = [rows for fold, rows in enumerate(lessons.learns) if fold != own and len(rows) < wanted]
        if not learners:
            if all(len(rows) >= wanted for rows in lessons.learns):
                break
            continue
        try:
            tiles = photos.tiles(sha256)
        except InputError:
            continue
        for rows in (*learners, lessons.judges[own]):
            rows.append(len(lessons.tiles))
        lessons.tiles.append(tiles)
    return lessons


def official(photos: Reader, seed: int) -> Lessons:
    """One network, which learns from the first 15 % of the photos and judges the next 5 %, but for damaged ones."""
    order = photos.ordered(seed)
    trained, validation = (round(share * len(order)) for share in (TRAINED, VALIDATION))
    lessons = Lessons([[]], [[]])
    for shas, rows, marks in (
        (order[:trained], lessons.learns[0], lessons.learned_from),
        (order[trained : trained + validation], lessons.judges[0], lessons.kept_apart),
    ):
        for sha256 in shas:
            if len(rows) >= photos.most:
                break
            try:
                tiles = photos.tiles(sha256)
            except InputError:
                continue
            marks.append(mark(sha256))
            rows.append(len(lessons.tiles))
            lessons.tiles.append(tiles)
    return lessons


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
