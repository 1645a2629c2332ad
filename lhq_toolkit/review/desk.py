"""What lies on the table while people review: the index, the verdicts, and the lists that are open."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lhq_toolkit.review.index import SAMPLE, Index, Query, Rows
from manifests.dataset import Dataset
from manifests.reviews import Decision, Reviews, Verdicts
from pipelines.agreement import Judged, Share, agreement
from pipelines.filter import record_reviews

LISTS_KEPT = 32  # open lists, the least used are closed
FIRST = 100  # photos told with a new list


class GoneError(Exception):
    """The list or photo asked for is not there, or not any more: make the list anew."""


@dataclass(frozen=True)
class _Open:
    """A list as it was when it was made."""

    rows: Rows
    blind: bool


class Desk:
    """One dataset under review by any number of people; safe to use from several threads."""

    def __init__(self, root: Path, subset: str) -> None:
        self.root, self.subset = root, subset
        self._lock = threading.RLock()
        self._lists: OrderedDict[str, _Open] = OrderedDict()
        self._index = Index(Dataset.open(root), subset)
        self.reviews = Reviews(root)

    def close(self) -> None:
        """Note in the recipe which reviews stand, and close the database."""
        with self._lock:
            index = self._fresh()
            record_reviews(index.dataset, self.subset, Verdicts(self.reviews.standing()).sha256())
            self.reviews.__exit__(None, None, None)

    def index(self) -> Index:
        """The photos; read anew after a take-down."""
        with self._lock:
            if not self._index.is_current():
                self._replace()
                self.reviews.forget()
            return self._index

    def _fresh(self) -> Index:
        """The photos; read anew when anything has changed."""
        with self._lock:
            index = self.index()
            if not index.is_up_to_date():
                self._replace()
            return self._index

    def _replace(self) -> None:
        self._lists.clear()  # their rows are those of the old index
        self._index = Index(Dataset.open(self.root), self.subset)

    # What is asked.

    def start(self, reviewer: str) -> dict[str, Any]:
        """What the page needs before it lists anything."""
        index = self._fresh()
        last = self.reviews.last(reviewer)
        return {
            "dataset": self.root.resolve().name,
            "key": hashlib.sha256(str(self.root.resolve()).encode(errors="surrogateescape")).hexdigest()[:16],
            "subset": self.subset,
            "reviewer": reviewer,
            "stages": index.stages(),
            "can_undo": last is not None,
            **self.counts(reviewer),
        }

    def counts(self, reviewer: str) -> dict[str, Any]:
        """How far the review is."""
        return {
            "photos": len(self.index().rows),
            "mine": self.reviews.decided(reviewer),
            "disagreements": self.reviews.disagreements(),
            "seconds_each": self.reviews.seconds_each(reviewer),
        }

    def open_list(self, query: Query, reviewer: str) -> dict[str, Any]:
        """Make a list; its photos do not change while they are reviewed."""
        with self._lock:
            index = self._fresh()
            standing = self.reviews.standing()
            rows = index.select(query, standing, reviewer)
            name = secrets.token_urlsafe(8)
            self._lists[name] = _Open(rows, query.kind == SAMPLE)
            while len(self._lists) > LISTS_KEPT:
                self._lists.popitem(last=False)
            decided = 0
            if not query.undecided:
                decided = sum(reviewer in standing.get(index.ids[row], {}) for row in rows)
            return {
                "list": name,
                "total": len(rows),
                "decided": decided,
                "ratios": np.round(index.ratios[rows] * 100).astype(int).tolist(),
                "first": index.items(rows[:FIRST], standing, reviewer, query.kind == SAMPLE),
            }

    def items(self, name: str, first: int, count: int, reviewer: str) -> list[dict[str, Any]]:
        """Some photos of a list; GoneError where it was closed."""
        with self._lock:
            index = self.index()
            found = self._lists.get(name)
            if found is None:
                raise GoneError(name)
            self._lists.move_to_end(name)
            return index.items(found.rows[first : first + count], self.reviews.standing(), reviewer, found.blind)

    def decide(self, photo_id: str, reviewer: str, verdict: str, token: str) -> Decision:
        """Write a decision; GoneError where there is no such photo, or not any more."""
        while True:
            index = self.index()
            if photo_id not in index.row_of:
                raise GoneError(photo_id)
            # Asked while no one else can write: a take-down deletes this row after us, or we see that it was.
            decision = self.reviews.decide(photo_id, reviewer, verdict, token, index.is_current)
            if decision is not None:
                return decision

    def agreement(self) -> dict[str, Any]:
        """Precision and recall of every filter, from the random sample."""
        index = self._fresh()
        found = agreement(index.funnel, Verdicts(self.reviews.standing()))
        return {
            "photos": found.photos,
            "sampled": found.sampled,
            "flagged": found.flagged,
            "filters": [_told(one) for one in found.filters],
        }


def _told(one: Judged) -> dict[str, Any]:
    return {"filter": one.filter, "precision": _share(one.precision), "recall": _share(one.recall)}


def _share(share: Share) -> dict[str, Any]:
    return {"hits": share.hits, "of": share.of, "value": share.value, "interval": list(share.interval)}
