"""What people said of the photos, for the report: how well each filter agrees with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.funnel import Funnel


@dataclass(frozen=True)
class Rate:
    """A share of a reviewed sample, `hits` of `of`, with its 95 % interval."""

    hits: int
    of: int
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """One filter, as a finder of photos that a person rejects."""

    filter: str
    precision: Rate
    recall: Rate


@dataclass(frozen=True)
class Reviewed:
    """The reviewed random sample."""

    photos: int  # that it was drawn from
    sampled: int
    filters: Sequence[Judged]


def reviewed(funnel: Funnel) -> Reviewed | None:
    """What the reviews say of the filters; None where there are none, as in a dataset without reviews.sqlite."""
    del funnel  # has no verdicts yet
    return None
