"""The robust Gaussian: right where nothing is wrong, unbent by outliers, defined for few pictures and flat features."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from models import robust


def _correlated(n: int, dims: int, seed: int = 0) -> Tensor:
    """Normal features with very different scales, correlated, about a mean that is not 0."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((dims, dims)) * np.geomspace(0.01, 100, dims)
    return torch.from_numpy(rng.standard_normal((n, dims)) @ mixing + 7)


def test_without_outliers_the_distances_are_mahalanobis_own() -> None:
    features = _correlated(4000, 6)
    fitted = robust.fit(features, 1.0)
    centred = features.numpy() - features.numpy().mean(0)
    exact = np.sqrt(np.einsum("ni,ij,nj->n", centred, np.linalg.inv(np.cov(centred.T)), centred))
    ours = fitted.gaussian.distances(features).numpy()
    assert fitted.trusted == 4000
    assert np.corrcoef(ours, exact)[0, 1] > 0.99  # but for the shrinkage
    assert np.median(ours / exact) == pytest.approx(1, abs=0.05)


def test_shrinkage_is_the_papers_and_falls_with_more_features() -> None:
    """Equation 23 of arXiv:0907.4698, written out with traces; 1 for a multiple of the identity."""
    dims = 5
    covariance = torch.cov(_correlated(60, dims).T)
    for n in (3, 60, 10_000):
        s = covariance.numpy()
        above = (1 - 2 / dims) * np.trace(s @ s) + np.trace(s) ** 2
        below = (n + 1 - 2 / dims) * (np.trace(s @ s) - np.trace(s) ** 2 / dims)
        assert robust.oracle_shrinkage(covariance, n) == pytest.approx(min(1, above / below), rel=1e-12)
    assert robust.oracle_shrinkage(3 * torch.eye(dims, dtype=torch.float64), 60) == 1


def _bound(n: int, dims: int, seed: int = 0) -> Tensor:
    """Features that three numbers nearly determine, so that they hang together closely."""
    generator = torch.Generator().manual_seed(seed)
    latent, mixing = torch.randn(n, 3, generator=generator), torch.randn(3, dims, generator=generator)
    return (latent @ mixing + 0.1 * torch.randn(n, dims, generator=generator)).double()


@pytest.mark.parametrize("where", ["far together", "far apart", "usual one by one"])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_planted_outliers_are_the_farthest(where: str, share: float) -> None:
    good = _bound(400, 12)
    n = round(400 * share / (1 - share))
    generator = torch.Generator().manual_seed(3)
    draws = torch.randn(n, 12, generator=generator, dtype=torch.float64)
    middle, spread = good.mean(0), good.std(0)
    bad = {
        "far together": middle + spread * (20 + draws),
        "far apart": middle + spread * 30 * draws,
        "usual one by one": middle + spread * draws,  # each number is usual; together they are not
    }[where]
    distances = robust.fit(torch.cat([good, bad]), 0.75).gaussian.distances(torch.cat([good, bad]))
    assert set(distances.argsort(descending=True)[:n].tolist()) >= set(range(400, 400 + math.floor(0.95 * n)))
    assert distances[400:].median() > 2 * distances[:400].median()


def test_a_plain_gaussian_is_bent_where_this_one_is_not() -> None:
    """That the robustness is needed: outliers close together, a fifth of the set, hide from mean and covariance."""
    good = _correlated(400, 12)
    bad = good.mean(0) + good.std(0) * (6 + 0.1 * torch.randn(100, 12, generator=torch.Generator().manual_seed(3)))
    both = torch.cat([good, bad])
    plain, ours = (robust.fit(both, trust).gaussian.distances(both) for trust in (1.0, 0.75))
    assert (plain.argsort(descending=True)[:100] >= 400).float().mean() < 0.5
    assert (ours.argsort(descending=True)[:100] >= 400).all()


def test_the_order_does_not_matter_and_the_bytes_repeat() -> None:
    features = _correlated(200, 8).float()
    one, same = robust.fit(features, 0.75), robust.fit(features.clone(), 0.75)
    other = robust.fit(features[torch.randperm(200, generator=torch.Generator().manual_seed(1))], 0.75)
    for name, value in one.gaussian.state().items():
        assert torch.equal(value, same.gaussian.state()[name])
    torch.testing.assert_close(other.gaussian.distances(features), one.gaussian.distances(features), rtol=1e-9, atol=0)


def test_fewer_pictures_than_dimensions_flat_dimensions_and_no_picture_at_all() -> None:
    few = _correlated(30, 200)
    few[:, 5] = 3.0
    few[:20, 6] = 0.0  # more than half agree
    distances = robust.fit(few, 0.75).gaussian.distances(few)
    assert distances.isfinite().all()
    assert robust.fit(few[:1].expand(20, -1), 0.75).gaussian.distances(few).isfinite().all()
    none = robust.fit(few[:0], 0.75)
    assert none.trusted == 0
    assert none.gaussian.distances(few).isfinite().all()


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        robust.fit(torch.full((9, 2), math.nan), 0.75)
    with pytest.raises(ValueError, match="at least half"):
        robust.fit(_correlated(9, 2), 0.4)
    with pytest.raises(ValueError, match="are not features"):
        robust.fit(torch.zeros(9), 0.75)
