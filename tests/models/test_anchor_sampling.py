"""Anchors drawn closer to each other: what was promised of them, by brute force."""

import pytest
import torch
from endless import small_alis
from torch import Tensor

from models import counter_random
from models.anchor_sampling import TRIES, Nearest, clustered, k_means
from models.anchors import Free
from models.counter_random import Kind

SEED = 3
INDEX = torch.arange(-12, 13)


def _candidates(anchor: int, count: int) -> Tensor:
    """w [count, w_dim], one by one."""
    mapping = small_alis().mapping
    index = torch.tensor([anchor])
    return torch.cat([mapping(counter_random.normal(SEED, Kind.ANCHOR, at, index, 16)) for at in range(count)])


def test_between_two_free_anchors_stands_the_candidate_that_is_nearest_to_both() -> None:
    mapping = small_alis().mapping
    free, near = (one.w(mapping, SEED, INDEX) for one in (Free(), Nearest(5)))
    for at, anchor in enumerate(INDEX.tolist()):
        if anchor % 2 == 0:
            assert torch.allclose(near[at], free[at], atol=1e-6)
        elif 0 < at < len(INDEX) - 1:
            some = _candidates(anchor, 5)
            cost = (some - free[at - 1]).square().sum(1) + (some - free[at + 1]).square().sum(1)
            assert torch.allclose(near[at], some[cost.argmin()], atol=1e-6)
    apart = [(w[1:] - w[:-1]).norm(dim=1).mean() for w in (free, near)]
    assert apart[1] < 0.9 * apart[0]


@pytest.mark.slow
def test_all_anchors_lie_in_the_cluster_of_anchor_0_or_as_near_as_can_be() -> None:
    mapping = small_alis().mapping
    way = clustered(mapping, 6, SEED)
    w = way.w(mapping, SEED, INDEX)
    assert torch.allclose(w[12], Free().w(mapping, SEED, torch.tensor([0]))[0], atol=1e-6)
    for at in range(0, len(INDEX), 5):
        some = _candidates(int(INDEX[at]), TRIES)
        away = torch.stack([(some - centre).norm(dim=1) for centre in way.centres.float()], 1)
        inside = [row for row in range(TRIES) if int(away[row].argmin()) == way.own]
        chosen = inside[0] if inside else int(away[:, way.own].argmin())
        assert torch.allclose(w[at], some[chosen], atol=1e-6)
    free = Free().w(mapping, SEED, INDEX)
    assert (w[1:] - w[:-1]).norm(dim=1).mean() < 0.9 * (free[1:] - free[:-1]).norm(dim=1).mean()


@pytest.mark.parametrize("way", ["nearest", "clustered"])
def test_an_anchor_has_the_same_bits_whoever_asks_for_it(way: str) -> None:
    mapping = small_alis().mapping
    sampling = Nearest(4) if way == "nearest" else clustered(mapping, 4, SEED)
    whole = sampling.w(mapping, SEED, INDEX)
    for first, last in ((0, 1), (5, 6), (3, 20), (24, 25)):
        assert torch.equal(sampling.w(mapping, SEED, INDEX[first:last]), whole[first:last])


def test_k_means_finds_clusters_that_are_there() -> None:
    random = torch.Generator().manual_seed(0)
    truth = 20 * torch.randn(7, 5, generator=random)
    label = torch.randint(7, (700,), generator=random)
    found = k_means(truth[label] + torch.randn(700, 5, generator=random), 7)
    nearest = torch.cdist(truth.double(), found)
    assert sorted(nearest.argmin(1).tolist()) == list(range(7))
    assert float(nearest.min(1).values.max()) < 0.5  # the error of a mean of 100 is 0.1 a dimension


def test_centres_are_the_means_of_what_is_nearest_to_them() -> None:
    points = torch.randn(500, 4, generator=torch.Generator().manual_seed(1))
    centres = k_means(points, 3)
    label = torch.cdist(points.double(), centres).argmin(1)
    means = torch.stack([points[label == one].double().mean(0) for one in range(3)])
    assert torch.allclose(means, centres)


def test_numbers_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Nearest(1)
    for clusters in (1, 257):
        with pytest.raises(ValueError, match="clusters"):
            clustered(small_alis().mapping, clusters, SEED)
