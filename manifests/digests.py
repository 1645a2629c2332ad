"""In which row of one table a sha256 of another stands: as exact as looking texts up, and several times as fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_DIGITS = 64  # hexadecimal, of a sha256
_WORDS = _DIGITS // 8
_MIX = np.random.default_rng(0).integers(0, 2**63, 64, dtype=np.uint64) * np.uint64(2) + np.uint64(1)  # odd numbers

Words = npt.NDArray[np.uint64]  # [n, 8]: the digits of each as they lie in memory
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Digests:
    """A column of sha256s, each as eight numbers and as one that stands for them."""

    words: Words
    keys: Keys

    @staticmethod
    def of(column: pa.ChunkedArray | pa.Array) -> Digests | None:
        """None where one is null or has not 64 digits."""
        if column.type != pa.string() or column.null_count:
            return None
        pieces = [np.empty((0, _WORDS), np.uint64)]
        for texts in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
            if not len(texts):
                continue
            _, places, digits = texts.buffers()
            starts = np.frombuffer(places, np.int32)[texts.offset : texts.offset + len(texts) + 1]
            if (np.diff(starts) != _DIGITS).any():
                return None
            pieces.append(np.frombuffer(digits, np.uint8)[starts[0] : starts[-1]].view(np.uint64).reshape(-1, _WORDS))
        words = np.concatenate(pieces)
        return Digests(words, words[:, 0] * _MIX[0] + words[:, 1] * _MIX[1])

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Digests:
        return Digests(self.words[rows], self.keys[rows])

    def last_in(self, others: Digests) -> pa.Array | None:
        """For each the place of its last row among `others`, null where it has none; None where keys fell together.

        A table with more slots than there are rows is filled anew each round; what lost its slot to another key waits.
        """
        places = np.full(len(self), -1, np.int64)
        seeking, offered = np.arange(len(self)), np.arange(len(others))
        bits = len(others).bit_length() + 2
        for mix in _MIX[2:]:
            if not len(seeking) or not len(offered):
                break
            slots = np.full(1 << bits, -1, np.int32)
            mine = (others.keys[offered] * mix >> np.uint64(64 - bits)).astype(np.int32)
            slots[mine] = offered  # of several the last stays
            there = slots[(self.keys[seeking] * mix >> np.uint64(64 - bits)).astype(np.int32)]
            hit = (there >= 0) & (others.keys[there] == self.keys[seeking])
            places[seeking[hit]] = there[hit]
            seeking = seeking[~hit]
            offered = offered[others.keys[slots[mine]] != others.keys[offered]]
        found = np.flatnonzero(places >= 0)
        if (len(seeking) and len(offered)) or (others.words[places[found]] != self.words[found]).any():
            return None
        return pa.array(places, mask=places < 0)
