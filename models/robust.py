"""A Gaussian of features that the outliers it is meant to find cannot bend, and distances from it.

The regularised minimum covariance determinant (Boudt, Rousseeuw, Vanduffel and Verdonck 2020, arXiv:1701.07086) from
one deterministic start: of all features the given share that lies nearest is trusted, a Gaussian is made of these
alone, and whom it finds nearest is trusted next, until the choice stands still. The covariance is shrunk towards a
multiple of the identity (oracle-approximating shrinkage, Chen, Wiesel, Eldar and Hero 2010, arXiv:0907.4698), so
that fewer pictures than dimensions suffice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models.statistics import Gaussian

MOST_STEPS = 30
LEAST = 4  # features
LEAST_SHRINKAGE = 0.01  # keeps directions without spread, where rounding would be all there is, from counting
FAR = 3.0  # spreads: beyond, the first choice does not care how far one dimension lies
_SPREAD = 1.4826  # a normal distribution's standard deviation over its median absolute deviation


@dataclass(frozen=True)
class RobustGaussian:
    """Centre and shape of the trusted features; everything float64 on the CPU."""

    centre: Tensor  # [dims]
    scale: Tensor  # [dims], by which each dimension is divided first
    factor: Tensor  # [dims, dims], lower triangular: its product with its transpose is the covariance of the scaled

    def distances(self, features: Tensor) -> Tensor:
        """Mahalanobis distance float64 [n] of each of the features [n, dims]."""
        scaled = (features.to("cpu", torch.float64) - self.centre) / self.scale
        return _squared(self.factor, scaled).sqrt()

    @staticmethod
    def of(state: Mapping[str, Tensor], dims: int) -> RobustGaussian:
        """What `state` told of features of so many dimensions. Raises ValueError for anything else."""
        sizes = {"centre": [dims], "scale": [dims], "factor": [dims, dims]}
        if {name: list(tensor.shape) for name, tensor in state.items()} != sizes:
            raise ValueError(f"it is no Gaussian of {dims} dimensions")
        if not all(tensor.dtype == torch.float64 and tensor.isfinite().all() for tensor in state.values()):
            raise ValueError("it holds numbers that are none")
        return RobustGaussian(**state)

    def state(self) -> dict[str, Tensor]:
        """All there is, by name."""
        return {"centre": self.centre, "scale": self.scale, "factor": self.factor.contiguous()}


@dataclass(frozen=True)
class Fitted:
    """A Gaussian, and how it came about."""

    gaussian: RobustGaussian
    trusted: int  # features it was made of
    shrinkage: float  # share of the identity
    steps: int  # until the choice stood still


def fit(features: Tensor, trust: float) -> Fitted:
    """From features [n, dims], of which the share `trust` (0.5 to 1) is free of outliers.

    The same Gaussian whatever the order of features, up to rounding; of fewer than 4 the standard one. Raises
    ValueError for a feature that is not finite.
    """
    if features.ndim != 2:
        raise ValueError(f"{list(features.shape)} are not features [n, dims]")
    if not features.isfinite().all():
        raise ValueError("a feature is not finite")
    if not 0.5 <= trust <= 1:
        raise ValueError(f"trust is {trust}: at least half of the features must be trusted")
    rows = features.to("cpu", torch.float64)
    if len(rows) < LEAST:
        dims = rows.shape[1]
        zeros, ones, identity = (make(dims, dtype=torch.float64) for make in (torch.zeros, torch.ones, torch.eye))
        return Fitted(RobustGaussian(zeros, ones, identity), 0, 1.0, 0)
    middle = rows.median(0).values
    scale = _scale(rows, middle)
    scaled = (rows - middle) / scale
    count = round(trust * len(rows))
    trusted = torch.zeros(len(rows), dtype=torch.bool)
    trusted[scaled.abs().clamp(max=FAR).square().sum(1).argsort(stable=True)[: len(rows) // 2]] = True
    steps = 0
    for steps in range(1, MOST_STEPS + 1):  # noqa: B007 (how many there were is told)
        mean, factor, shrinkage = _shape(scaled[trusted])
        distances = _squared(factor, scaled - mean)
        nearest = torch.zeros_like(trusted)
        nearest[distances.argsort(stable=True)[:count]] = True
        if torch.equal(nearest, trusted):
            break
        trusted = nearest
    mean, factor, shrinkage = _shape(scaled[trusted])
    return Fitted(RobustGaussian(middle + mean * scale, scale, factor), int(trusted.sum()), shrinkage, steps)


def _squared(factor: Tensor, rows: Tensor) -> Tensor:
    """Squared Mahalanobis distance [n] of rows [n, dims] about the centre."""
    white: Tensor = torch.linalg.solve_triangular(factor, rows.T, upper=False)
    return white.square().sum(0)


def _scale(rows: Tensor, middle: Tensor) -> Tensor:
    """Spread of each dimension, from medians; where more than half agree, from the mean deviation; else 1."""
    deviations = (rows - middle).abs()
    robust, plain = _SPREAD * deviations.median(0).values, deviations.mean(0)
    scale = torch.where(robust > 0, robust, plain)
    return torch.where(scale > 0, scale, torch.ones_like(scale))


def _shape(rows: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean, Cholesky factor of the shrunk covariance, and shrinkage of rows [n, dims]."""
    gathered = Gaussian(rows.shape[1])
    gathered.add(rows)
    covariance = gathered.covariance
    shrinkage = max(oracle_shrinkage(covariance, len(rows)), LEAST_SHRINKAGE)
    variance = covariance.diagonal().mean().clamp(min=torch.finfo(torch.float64).tiny)
    shrunk = (1 - shrinkage) * covariance
    shrunk.diagonal().add_(shrinkage * variance)
    return gathered.mean, torch.linalg.cholesky(shrunk), shrinkage


def oracle_shrinkage(covariance: Tensor, n: int) -> float:
    """Share of the identity (0 to 1) that estimates best, for a covariance [dims, dims] made from n normal features.

    Equation 23 of Chen et al. 2010.
    """
    dims = len(covariance)
    square, trace = float(covariance.square().sum()), float(covariance.trace())
    below = (n + 1 - 2 / dims) * (square - trace**2 / dims)
    above = (1 - 2 / dims) * square + trace**2
    return 1.0 if below <= 0 else min(1.0, above / below)
