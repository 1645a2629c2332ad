"""Mean and covariance of features, streamed in float64, the Frechet distance of two of them, and its standard error.

Two collections of pictures are compared by the Gaussians of their features (Heusel et al. 2017, arXiv:1706.08500,
equation 6): d = |m_a - m_b|^2 + tr(S_a) + tr(S_b) - 2 tr((S_a S_b)^(1/2)), Dowson and Landau 1982.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

CHUNK = 4096  # rows turned into float64 at once
WAITING = 512  # rows that small batches gather into before the large matrix is touched
BLOCKS = 16  # into which features are divided for a standard error
REPLICATES = 50  # of the bootstrap
WELL_CONDITIONED = 1e-10  # the smallest eigenvalue over the sum of all, from which on Cholesky's factor is taken
INVERSE_STEPS = 3


class Gaussian:
    """Number, mean and scatter (sum of outer products about the mean) of features; its size never grows.

    The sums are kept about the running mean, not about 0: nothing is lost when the mean is far from 0, and two
    Gaussians merge exactly up to rounding (Chan, Golub and LeVeque 1979). The order of features does not matter,
    up to rounding. Features that come in small batches wait until there are some hundred, because each pass over the
    scatter takes as long as the products of that many.
    """

    def __init__(self, dims: int, device: torch.device | str = "cpu") -> None:
        self._n = 0  # without those that wait
        self._mean = torch.zeros(dims, dtype=torch.float64, device=device)
        self._scatter = torch.zeros(dims, dims, dtype=torch.float64, device=device)
        self._rows: Tensor | None = None  # [WAITING, dims]: the first `_waiting` of them are not counted yet
        self._waiting = 0

    @property
    def n(self) -> int:
        """How many features were counted."""
        return self._n + self._waiting

    @property
    def dims(self) -> int:
        """Length of a feature."""
        return len(self._mean)

    @property
    def mean(self) -> Tensor:
        """Float64 [dims]. Raises ValueError for n < 2."""
        self._require_two()
        self._settle()
        return self._mean.clone()

    @property
    def covariance(self) -> Tensor:
        """Float64 [dims, dims], over n - 1. Raises ValueError for n < 2."""
        self._require_two()
        self._settle()
        return self._scatter / (self._n - 1)

    @torch.no_grad()
    def add(self, features: Tensor) -> None:
        """Count features [n, dims] of any floating type, on any device.

        Raises ValueError, and counts none of them, for another shape or a number that is not finite.
        """
        if features.ndim != 2 or features.shape[1] != self.dims or not features.is_floating_point():
            raise ValueError(f"{features.dtype} {list(features.shape)} are not floating features [n, {self.dims}]")
        if not features.isfinite().all():
            raise ValueError("a feature is not finite")
        if self._waiting + len(features) > WAITING:
            self._settle()
        if len(features) > WAITING:
            for chunk in torch.split(features, CHUNK):
                self._count(chunk.to(self._mean.device, torch.float64))
        elif len(features):
            if self._rows is None:
                self._rows = self._mean.new_empty(WAITING, self.dims)
            self._rows[self._waiting : self._waiting + len(features)] = features.to(self._mean.device)
            self._waiting += len(features)

    @torch.no_grad()
    def _settle(self) -> None:
        """Count the features that wait."""
        if self._rows is not None:
            rows, self._rows, self._waiting = self._rows[: self._waiting], None, 0
            self._count(rows)

    def _count(self, rows: Tensor) -> None:
        """rows: float64 [n, dims], at least one."""
        mean = rows.mean(0)
        between = self._move(len(rows), mean)
        rows = torch.cat([rows - mean, between[None]])
        self._scatter.addmm_(rows.T, rows)  # one pass over the large matrix

    @torch.no_grad()
    def merge(self, other: Gaussian) -> None:
        """Count all that another Gaussian has counted. Raises ValueError when its features have another length."""
        _require_same_dims(self, other)
        self._settle()
        other._settle()
        if other._n:
            self._scatter += other._scatter.to(self._scatter)
            between = self._move(other._n, other._mean.to(self._mean))
            self._scatter.addr_(between, between)

    def state(self) -> dict[str, Tensor]:
        """Copies on the CPU of all there is: `n` int64 [1], `mean` [dims], `scatter` [dims, dims] float64."""
        self._settle()
        return {
            "n": torch.tensor([self._n]),
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
        gaussian._n = int(n)
        gaussian._mean = mean.to(device, copy=True)
        gaussian._scatter = scatter.to(device, copy=True)
        return gaussian

    def _move(self, n: int, mean: Tensor) -> Tensor:
        """Count n more of this mean. Returns the vector whose outer product is the scatter between old and new."""
        total = self._n + n
        difference = mean - self._mean
        between = difference * math.sqrt(self._n / total * n)
        self._mean += difference * (n / total)
        self._n = total
        return between

    def _require_two(self) -> None:
        if self.n < 2:
            raise ValueError(f"{self.n} features: a mean and a covariance need at least 2")


def frechet(a: Gaussian, b: Gaussian) -> float:
    """The Frechet distance (squared, as FID is): 0 or more, and 0 for equal Gaussians.

    tr((S_a S_b)^(1/2)) is the sum of the roots of the eigenvalues of R^T C R with R R^T = S, which is symmetric and
    has no negative ones but by rounding (clipped at 0). S is the covariance made from fewer features. Where it is
    well-conditioned, R is its Cholesky factor. Else, and where it has not full rank (features <= dims, or features
    that depend on each other), R comes from its eigenvectors: eigenvalues up to dims * 2**-52 * the largest are
    rounding of 0 and left out, because roots would turn errors of 1e-16 into 1e-8. Up to about 1e-10 of the traces
    are uncertain.

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
    return _distance(few, many, _root(few))


def _root(gaussian: Gaussian) -> Tensor:
    """R [dims, rank] with R R^T = the covariance; its directions of no variance are left out."""
    covariance = gaussian.covariance
    if gaussian.n > gaussian.dims:
        factor: Tensor
        factor, failed = torch.linalg.cholesky_ex(covariance)  # several times faster than eigenvectors
        if not failed and _smallest_eigenvalue(factor) > WELL_CONDITIONED * covariance.trace():
            return factor
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > len(values) * torch.finfo(torch.float64).eps * values.abs().max()
    scaled: Tensor = vectors[:, kept] * values[kept].sqrt()
    return scaled


def _smallest_eigenvalue(factor: Tensor) -> Tensor:
    """Of L L^T, about: by inverse iteration, so at least the true one and within a small factor of it."""
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(len(factor), 1, generator=generator, dtype=torch.float64).to(factor.device)
    length = vector.norm()
    for _ in range(INVERSE_STEPS):
        vector = torch.cholesky_solve(vector / length, factor)
        length = vector.norm()
    smallest: Tensor = 1 / length
    return smallest


def _distance(a: Gaussian, b: Gaussian, root: Tensor) -> float:
    """`root`: that of a's covariance."""
    difference = a.mean - b.mean.to(a.mean)
    other = b.covariance.to(a.mean)
    overlap = torch.linalg.eigvalsh(root.T @ other @ root).clamp(min=0).sqrt().sum()
    spread = (a.covariance.trace() + other.trace() - 2 * overlap).clamp(min=0)
    return float(difference.square().sum() + spread)


class Blocks:
    """The Gaussians of consecutive parts of `total` features, so that an error can be told; its size never grows.

    Feature number i belongs to block i * BLOCKS // total. Neighbouring frames of a panorama are alike, but the blocks
    are long, and so nearly independent of each other.
    """

    def __init__(self, dims: int, total: int, device: torch.device | str = "cpu") -> None:
        self.total = total
        self.parts = [Gaussian(dims, device) for _ in range(min(BLOCKS, max(total, 1)))]

    def add(self, features: Tensor, first: int) -> None:
        """Count features [n, dims], of the numbers first ... first + n - 1, in any order of calls.

        Raises ValueError for numbers outside of [0, total), and for what `Gaussian.add` refuses.
        """
        if first < 0 or first + len(features) > self.total:
            raise ValueError(f"features {first} ... {first + len(features) - 1} of {self.total}")
        count = len(self.parts)
        while len(features):
            part = first * count // self.total
            end = -(-(part + 1) * self.total // count)  # the first number of the next block
            self.parts[part].add(features[: end - first])
            features, first = features[end - first :], end

    def merge(self, other: Blocks) -> None:
        """Count all that other blocks of the same total have counted. Raises ValueError where they do not fit."""
        if self.total != other.total:
            raise ValueError(f"blocks of {self.total} and of {other.total} features cannot be merged")
        for mine, theirs in zip(self.parts, other.parts, strict=True):
            mine.merge(theirs)

    @property
    def whole(self) -> Gaussian:
        """Of all features."""
        return _together(self.parts)


def frechet_error(blocks: Blocks, reference: Gaussian, replicates: int = REPLICATES, seed: int = 0) -> float:
    """The standard error of frechet(blocks.whole, reference), where the reference is taken as it is.

    A bootstrap of whole blocks (Kuensch 1989): as many as there are are drawn with replacement, their Gaussians
    merged, and the distance computed; the error is the deviation of these distances, times sqrt(B / (B - 1)) because
    blocks vary about their own mean. With 16 blocks and 50 draws it is itself known to about 20 %. It is the scatter
    that other frames would give; the distance's bias, which falls with the number of features, is not in it.

    Raises ValueError for fewer than 2 blocks that hold features.
    """
    parts = [part for part in blocks.parts if part.n]
    if len(parts) < 2 or reference.n < 2:
        raise ValueError(f"{len(parts)} blocks against {reference.n} features: an error needs 2 of each at least")
    root = _root(reference)
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(replicates):
        drawn = torch.randint(len(parts), (len(parts),), generator=generator).tolist()
        whole = _together([parts[at] for at in drawn])
        found.append(_distance(reference, whole, root) if whole.n > 1 else 0.0)
    return statistics.stdev(found) * math.sqrt(len(parts) / (len(parts) - 1))


def _together(parts: Sequence[Gaussian]) -> Gaussian:
    whole = Gaussian(parts[0].dims, parts[0]._mean.device)
    for part in parts:
        whole.merge(part)
    return whole


def _require_same_dims(a: Gaussian, b: Gaussian) -> None:
    if a.dims != b.dims:
        raise ValueError(f"features of {a.dims} and of {b.dims} dims cannot be compared")
