"""Anchors that are easier to connect, against the failure that the ALIS paper shows in Figure 9: too unrelated ones.

Both ways keep random access: an anchor is chosen from a fixed number of candidates, which are functions of seed and
place, and nothing of what came before. Candidate 0 of an anchor is what free sampling takes. Each anchor's candidates
are computed apart, in tensors of one shape, so that the choice is the same whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models import counter_random
from models.anchors import Free
from models.counter_random import Kind
from models.layers import Mapping

SAMPLES = 4096  # latents that are clustered
MOST = 256  # clusters
ROUNDS = 50  # of k-means, at most
TRIES = 64  # candidates for an anchor of a cluster


def _candidates(mapping: Mapping, seed: int, index: Tensor, count: int) -> Tensor:
    """w [count, w_dim] of one anchor (int64 [1])."""
    z = counter_random.normals(seed, Kind.ANCHOR, index, [mapping.z_dim] * count)
    w: Tensor = mapping(torch.cat(z))
    return w


@dataclass(frozen=True)
class Nearest:
    """Anchors of even number are free; between two, of k candidates the one that is nearest to both.

    That is the least sum of squared distances in w, or the least distance to their middle. Each pair of neighbours
    has one anchor that was chosen for the other, and half of all vary as freely as ever. Raises ValueError for fewer
    than two candidates.
    """

    candidates: int

    def __post_init__(self) -> None:
        if self.candidates < 2:
            raise ValueError(f"the nearest of {self.candidates} candidates: give at least 2")

    def w(self, mapping: Mapping, seed: int, index: Tensor) -> Tensor:
        """See `models.anchors.Sampling`."""
        return torch.cat([self._one(mapping, seed, anchor) for anchor in index.split(1)])

    def _one(self, mapping: Mapping, seed: int, anchor: Tensor) -> Tensor:
        if int(anchor) % 2 == 0:
            return Free().w(mapping, seed, anchor)
        neighbours = Free().w(mapping, seed, torch.cat([anchor - 1, anchor + 1]))
        some = _candidates(mapping, seed, anchor, self.candidates)
        return some[_distances(some, neighbours.mean(0, keepdim=True)).argmin(0)]


@dataclass(frozen=True, eq=False)
class Clustered:
    """All anchors from one cluster: of 64 candidates the first that lies in it, else the one nearest to its centre.

    centres: [clusters, w_dim]. own: the cluster's number.
    """

    centres: Tensor
    own: int

    def w(self, mapping: Mapping, seed: int, index: Tensor) -> Tensor:
        """See `models.anchors.Sampling`."""
        return torch.cat([self._one(mapping, seed, anchor) for anchor in index.split(1)])

    def _one(self, mapping: Mapping, seed: int, anchor: Tensor) -> Tensor:
        some = _candidates(mapping, seed, anchor, TRIES)
        away = _distances(some, self.centres)  # [candidates, clusters]
        inside = away.argmin(1) == self.own
        chosen = inside.int().argmax() if inside.any() else away[:, self.own].argmin()
        return some[chosen][None]


def clustered(mapping: Mapping, clusters: int, seed: int) -> Clustered:
    """The cluster in which the seed's own anchor 0 lies, of so many that k-means finds in w.

    The clusters belong to the network: they are found on 4,096 fixed latents. Raises ValueError for fewer than two, or
    more than 256.
    """
    if not 2 <= clusters <= MOST:
        raise ValueError(f"{clusters} clusters: give 2 to {MOST}")
    index = torch.arange(SAMPLES, device=mapping.w_avg.device)
    centres = k_means(mapping(counter_random.normal(0, Kind.CLUSTERED, 0, index, mapping.z_dim)), clusters)
    first = Free().w(mapping, seed, torch.zeros_like(index[:1]))
    return Clustered(centres, int(_distances(first, centres).argmin()))


def k_means(points: Tensor, clusters: int) -> Tensor:
    """Centres [clusters, dim] of points [n, dim]: k-means++ (Arthur and Vassilvitskii 2007), then Lloyd's rounds.

    On the CPU in float64, whose sums have one order.
    """
    device, points = points.device, points.cpu().double()
    chance = counter_random.uniform(1, Kind.CLUSTERED, torch.arange(clusters), 1)[:, 0]
    centres = points[(chance[:1] * len(points)).long()]
    for one in chance[1:]:
        mass = _distances(points, centres).min(1).values.cumsum(0)  # farther points are likelier
        centres = torch.cat(
            [centres, points[torch.searchsorted(mass, one * mass[-1]).clamp(max=len(points) - 1)][None]]
        )
    for _ in range(ROUNDS):
        label = _distances(points, centres).argmin(1)
        count = torch.bincount(label, minlength=clusters)[:, None]
        sums = torch.zeros_like(centres).index_add_(0, label, points)
        moved = torch.where(count > 0, sums / count.clamp(min=1), centres)  # one that nobody is nearest to stays
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres.to(device)


def _distances(some: Tensor, others: Tensor) -> Tensor:
    """Squared, in float64: [n, m]."""
    return torch.cdist(some.double(), others.double(), compute_mode="donot_use_mm_for_euclid_dist").square()
