"""How well the filters agree with people: precision and recall, from a reviewed random sample.

The sample is the beginning of one fixed random order of the photos with an ok file, as far as each has a verdict: so
whoever reviews in that order, and stops anywhere, has a fair sample, whatever else was reviewed besides. A filter is
taken as a finder of photos that a person rejects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manifests import reviews
from manifests.reviews import Verdicts
from pipelines import wilson
from pipelines.funnel import ERROR, KEPT, PENDING, REJECTED, Funnel

ALL = "all filters"

Rows = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """`hits` of `of`, and the interval in which the true share lies with 95 % confidence; 0 to 1 where `of` is 0."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson.interval(self.value or 0.0, self.of)


@dataclass(frozen=True)
class Judged:
    """One filter against people, on the photos of the sample that reached it and that it decided."""

    filter: str
    precision: Share  # of what it rejects: how much a person rejects too
    recall: Share  # of what a person rejects: how much it rejects


@dataclass(frozen=True)
class Agreement:
    """The sample and what it says of each filter, and of all together."""

    photos: int  # with an ok file: what the sample was drawn from
    sampled: int  # photos of the sample
    flagged: int  # of these, those that a person could not decide; they count for nothing
    filters: Sequence[Judged]


def in_random_order(photo_ids: Sequence[str]) -> Rows:
    """Places of the photos in an order that hangs on nothing but each one's id."""
    keys = [
        hashlib.blake2b(f"sample\0{one}".encode(errors="surrogatepass"), digest_size=8).digest() for one in photo_ids
    ]
    return np.argsort(np.frombuffer(b"".join(keys), dtype=">u8"), kind="stable").astype(np.int64)


def agreement(funnel: Funnel, verdicts: Verdicts | None = None) -> Agreement:
    """What the sample reviewed so far says of the funnel's filters."""
    verdicts = verdicts or funnel.verdicts or Verdicts()
    ids = funnel.photos["photo_id"].to_pylist()
    there = np.flatnonzero(funnel.ok_file)
    sample: list[int] = []
    rejects: list[bool] = []
    flagged = 0
    for row in there[in_random_order([ids[row] for row in there])]:
        verdict = verdicts.of(ids[row])
        if verdict is None:
            break
        if verdict == reviews.FLAG:
            flagged += 1
            continue
        sample.append(int(row))
        rejects.append(verdict == reviews.REJECT)
    rows, person = np.array(sample, np.int64), np.array(rejects, bool)
    filters = [
        _judged(one.stage, one.state[rows] == REJECTED, person, np.isin(one.state[rows], (KEPT, REJECTED)))
        for one in funnel.outcomes
    ]
    if funnel.outcomes:
        states = np.stack([one.state[rows] for one in funnel.outcomes])
        rejected = (states == REJECTED).any(axis=0)
        filters.append(_judged(ALL, rejected, person, rejected | ~np.isin(states, (ERROR, PENDING)).any(axis=0)))
    return Agreement(len(there), len(sample) + flagged, flagged, filters)


def _judged(name: str, rejected: Bools, person: Bools, decided: Bools) -> Judged:
    rejected, person = rejected[decided], person[decided]
    both = int((rejected & person).sum())
    return Judged(name, Share(both, int(rejected.sum())), Share(both, int(person.sum())))
