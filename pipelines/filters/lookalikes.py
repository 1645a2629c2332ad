"""Groups of pictures that look alike: near in hash, confirmed by their thumbnails, joined into connected components.

Exact, and not quadratic where many are one picture: what is equal in hashes and thumbnail counts once, pictures that
are joined already are not compared again, and pairs are looked at in blocks, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipelines.filters.near import Hashes, Indices, Pairs, close_pairs, distance
from pipelines.filters.perceptual import THUMB

PIXELS = THUMB * THUMB
BLOCK = 1 << 15  # thumbnails, or pairs of them, compared at once
CROWD = 64  # pictures of one hash from which on they are compared as a table, not pair by pair
PIVOTS = 8  # of these that are compared with all others first
FRONT = 128  # rows of such a table at once
GATHERED = 1 << 20  # pairs of hashes expanded at once

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rules:
    """When two pictures look alike."""

    radius: int  # bits of the hash that may differ
    correlation: float  # least correlation of the thumbnails
    mirrored: bool  # compare with mirror images too


@dataclass(frozen=True)
class Pictures:
    """Hashes [n], hashes of the mirror images [n], thumbnails uint8 [n, 256] (16 rows of 16 greys)."""

    hash: Hashes
    mirror: Hashes
    thumb: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.hash)

    def __getitem__(self, rows: Indices) -> Pictures:
        return Pictures(self.hash[rows], self.mirror[rows], self.thumb[rows])

    def distances(self, left: Indices | int, right: Indices | int, mirrored: bool) -> npt.NDArray[np.uint8]:
        """Bits that differ, pair by pair; mirrored: between one and the mirror image of the other."""
        if not mirrored:
            return distance(self.hash[left], self.hash[right])
        return np.minimum(distance(self.hash[left], self.mirror[right]), distance(self.mirror[left], self.hash[right]))

    def correlations(self, left: Indices, right: Indices, mirrored: bool) -> npt.NDArray[np.float64]:
        """Of the thumbnails, pair by pair; 0 where one has a single grey. Mirrored: the right ones are turned."""
        parts = [np.empty(0)]
        for at in range(0, len(left), BLOCK):
            one = _Greys.of(self.thumb[left[at : at + BLOCK]])
            two = _Greys.of(self.thumb[right[at : at + BLOCK]], mirrored)
            products = np.einsum("ij,ij->i", one.levels, two.levels)
            parts.append(_correlation(products, one.sums, one.spread, two.sums, two.spread))
        return np.concatenate(parts)


@dataclass(frozen=True)
class _Greys:
    """Thumbnails as numbers. Sums and products of greys are integers below 2^24, exact in float32 in any order."""

    levels: npt.NDArray[np.float32]  # [n, 256]
    sums: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]  # 256^2 times the variance

    @staticmethod
    def of(thumbs: npt.NDArray[np.uint8], mirrored: bool = False) -> _Greys:
        if mirrored:
            thumbs = thumbs.reshape(-1, THUMB, THUMB)[:, :, ::-1].reshape(-1, PIXELS)
        levels = thumbs.astype(np.float32)
        sums = levels.sum(axis=1).astype(np.float64)
        return _Greys(levels, sums, PIXELS * np.einsum("ij,ij->i", levels, levels).astype(np.float64) - sums**2)

    def correlations_with(self, others: _Greys) -> npt.NDArray[np.float64]:
        """All with all, [mine, others]."""
        mine = self.sums[:, None], self.spread[:, None]
        return _correlation(self.levels @ others.levels.T, *mine, others.sums, others.spread)


def _correlation(
    products: npt.NDArray[np.float32],
    sums: npt.NDArray[np.float64],
    spread: npt.NDArray[np.float64],
    other_sums: npt.NDArray[np.float64],
    other_spread: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Correlation from the sums of products; 0 where there is no spread."""
    both = spread * other_spread
    covariance = PIXELS * products.astype(np.float64) - sums * other_sums
    return np.divide(covariance, np.sqrt(both), out=np.zeros_like(covariance), where=both > 0)


def distinct(pictures: Pictures) -> tuple[Indices, Indices]:
    """Of pictures equal in hashes and thumbnail one each, and for every picture which of these it is."""
    words = pictures.thumb.view(np.uint64)  # [n, 32]
    odd = np.random.default_rng(0).integers(0, 2**63, 34, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    key = words @ odd[:32] + pictures.hash * odd[32] + pictures.mirror * odd[33]
    _, first, of = np.unique(key, return_index=True, return_inverse=True)
    stands_for = first[of]
    same = (pictures.hash[stands_for] == pictures.hash) & (pictures.mirror[stands_for] == pictures.mirror)
    for at in range(0, len(same), BLOCK):
        here = slice(at, at + BLOCK)
        same[here] &= (pictures.thumb[stands_for[here]] == pictures.thumb[here]).all(axis=1)
    stands_for[~same] = np.flatnonzero(~same)  # two keys fell together: once in 2^64 pairs
    return np.unique(stands_for, return_inverse=True)


def components(pictures: Pictures, rules: Rules) -> Indices:
    """The label of each picture's group: equal for two if steps from one alike picture to another lead there."""
    one_each, of = distinct(pictures)
    joining = _Joining(pictures[one_each], rules)
    joining.run()
    return joining.labels[of]


@dataclass
class _Joining:
    """Distinct pictures and the groups found so far."""

    pictures: Pictures
    rules: Rules
    labels: Indices = field(init=False)  # the smallest index of each picture's group

    def __post_init__(self) -> None:
        self.labels = np.arange(len(self.pictures))

    def run(self) -> None:
        """Join pictures of one hash, then of near hashes, then those near to mirror images."""
        by_hash, by_mirror = _Buckets.of(self.pictures.hash), _Buckets.of(self.pictures.mirror)
        self._within(by_hash)
        self._across(by_hash, None)
        if self.rules.mirrored:
            self._across(by_hash, by_mirror)

    def _within(self, buckets: _Buckets) -> None:
        sizes = buckets.sizes
        for bucket in np.flatnonzero(sizes > CROWD).tolist():
            self._join_crowds(buckets.members(bucket), buckets.members(bucket), mirrored=False)
        few = np.flatnonzero((sizes > 1) & (sizes <= CROWD))
        self._join_pairs(buckets.pairs(few, buckets, few), mirrored=False)

    def _across(self, left: _Buckets, right: _Buckets | None) -> None:
        """Join what looks alike of different hashes; with `right` the buckets of mirror images."""
        other = left if right is None else right
        gathered: list[Pairs] = []
        for pairs in close_pairs(left.values, None if right is None else right.values, self.rules.radius):
            gathered.append(pairs)
            if sum(len(one) for one, _ in gathered) >= GATHERED:
                self._join_buckets(left, other, gathered, mirrored=right is not None)
                gathered = []
        self._join_buckets(left, other, gathered, mirrored=right is not None)

    def _join_buckets(self, left: _Buckets, right: _Buckets, gathered: list[Pairs], mirrored: bool) -> None:
        one = np.concatenate([np.empty(0, np.int64), *(pair[0] for pair in gathered)])
        two = np.concatenate([np.empty(0, np.int64), *(pair[1] for pair in gathered)])
        whole_left, label_left = left.label(self.labels)
        whole_right, label_right = right.label(self.labels)
        joined = whole_left[one] & whole_right[two] & (label_left[one] == label_right[two])
        one, two = one[~joined], two[~joined]
        crowded = left.sizes[one] * right.sizes[two] > CROWD**2
        for here, there in zip(one[crowded].tolist(), two[crowded].tolist(), strict=True):
            self._join_crowds(left.members(here), right.members(there), mirrored)
        self._join_pairs(left.pairs(one[~crowded], right, two[~crowded]), mirrored)

    def _join_pairs(self, blocks: Iterator[Pairs], mirrored: bool) -> None:
        for left, right in blocks:
            apart = self.labels[left] != self.labels[right]
            one, two = left[apart], right[apart]
            alike = self.pictures.correlations(one, two, mirrored) >= self.rules.correlation
            self._join(one[alike], two[alike])

    def _join_crowds(self, left: Indices, right: Indices, mirrored: bool) -> None:
        """The same for two large buckets, or one with itself: all with all, but for whom is joined already."""
        self._join_table(left[:PIVOTS], right, mirrored)  # mostly that is all: they are of one group with the first
        left = left[np.argsort(self.labels[left], kind="stable")]
        for row in range(0, len(left), FRONT):
            front = left[row : row + FRONT]
            groups = np.unique(self.labels[front])
            self._join_table(front, right if len(groups) > 1 else right[self.labels[right] != groups[0]], mirrored)

    def _join_table(self, front: Indices, others: Indices, mirrored: bool) -> None:
        """Join few pictures with many, comparing all with all."""
        rows = _Greys.of(self.pictures.thumb[front])
        for at in range(0, len(others), BLOCK):
            there = others[at : at + BLOCK]
            if len(np.unique(self.labels[np.concatenate([front, there])])) == 1:
                continue
            columns = _Greys.of(self.pictures.thumb[there], mirrored)
            table = rows.correlations_with(columns) >= self.rules.correlation
            found = np.flatnonzero(table.any(axis=0))
            self._join(front[table.argmax(axis=0)[found]], there[found])
            sharing = table.astype(np.float32) @ table.T.astype(np.float32) > 0  # rows alike to one column
            one, two = np.nonzero(sharing)
            self._join(front[one], front[two])

    def _join(self, left: Indices, right: Indices) -> None:
        """Make one group of the groups of each pair."""
        if not len(left):
            return
        names, at = np.unique(np.concatenate([self.labels[left], self.labels[right]]), return_inverse=True)
        renamed = np.arange(len(self.labels))
        renamed[names] = names[_smallest_connected(len(names), at[: len(left)], at[len(left) :])]
        self.labels = renamed[self.labels]


def _smallest_connected(count: int, left: Indices, right: Indices) -> Indices:
    """Of each of `count` points the smallest that it is connected with by the edges left-right."""
    root = np.arange(count)
    while True:
        before = root
        lowest = np.minimum(root[left], root[right])
        root = before.copy()
        np.minimum.at(root, before[left], lowest)
        np.minimum.at(root, before[right], lowest)
        while (root[root] != root).any():
            root = root[root]
        if (root == before).all():
            return root


@dataclass(frozen=True)
class _Buckets:
    """Pictures by hash."""

    values: Hashes  # each hash once, sorted
    order: Indices  # the pictures in the order of their hash
    start: Indices  # of each hash, its first place in `order`
    sizes: Indices

    @staticmethod
    def of(hashes: Hashes) -> _Buckets:
        order = np.argsort(hashes, kind="stable")
        values, start, sizes = np.unique(hashes[order], return_index=True, return_counts=True)
        return _Buckets(values, order, start, sizes)

    def members(self, bucket: int) -> Indices:
        """The pictures of one hash."""
        return self.order[self.start[bucket] : self.start[bucket] + self.sizes[bucket]]

    def label(self, labels: Indices) -> tuple[Bools, Indices]:
        """Of each hash whether its pictures are of one group, and the label of that group."""
        low = np.minimum.reduceat(labels[self.order], self.start)
        return low == np.maximum.reduceat(labels[self.order], self.start), low

    def pairs(self, mine: Indices, other: _Buckets, theirs: Indices) -> Iterator[Pairs]:
        """All pictures of each of my buckets with all of the bucket beside it, in blocks."""
        count = self.sizes[mine] * other.sizes[theirs]
        total = np.cumsum(count)
        first = done = 0
        while first < len(count):
            last = max(first + 1, int(np.searchsorted(total, done + GATHERED, side="right")))
            each = np.repeat(np.arange(first, last), count[first:last])
            inside = np.arange(done, total[last - 1]) - (total - count)[each]
            across = other.sizes[theirs[each]]
            yield (
                self.order[self.start[mine[each]] + inside // across],
                other.order[other.start[theirs[each]] + inside % across],
            )
            first, done = last, int(total[last - 1])
