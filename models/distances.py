"""Distances of two collections of pictures beside Frechet's: KID, precision and recall, from samples of features.

They need the features themselves, so a bounded sample of these is kept (`Sample`), not all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from models import counter_random
from models.counter_random import Kind

SAMPLE = 10_000  # features kept
SUBSETS, SUBSET = 100, 1_000  # of KID
NEIGHBOURS = 3
CHUNK = 1_000  # rows of a table of distances that are held at once


class Sample:
    """Up to `most` of the features that were added: those whose numbers have the smallest random keys.

    A key is a function of the seed and a feature's number, so the sample is the same in whatever order and in
    however many parts the features come, and each feature is as likely to be in it. Held in float32 on the CPU.
    """

    def __init__(self, dims: int, most: int = SAMPLE, seed: int = 0) -> None:
        self.most, self.seed = most, seed
        self._features = torch.empty(0, dims)
        self._keys = torch.empty(0, dtype=torch.float64)

    @property
    def dims(self) -> int:
        """Length of a feature."""
        return self._features.shape[1]

    @property
    def features(self) -> Tensor:
        """Float32 [<= most, dims], in the order of their keys: the first n are a sample of n."""
        return self._features

    def add(self, features: Tensor, first: int) -> None:
        """Consider features [n, dims] of the numbers first ... first + n - 1."""
        numbers = torch.arange(first, first + len(features))
        keys = counter_random.uniform(self.seed, Kind.SAMPLE, numbers, 1)[:, 0]
        if len(self._keys) == self.most:
            near = keys < self._keys[-1]
            features, keys = features[near.to(features.device)], keys[near]
        if len(keys):
            self._take(features.detach().to("cpu", torch.float32), keys)

    def merge(self, other: Sample) -> None:
        """Consider all that another sample has considered. Raises ValueError where they are of different kinds."""
        if (self.most, self.seed, self.dims) != (other.most, other.seed, other.dims):
            raise ValueError("samples of different sizes, seeds or features cannot be merged")
        self._take(other._features, other._keys)

    def state(self) -> dict[str, Tensor]:
        """`features` float32 [n, dims] and their `keys` float64 [n]."""
        return {"features": self._features.clone(), "keys": self._keys.clone()}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], most: int = SAMPLE, seed: int = 0) -> Sample:
        """The sample that gave `state()`. Raises ValueError for tensors that no sample gives."""
        features, keys = state["features"], state["keys"]
        if not (
            (features.dtype, keys.dtype) == (torch.float32, torch.float64)
            and features.ndim == 2
            and keys.shape == (len(features),)
            and len(keys) <= most
            and bool((keys.diff() >= 0).all())
        ):
            raise ValueError("these are not a sample: features float32 [n, dims], keys float64 [n], rising")
        sample = cls(features.shape[1], most, seed)
        sample._features, sample._keys = features.clone(), keys.clone()
        return sample

    def _take(self, features: Tensor, keys: Tensor) -> None:
        every = torch.cat([self._keys, keys])
        kept = every.argsort(stable=True)[: self.most]
        self._features = torch.cat([self._features, features])[kept]
        self._keys = every[kept]


@dataclass(frozen=True)
class KernelDistance:
    """KID. `spread` is the standard deviation over subsets; None where there was one."""

    value: float
    spread: float | None
    subsets: int
    subset: int


def kid(real: Tensor, generated: Tensor, seed: int = 0, subsets: int = SUBSETS, size: int = SUBSET) -> KernelDistance:
    """The kernel distance of features [n, dims] and [m, dims] (Binkowski et al. 2018, arXiv:1801.01401).

    The unbiased squared maximum mean discrepancy with the kernel (x y / dims + 1)^3, averaged over random subsets of
    `size` features of each; smaller where there are fewer, and one subset where it is all there is. It may be a
    little below 0. In float64. Raises ValueError for fewer than 2 features.
    """
    size = min(size, len(real), len(generated))
    if size < 2 or real.shape[1] != generated.shape[1]:
        raise ValueError(f"features {list(real.shape)} and {list(generated.shape)}: KID needs 2 of each, equally long")
    if size == len(real) == len(generated):
        subsets = 1
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(subsets):
        x, y = (
            every[torch.randperm(len(every), generator=generator)[:size].to(every.device)].double()
            for every in (real, generated)
        )
        found.append(_discrepancy(x, y))
    values = torch.tensor(found, dtype=torch.float64)
    return KernelDistance(float(values.mean()), float(values.std()) if subsets > 1 else None, subsets, size)


def _discrepancy(x: Tensor, y: Tensor) -> float:
    """Of as many features in x as in y, unbiased."""
    n = len(x)
    within = [_kernel(one, one) for one in (x, y)]
    alike = sum(float(table.sum() - table.trace()) for table in within) / (n * (n - 1))
    return alike - 2 * float(_kernel(x, y).mean())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def precision_recall(real: Tensor, generated: Tensor, k: int = NEIGHBOURS) -> tuple[float, float]:
    """Precision and recall of features [n, dims] and [m, dims] (Kynkaanniemi et al. 2019, arXiv:1904.06991).

    A collection's manifold is the union of balls about its features, each as wide as to the k-th nearest other one.
    Precision: the share of generated features that lie in that of the real ones; recall the other way round. In
    float64. Raises ValueError for k features or fewer.
    """
    if min(len(real), len(generated)) <= k:
        raise ValueError(f"{len(real)} and {len(generated)} features: {k} neighbours need more")
    centre = real.double().mean(0)  # far from 0, squares would lose the small distances
    real, generated = real.double() - centre, generated.double() - centre
    return _covered(generated, real, k), _covered(real, generated, k)


def _covered(features: Tensor, others: Tensor, k: int) -> float:
    """The share of `features` in the manifold of `others`."""
    width = _widths(others, k)
    inside = [(_squared(chunk, others) <= width).any(1) for chunk in torch.split(features, CHUNK)]
    return float(torch.cat(inside).double().mean())


def _widths(features: Tensor, k: int) -> Tensor:
    """The squared distance of each feature to its k-th nearest other one, [n]."""
    found = []
    for first in range(0, len(features), CHUNK):
        table = _squared(features[first : first + CHUNK], features)
        rows = torch.arange(len(table), device=table.device)
        table[rows, first + rows] = torch.inf  # itself
        found.append(table.kthvalue(k, 1).values)
    return torch.cat(found)


def _squared(x: Tensor, y: Tensor) -> Tensor:
    """Squared distances [n, m]."""
    table = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * (x @ y.T)
    return table.clamp(min=0)
