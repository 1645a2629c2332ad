"""All pairs of 64-bit hashes within a Hamming distance, exactly, without comparing all with all.

The 64 bits are cut into radius + k bands. Two hashes that differ in at most `radius` bits are equal in at least k
bands (pigeonhole), so they meet in one bucket for at least one choice of k bands; what meets is compared in full.
More bands mean more choices to sort by and fewer strangers in each bucket; k is chosen by the number of hashes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]
Keys = npt.NDArray[np.unsignedinteger]
Pairs = tuple[Indices, Indices]

BITS = 64
MAX_RADIUS = 16
CANDIDATES = 1 << 17  # compared at once: what they take stays in the cache

# Nanoseconds, roughly, of what the choice of bands weighs; wrong ones cost time, never a pair.
_SORT, _SORT_WIDE, _COMPARE = 30.0, 150.0, 8.0
_CROWDED = 5.0  # so much more than by chance do hashes of real pictures meet


def distance(left: Hashes, right: Hashes) -> npt.NDArray[np.uint8]:
    """Number of bits in which they differ."""
    bits: npt.NDArray[np.uint8] = np.bitwise_count(left ^ right)
    return bits


def close_pairs(left: Hashes, right: Hashes | None, radius: int) -> Iterator[Pairs]:
    """Indices (a, b) of all pairs with `left[a]` and `right[b]` within `radius` bits, each pair once, in blocks.

    Without `right` the pairs a != b of `left` with itself, each in one order. A block has a hundred thousand pairs, or
    those of one hash where it is close to more.
    """
    if not 0 <= radius <= MAX_RADIUS:
        raise ValueError(f"the radius is {radius}; it must be from 0 to {MAX_RADIUS} bits")
    other = left if right is None else right
    if not len(left) or not len(other):
        return
    bands = _bands(len(left), len(other), radius)
    for chosen in bands.chosen:
        keys, left_at = _sorted(bands.keys(left, chosen))
        sorted_left = left[left_at]
        if right is None:
            right_at, sorted_right = left_at, sorted_left
            start, end = np.arange(1, len(left) + 1), _stretches(keys, keys)[1]
        else:
            right_keys, right_at = _sorted(bands.keys(right, chosen))
            sorted_right = right[right_at]
            start, end = _stretches(keys, right_keys)
        for rows, others in _candidates(start, end - start):
            differing = sorted_left[rows] ^ sorted_right[others]
            close = np.flatnonzero(np.bitwise_count(differing) <= radius)
            close = close[bands.first_meeting(differing[close], chosen)]
            yield left_at[rows[close]], right_at[others[close]]


@dataclass(frozen=True)
class _Bands:
    """Bands of the 64 bits, and which of them are to be equal at once."""

    edges: tuple[int, ...]  # first bit of each band, and 64
    chosen: tuple[tuple[int, ...], ...]

    def keys(self, hashes: Hashes, bands: Sequence[int]) -> Keys:
        """The bits of these bands, side by side, in as narrow a type as holds them."""
        keys = np.zeros(len(hashes), np.uint64)
        for band in bands:
            keys = keys << np.uint64(self.width([band])) | hashes >> np.uint64(self.edges[band]) & self._ones(band)
        bits = self.width(bands)
        return keys.astype(np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64)

    def width(self, bands: Sequence[int]) -> int:
        return sum(self.edges[band + 1] - self.edges[band] for band in bands)

    def first_meeting(self, differing: Hashes, bands: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Whether these are the first bands in which a pair is equal, given the bits that differ."""
        first = np.ones(len(differing), dtype=bool)
        for band in set(range(bands[-1])) - set(bands):
            first &= differing >> np.uint64(self.edges[band]) & self._ones(band) != 0
        return first

    def _ones(self, band: int) -> np.uint64:
        return np.uint64((1 << self.width([band])) - 1)


def _bands(left: int, right: int, radius: int) -> _Bands:
    """As many bands as make the search cheapest for so many hashes."""

    def cost(equal: int) -> float:
        bits = BITS * equal // (radius + equal)
        sort = (left + right) * (_SORT if bits <= 16 else _SORT_WIDE)
        compare = left * right * min(1.0, _CROWDED * 2.0**-bits) * _COMPARE
        return float(math.comb(radius + equal, equal) * (sort + compare))

    equal = min(range(1, 5), key=cost)
    edges = tuple(BITS * band // (radius + equal) for band in range(radius + equal + 1))
    return _Bands(edges, tuple(itertools.combinations(range(radius + equal), equal)))


def _candidates(start: Indices, count: Indices) -> Iterator[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
    """Every row with each place of its stretch (`count` places from `start`), about CANDIDATES pairs at a time."""
    total = np.cumsum(count)
    first = done = 0
    while first < len(count) and done < total[-1]:
        last = max(first + 1, int(np.searchsorted(total, done + CANDIDATES, side="right")))
        shift = start[first:last] - (total[first:last] - count[first:last] - done)
        rows = np.repeat(np.arange(first, last, dtype=np.int32), count[first:last])
        places = np.arange(len(rows), dtype=np.int32)
        places += np.repeat(shift.astype(np.int32), count[first:last])
        yield rows, places
        first, done = last, int(total[last - 1])


def _sorted(keys: Keys) -> tuple[Keys, Indices]:
    order = np.argsort(keys, kind="stable")
    return keys[order], order


def _stretches(wanted: Keys, keys: Keys) -> tuple[Indices, Indices]:
    """Where in the sorted `keys` each wanted one begins and ends."""
    if keys.dtype != np.uint16:
        return np.searchsorted(keys, wanted, side="left"), np.searchsorted(keys, wanted, side="right")
    count = np.bincount(keys, minlength=1 << 16)
    end = np.cumsum(count)
    return (end - count)[wanted], end[wanted]
