"""A panorama that arrives from left to right, and rules for all of its files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manifests import atomic
from manifests.errors import MisuseError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Stream:
    """Pixels of an RGB picture [height, width, 3], in blocks uint8 [height, any width, 3] that are read once."""

    height: int
    width: int
    blocks: Iterable[Pixels]

    def pieces(self, width: int) -> Iterator[Pixels]:
        """The same in pieces of one width; the last may be narrower."""
        held: list[Pixels] = []
        have = 0
        for block in self.blocks:
            taken = 0
            while have + block.shape[1] - taken >= width:
                part = block[:, taken : taken + width - have]
                taken += part.shape[1]
                yield np.concatenate([*held, part], 1)
                held, have = [], 0
            if taken < block.shape[1]:
                held.append(block[:, taken:])
                have += block.shape[1] - taken
        if held:
            yield np.concatenate(held, 1)


def refuse_existing(*paths: Path) -> None:
    """MisuseError where one of them is there: nothing is ever written over."""
    for path in paths:
        if path.exists():
            raise MisuseError(f"{path} exists; choose another name")


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write, which becomes `path` when it is whole; MisuseError if that came meanwhile."""
    with atomic.replacing(path) as temporary:
        yield temporary
        refuse_existing(path)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """The same of a folder."""
    with atomic.whole_folder(path) as temporary:
        yield temporary
        refuse_existing(path)
