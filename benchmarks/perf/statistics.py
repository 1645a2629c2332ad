"""Speed of the statistics behind FID: streamed mean and covariance against their matrix products, and the distance.

The products that a covariance needs are X^T X in float64, computed here by PyTorch from numbers that are float64
already. The peers are the plain ways: all features in memory and numpy's covariance, scipy's matrix square root.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from models.statistics import Gaussian, frechet
from pipelines.engine import threads

DIMS = 2048
BATCHES = (32, 4096)  # features that come at once


def streamed(features: Tensor, batch: int) -> Gaussian:
    """Mean and covariance of float32 features that come in batches."""
    gaussian = Gaussian(features.shape[1])
    for some in torch.split(features, batch):
        gaussian.add(some)
    gaussian.covariance  # noqa: B018 (what waits is counted)
    return gaussian


def products(features: Tensor) -> Tensor:
    """X^T X of float64 features, in parts that fit into memory as ours do."""
    total = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64)
    for some in torch.split(features, 4096):
        total.addmm_(some.T, some)
    return total


def of_streaming(count: int, repeats: int) -> list[Row]:
    """Ours in small and in large batches, numpy on all at once, each against the products alone."""
    features = torch.randn(count, DIMS, generator=torch.Generator().manual_seed(0))
    wide = features.double()
    array = features.numpy()
    cases: dict[str, Callable[[], object]] = {"products": lambda: products(wide)}
    cases |= {str(batch): lambda batch=batch: streamed(features, batch) for batch in BATCHES}  # type: ignore[misc]
    cases["numpy"] = lambda: np.cov(array, rowvar=False)
    seconds = median_seconds(cases, repeats)
    name = f"statistics of {count:,} x {DIMS} features"
    rows = [
        compare(f"{name}, {batch} at once / products", seconds[str(batch)], seconds["products"], "s")
        for batch in BATCHES
    ]
    return [*rows, compare(f"{name}, 32 at once / numpy.cov", seconds["32"], seconds["numpy"], "s")]


def of_the_distance(repeats: int, *, with_scipy: bool) -> list[Row]:
    """Frechet's distance of two full-rank Gaussians and of one that is not, against scipy's square root."""
    many = Gaussian(DIMS)
    many.add(torch.randn(2 * DIMS, DIMS, generator=torch.Generator().manual_seed(1)))
    few = {}
    for name, count in (("full rank", 2 * DIMS), ("rank 500", 501)):
        few[name] = Gaussian(DIMS)
        few[name].add(1.1 * torch.randn(count, DIMS, generator=torch.Generator().manual_seed(2)) + 0.01)
    seconds = median_seconds({name: lambda one=one: frechet(one, many) for name, one in few.items()}, repeats)  # type: ignore[misc]
    baseline = _scipy_seconds(few["full rank"], many) if with_scipy else None
    rows = []
    for name, value in seconds.items():
        if baseline is None or name != "full rank":
            why = "scipy is timed with --full, at full rank"
            rows.append(Row(f"frechet at {DIMS} dims, {name}", float(f"{value:.4g}"), "s", None, None, why))
        else:
            rows.append(compare(f"frechet at {DIMS} dims, {name} / scipy sqrtm", value, baseline, "s"))
    return rows


def _scipy_seconds(a: Gaussian, b: Gaussian) -> float:
    from scipy import linalg

    product = (a.covariance @ b.covariance).numpy()
    started = time.perf_counter()
    linalg.sqrtm(product)
    return time.perf_counter() - started


def main() -> None:
    """Measures and prints; under a minute on two free cores, with --full some minutes."""
    options = parse_options("Speed of streamed statistics and of the Frechet distance.")
    threads.fix(threads.cores())
    rows = of_streaming(50_000 if options.full else 5_000, 5 if options.full else 3)
    rows += of_the_distance(5 if options.full else 3, with_scipy=options.full)
    publish("statistics", rows, options, torch=torch.__version__, threads=str(torch.get_num_threads()))


if __name__ == "__main__":
    main()
