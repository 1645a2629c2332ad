"""Mean and covariance of features, streamed in float64, and the Frechet distance between two of them.

Two collections of pictures are compared by the Gaussians of their features (Heusel et al. 2017, arXiv:1706.08500,
equation 6): d = |m_a - m_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)), Dowson and Landau 1982.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

CHUNK = 4096  # rows turned into float64 at once


class Gaussian:
    """Number, mean and scatter (sum of outer products about the mean) of features; its size never grows.

    The sums are kept about the running mean, not about 0: nothing is lost when the mean is far from 0, and two
    Gaussians merge exactly up to rounding (Chan, Golub and LeVeque 1979). The order of features does not matter,
    up to rounding.
    """

    def __init__(self, dims: int, device: torch.device | str = "cpu") -> None:
        self.n = 0
        self._mean = torch.zeros(dims, dtype=torch.float64, device=device)
        self._scatter = torch.zeros(dims, dims, dtype=torch.float64, device=device)

    @property
    def dims(self) -> int:
        """Length of a feature."""
        return len(self._mean)

    @property
    def mean(self) -> Tensor:
        """Float64 [dims]. Raises ValueError for n < 2."""
        self._require_two()
        return self._mean.clone()

    @property
    def covariance(self) -> Tensor:
        """Float64 [dims, dims], over n - 1. Raises ValueError for n < 2."""
        self._require_two()
        return self._scatter / (self.n - 1)

    @torch.no_grad()
    def add(self, features: Tensor) -> None:
        """Count features [n, dims] of any floating type, on any device.

        Raises ValueError, and counts none of them, for another shape or a number that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.dims or not features.is_floating_point():
            raise ValueError(f"{features.dtype} {list(features.shape)} are not floating features [n, {self.dims}]")
        if not features.isfinite().all():
            raise ValueError("a feature is not finite")
        for chunk in torch.split(features, CHUNK):
            rows = chunk.to(self._mean.device, torch.float64)
            if len(rows):
                mean = rows.mean(0)
                between = self._move(len(rows), mean)
                rows = torch.cat([rows - mean, between[None]])
                self._scatter.addmm_(rows.T, rows)  # one pass over the large matrix

    @torch.no_grad()
    def merge(self, other: Gaussian) -> None:
        """Count all that another Gaussian has counted. Raises ValueError when its features have another length."""
        _require_same_dims(self, other)
        if other.n:
            self._scatter += other._scatter.to(self._scatter)
            between = self._move(other.n, other._mean.to(self._mean))
            self._scatter.addr_(between, between)

    def state(self) -> dict[str, Tensor]:
        """Copies on the CPU of all there is: `n` int64 [1], `mean` [dims], `scatter` [dims, dims] float64."""
        return {
            "n": torch.tensor([self.n]),
            "mean": self._mean.cpu().clone(),
            "scatter": self._scatter.cpu().clone(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], device: torch.device | str = "cpu") -> Gaussian:
        """The Gaussian that gave `state()`. Raises ValueError for tensors that no Gaussian gives."""
        if set(state) != {"n", "mean", "scatter"}:
            raise ValueError(f"statistics hold n, mean and scatter, not {', '.join(sorted(state))}")
        n, mean, scatter = state["n"], state["mean"], state["scatter"]
        shapes = n.shape == (1,) and mean.ndim == 1 and scatter.shape == (len(mean), len(mean))
        types = (n.dtype, mean.dtype, scatter.dtype) == (torch.int64, torch.float64, torch.float64)
        if not (shapes and types and n >= 0 and mean.isfinite().all() and scatter.isfinite().all()):
            raise ValueError("these are not statistics: n int64 [1], mean float64 [d], scatter float64 [d, d], finite")
        gaussian = cls(0)
        gaussian.n = int(n)
        gaussian._mean = mean.to(device, copy=True)
        gaussian._scatter = scatter.to(device, copy=True)
        return gaussian

    def _move(self, n: int, mean: Tensor) -> Tensor:
        """Count n more of this mean. Returns the vector whose outer product is the scatter between old and new."""
        total = self.n + n
        difference = mean - self._mean
        between = difference * math.sqrt(self.n / total * n)
        self._mean += difference * (n / total)
        self.n = total
        return between

    def _require_two(self) -> None:
        if self.n < 2:
            raise ValueError(f"{self.n} features: a mean and a covariance need at least 2")


def frechet(a: Gaussian, b: Gaussian) -> float:
    """The Frechet distance (squared, as FID is): 0 or more, and 0 for equal Gaussians.

    tr((S_a S_b)^(1/2)) is the sum of the roots of the eigenvalues of S^(1/2) C S^(1/2), which is symmetric and has
    no negative ones but by rounding (clipped at 0). S is the covariance made from fewer features. Where it has not
    full rank (features <= dims, or features that depend on each other), its eigenvalues up to
    dims * 2**-52 * the largest are rounding of 0: the product is taken in the space of the others only, because
    roots would turn errors of 1e-16 into 1e-8. Up to about 1e-10 of the traces are uncertain.

    Raises ValueError for n < 2, for features of different lengths, and for sums that overflowed.
    """
    _require_same_dims(a, b)
    few, many = (a, b) if a.n <= b.n else (b, a)
    difference = few.mean - many.mean.to(few.mean)
    narrow, wide = few.covariance, many.covariance.to(few.mean)
    if not (difference.isfinite().all() and narrow.isfinite().all() and wide.isfinite().all()):
        raise ValueError("features too large: their covariance is not finite")
    if not difference.any() and torch.equal(narrow, wide):
        return 0.0
    values, vectors = torch.linalg.eigh(narrow)
    kept = values > a.dims * torch.finfo(torch.float64).eps * values.abs().max()
    root = vectors[:, kept] * values[kept].sqrt()  # [dims, rank]
    overlap = torch.linalg.eigvalsh(root.T @ wide @ root).clamp(min=0).sqrt().sum()
    spread = (narrow.trace() + wide.trace() - 2 * overlap).clamp(min=0)
    return float(difference.square().sum() + spread)


def _require_same_dims(a: Gaussian, b: Gaussian) -> None:
    if a.dims != b.dims:
        raise ValueError(f"features of {a.dims} and of {b.dims} dims cannot be compared")
