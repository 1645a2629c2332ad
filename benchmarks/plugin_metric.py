"""The contract of a metric of another package: a number told from real pictures and generated frames as they pass by.

`lhq evaluate --metric <its name>` measures it on the very pictures and independent frames that the distances are
measured on. Its value stands in evaluation.json and in what the command prints; the columns of a leaderboard are the
same everywhere, so it has none there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from manifests.errors import SetupError
from manifests.plugins import Group, misdeclared

BATCH = 32  # real pictures


class PluginMetric(ABC):
    """One measurement: made, shown all generated frames and all real pictures, then asked for its value.

    It holds what it needs of them and not all of them, for they may be 50,000.
    """

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever the same pictures would have another value
    about: ClassVar[str]  # one line: what it tells, and whether less is better

    @classmethod
    def problem(cls) -> str | None:
        """What is wrong with the class as it is declared; None where nothing is seen to be."""
        return misdeclared(cls) or (None if getattr(cls, "about", "") else "states no line about what it tells")

    @abstractmethod
    def add_real(self, images: Tensor) -> None:
        """Real pictures: uint8 [n, 3, resolution, resolution], on the CPU."""

    @abstractmethod
    def add_generated(self, images: Tensor) -> None:
        """Generated frames: uint8 [n, 3, resolution, resolution], on the generator's device."""

    @abstractmethod
    def value(self) -> float:
        """The number."""


METRICS: Group[PluginMetric] = Group("metric", "lhq.metrics", "benchmarks.plugin_metric:PluginMetric", ())


@dataclass(frozen=True)
class Asked:
    """A metric that was asked for, and the package that brings it."""

    metric: PluginMetric
    package: str


def asked(names: Sequence[str]) -> list[Asked]:
    """The metrics of these names. Raises as `Group.load` does."""
    return [Asked(METRICS.load(name)(), METRICS.plugin(name).package) for name in dict.fromkeys(names)]


def watch(metrics: Sequence[Asked], batch: Tensor) -> None:
    """Show a batch of generated frames to all of them."""
    for one in metrics:
        one.metric.add_generated(batch)


def values(metrics: Sequence[Asked], real: Tensor) -> dict[str, dict[str, Any]]:
    """What they tell once they saw all generated frames; `real`: uint8 [n, 3, h, w]. SetupError for no number."""
    found: dict[str, dict[str, Any]] = {}
    for one in metrics:
        for batch in torch.split(real, BATCH):
            one.metric.add_real(batch)
        value = float(one.metric.value())
        if not math.isfinite(value):
            raise SetupError(
                f"metric {one.metric.name!r} of the package {one.package} says {value}, which is no number"
            )
        about = {"about": one.metric.about, "package": one.package, "version": one.metric.version}
        found[one.metric.name] = {"value": value, **about}
    return found
