"""KID, precision and recall against plain transcriptions of their definitions, on samples that no split changes."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor

from models.distances import Sample, kid, precision_recall

Numbers = npt.NDArray[np.float64]


def _features(n: int, dims: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dims, generator=generator) * scale + mean


def _plain_kid(x: Numbers, y: Numbers) -> float:
    """Sums over pairs, one at a time: equation 4 of the KID paper."""

    def kernel(a: Numbers, b: Numbers) -> float:
        return float((np.dot(a, b) / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def _plain_share(inside: Numbers, manifold: Numbers, k: int) -> float:
    """The share of points that lie no farther from some point of the manifold than its k-th nearest other one."""
    radii = []
    for at, point in enumerate(manifold):
        others = np.delete(manifold, at, axis=0)
        radii.append(sorted(np.linalg.norm(others - point, axis=1))[k - 1])
    hits = [any(np.linalg.norm(one - c) <= r for c, r in zip(manifold, radii, strict=True)) for one in inside]
    return float(np.mean(hits))


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (0.3, 1.2)])
def test_kid_is_the_unbiased_mean_over_pairs_and_clean_fids(mean: float, scale: float) -> None:
    from cleanfid.fid import kernel_distance

    x, y = _features(40, 6, 1), _features(40, 6, 2, mean, scale)
    found = kid(x, y)
    assert (found.subsets, found.subset, found.spread) == (1, 40, None)
    assert found.value == pytest.approx(_plain_kid(x.double().numpy(), y.double().numpy()), rel=1e-10)
    theirs = kernel_distance(x.double().numpy(), y.double().numpy(), num_subsets=1)
    assert found.value == pytest.approx(theirs, rel=1e-9)


def test_kid_over_subsets_comes_to_that_of_all_has_a_spread_and_is_the_same_each_time() -> None:
    x, y = _features(150, 5, 1), _features(150, 5, 2, mean=0.4)
    found = kid(x, y, subsets=200, size=60)
    assert found == kid(x, y, subsets=200, size=60)
    assert found.spread is not None
    for seed in (0, 1):
        some = kid(x, y, seed, subsets=200, size=60)
        assert some.value == pytest.approx(kid(x, y).value, abs=4 * found.spread / 200**0.5)
    assert kid(x, torch.cat([y, y + 9]), size=60).value > 10 * found.value, "all features have their chance"


def test_kid_is_without_bias_where_nothing_differs() -> None:
    values = [kid(_features(20, 4, seed), _features(20, 4, 1000 + seed)).value for seed in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 200**0.5
    assert min(values) < 0


@pytest.mark.parametrize(("mean", "scale"), [(0.0, 1.0), (2.0, 1.0), (0.0, 0.3), (1e3, 1.0)])
@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_are_those_of_the_definition(mean: float, scale: float, k: int) -> None:
    real, generated = _features(60, 3, 1, mean=mean), _features(45, 3, 2, mean + 0.3, scale)
    expected = [
        _plain_share(one.double().numpy(), other.double().numpy(), k)
        for one, other in ((generated, real), (real, generated))
    ]
    assert precision_recall(real, generated, k) == pytest.approx(expected, abs=1e-12)


def test_a_generator_that_makes_little_but_well_has_precision_and_no_recall_and_the_other_way_round() -> None:
    real = _features(1500, 2, 1)
    assert precision_recall(real, _features(1200, 2, 2)) > (0.95, 0.95)
    narrow, wide = precision_recall(real, _features(1200, 2, 2, scale=0.05)), _features(1200, 2, 2, scale=20.0)
    assert narrow[0] == 1.0
    assert narrow[1] < 0.1
    assert precision_recall(real, wide)[0] < 0.1
    assert precision_recall(real, _features(1200, 2, 2, mean=50.0)) == (0.0, 0.0)


def test_too_few_features_are_refused() -> None:
    with pytest.raises(ValueError, match="3 neighbours need more"):
        precision_recall(_features(3, 2, 1), _features(9, 2, 1))
    for pair in ((_features(1, 2, 1), _features(9, 2, 1)), (_features(9, 3, 1), _features(9, 2, 1))):
        with pytest.raises(ValueError, match="KID needs"):
            kid(*pair)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_split_in_any_order_gives_the_same_sample(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 80))
    x = torch.arange(n, dtype=torch.float32)[:, None].expand(n, 2)
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, n), max_size=6)), n})
    workers = [Sample(2, 20) for _ in range(2)]
    for start, end in data.draw(st.permutations(list(itertools.pairwise(cuts)))):
        data.draw(st.sampled_from(workers)).add(x[start:end], start)
    workers[0].merge(workers[1])
    whole = Sample(2, 20)
    whole.add(x, 0)
    assert torch.equal(workers[0].features, whole.features)
    assert len(whole.features) == min(n, 20)
    assert len(whole.features.unique()) == min(n, 20)


def test_a_sample_takes_all_alike_likely_and_another_seed_takes_others() -> None:
    taken = torch.zeros(50)
    for seed in range(400):
        sample = Sample(1, 10, seed)
        sample.add(torch.arange(50.0)[:, None], 0)
        taken[sample.features[:, 0].long()] += 1
    assert ((taken - 80).abs() < 4 * 8).all()  # 400 draws of a chance of 1/5: 80 +- 8


def test_a_sample_survives_safetensors_and_goes_on() -> None:
    x = _features(300, 4, 1)
    sample, whole = Sample(4, 30), Sample(4, 30)
    sample.add(x[:200], 0)
    back = Sample.from_state(load(save(sample.state())), 30)
    back.add(x[200:], 200)
    whole.add(x, 0)
    assert torch.equal(back.features, whole.features)
    assert torch.equal(kid_pair(back), kid_pair(whole))
    with pytest.raises(ValueError, match="not a sample"):
        Sample.from_state({**sample.state(), "keys": sample.state()["keys"].flip(0)}, 30)
    with pytest.raises(ValueError, match="not a sample"):
        Sample.from_state(sample.state(), 10)
    with pytest.raises(ValueError, match="different sizes"):
        sample.merge(Sample(4, 31))


def kid_pair(sample: Sample) -> Tensor:
    """A number that hangs on every feature of a sample."""
    return torch.tensor(kid(sample.features, sample.features + 1).value)
