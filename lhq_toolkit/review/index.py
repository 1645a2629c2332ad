"""What the review page shows: the photos of one subset with what every filter said, and the lists made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests import recipes, reviews
from manifests.dataset import Dataset
from manifests.reviews import Decision, Verdicts
from manifests.rows import in_one
from pipelines.agreement import in_random_order
from pipelines.filter import existing
from pipelines.funnel import ERROR, KEPT, NOT_REACHED, PENDING, REJECTED, Outcome, walk
from pipelines.manifest import inputs_of

COLUMNS = ("title", "author", "author_url", "page_url", "license", "file_width", "file_height")
STATES = {KEPT: "kept", REJECTED: "rejected", ERROR: "error", PENDING: "pending"}
REASONS = 100  # most frequent reasons of a stage that are offered
AUTHORS = 20  # authors offered for what was typed
NOBODY, UNKNOWN = -1, -2  # in place of an author: none is stated, no photo has that one
ALL, IN, OUT, SAMPLE, STAGE, NEAR, AUTHOR, DISAGREEMENTS = (
    "all", "in", "out", "sample", "stage", "near", "author", "disagreements"
)  # fmt: skip

Rows = npt.NDArray[np.int64]
Standing = Mapping[str, Mapping[str, Decision]]


@dataclass(frozen=True)
class Query:
    """Which photos to list, and in which order."""

    kind: str = IN  # one of those above, or a verdict
    stage: str | None = None  # for STAGE and NEAR
    reason: str | None = None  # for STAGE; None: any
    author: str | None = None  # for AUTHOR
    undecided: bool = True  # leave out what this reviewer has decided
    sort: str | None = None  # a stage whose value to sort by; None: the list's own order
    down: bool = False  # the largest first


@dataclass
class Index:
    """The photos with an ok file, as the tables and the recipe were at one moment."""

    dataset: Dataset
    subset: str
    inputs: str = field(init=False)  # hash of what it was made from, reviews left out

    def __post_init__(self) -> None:
        recipe = existing(self.dataset, self.subset)
        self.inputs = inputs_of(self.dataset, recipe, Verdicts())
        self.funnel = walk(self.dataset, recipe, COLUMNS)
        self.rows: Rows = np.flatnonzero(self.funnel.ok_file)
        photos = self.funnel.photos
        self.ids: list[str] = photos["photo_id"].to_pylist()
        self.row_of = {self.ids[row]: int(row) for row in self.rows}
        self.row_of_file = _last_rows(photos["sha256"], self.rows)
        self._paths = photos["path"]
        sides = [np.asarray(photos[f"file_{side}"].fill_null(1), np.float64) for side in ("width", "height")]
        self.ratios = sides[0] / np.maximum(sides[1], 1)
        self._pixels = sides[0] * sides[1]
        authors = in_one(photos["author"]).dictionary_encode()  # few of very many photos
        self._authors: list[str] = authors.dictionary.to_pylist()
        self._author_of = np.asarray(authors.indices.fill_null(NOBODY), np.int32)
        self.cuts = {one.stage: one.cut() for one in self.funnel.outcomes}
        self._order: Rows = self.rows[in_random_order([self.ids[row] for row in self.rows])]
        states = [one.state == REJECTED for one in self.funnel.outcomes]
        self._kept = np.array(self.funnel.alive)
        if self.funnel.outcomes and self.funnel.taken_out.any():  # whom a review keeps from the last stage
            self._kept |= self.funnel.taken_out & ~np.any(states, axis=0)

    def is_current(self) -> bool:
        """False once a take-down has rewritten the tables."""
        return Dataset.open(self.dataset.root).generations == self.dataset.generations

    def is_up_to_date(self) -> bool:
        """False once anything it was made from has changed."""
        now = Dataset.open(self.dataset.root)
        return self.inputs == inputs_of(now, recipes.load(now.root, self.subset) or self._empty(), Verdicts())

    def _empty(self) -> recipes.Recipe:
        return recipes.Recipe(self.subset)

    def path(self, sha256: str) -> str | None:
        """The file with this hash, relative to the dataset; None where no photo has it."""
        row = self.row_of_file.get(sha256)
        return None if row is None else str(self._paths[row].as_py())

    def pixels(self, sha256: str) -> int:
        """How large a file of `path` is."""
        row = self.row_of_file[sha256]
        return int(self._pixels[row])

    # Lists.

    def select(self, query: Query, standing: Standing, reviewer: str) -> Rows:
        """The photos of a list, in its order."""
        rows = self._listed(query, standing)
        if query.undecided:
            mine = {self.row_of[one] for one, given in standing.items() if reviewer in given and one in self.row_of}
            rows = rows[~np.isin(rows, np.fromiter(mine, np.int64, len(mine)))]
        if query.sort is not None:
            value = self._outcome(query.sort).value[rows]
            order = np.argsort(-value if query.down else value, kind="stable")  # NaN, without a value, comes last
            rows = rows[order]
        elif query.down:
            rows = rows[::-1]
        return rows

    def _listed(self, query: Query, standing: Standing) -> Rows:
        rows = self.rows
        if query.kind in (reviews.KEEP, reviews.REJECT, reviews.FLAG):
            rows = self._rows_of(one for one, given in standing.items() if reviews.combined(given) == query.kind)
        elif query.kind == DISAGREEMENTS:
            rows = self._rows_of(one for one, given in standing.items() if reviews.disagree(given))
        elif query.kind == SAMPLE:
            rows = self._order
        elif query.kind in (IN, OUT):
            rows = rows[self.members(standing)[rows] == (query.kind == IN)]
        elif query.kind == STAGE:
            outcome = self._outcome(query.stage)
            rows = rows[np.isin(outcome.state[rows], (REJECTED, ERROR, PENDING))]
            if query.reason is not None:
                rows = rows[outcome.reason[rows] == query.reason]
        elif query.kind == NEAR:
            rows = self._near(self._outcome(query.stage))
        elif query.kind == AUTHOR:
            author = self._authors.index(query.author) if query.author in self._authors else UNKNOWN
            rows = rows[self._author_of[rows] == author]
        return rows

    def _near(self, outcome: Outcome) -> Rows:
        """What a stage decided, the nearest to its threshold first; none where it has none."""
        cut = self.cuts[outcome.stage]
        if cut is None:
            return self.rows[:0]
        rows = self.rows[np.isin(outcome.state[self.rows], (KEPT, REJECTED))]
        return rows[np.argsort(np.abs(outcome.value[rows] - cut), kind="stable")]

    def _rows_of(self, photo_ids: Any) -> Rows:
        return np.array(sorted(self.row_of[one] for one in photo_ids if one in self.row_of), np.int64)

    def _outcome(self, stage: str | None) -> Outcome:
        """Raises KeyError where the recipe has no such stage."""
        found = next((one for one in self.funnel.outcomes if one.stage == stage), None)
        if found is None:
            raise KeyError(stage)
        return found

    def members(self, standing: Standing) -> npt.NDArray[np.bool_]:
        """Who is in the subset with the reviews as they stand now; duplicates are judged anew by `lhq filter`."""
        members = self._kept & self.funnel.ok_file
        for photo_id, given in standing.items():
            row, verdict = self.row_of.get(photo_id), reviews.combined(given)
            if row is not None and verdict in (reviews.KEEP, reviews.REJECT):
                members[row] = verdict == reviews.KEEP
        return members

    # What is told of them.

    def stages(self) -> list[dict[str, Any]]:
        """Of every stage its threshold, whether it has values to sort by, and how often it gives which reason."""
        told = []
        for one in self.funnel.outcomes:
            here = one.state[self.rows]
            reasons = Counter(one.reason[self.rows][(here != KEPT) & (here != NOT_REACHED)].tolist())
            told.append(
                {
                    "name": one.stage,
                    "cut": self.cuts[one.stage],
                    "scored": bool((~np.isnan(one.value[self.rows])).any()),
                    "out": int(sum(reasons.values())),
                    "reasons": [[reason, count] for reason, count in reasons.most_common(REASONS)],
                }
            )
        return told

    def authors(self, begins: str) -> list[str]:
        """Some authors whose name has this in it, whatever the case."""
        wanted = begins.casefold()
        there = np.unique(self._author_of[self.rows])
        names = (self._authors[one] for one in there[there != NOBODY])
        return sorted(name for name in names if name and wanted in name.casefold())[:AUTHORS]

    def items(self, rows: Rows, standing: Standing, reviewer: str, blind: bool) -> list[dict[str, Any]]:
        """What the page shows of these photos; `blind` leaves out what filters and other people said."""
        photos = self.funnel.photos.select(["photo_id", "sha256", *COLUMNS])
        facts = [photos.slice(row, 1).to_pylist()[0] for row in rows.tolist()]  # `take` copies all columns whole first
        return [
            self._item(fact, int(row), standing.get(fact["photo_id"], {}), reviewer, blind)
            for fact, row in zip(facts, rows, strict=True)
        ]

    def _item(
        self, fact: Mapping[str, Any], row: int, given: Mapping[str, Decision], reviewer: str, blind: bool
    ) -> dict[str, Any]:
        mine = given.get(reviewer)
        item = {
            "id": fact["photo_id"],
            "file": fact["sha256"],
            "width": fact["file_width"],
            "height": fact["file_height"],
            "title": fact["title"],
            "author": fact["author"],
            "author_url": web_link(fact["author_url"]),
            "page_url": web_link(fact["page_url"]),
            "license": fact["license"],
            "mine": mine.verdict if mine else None,
        }
        if blind:
            return item
        others = {name: one.verdict for name, one in sorted(given.items()) if name != reviewer}
        said = [
            {
                "stage": one.stage,
                "state": STATES[int(one.state[row])],
                "value": None if np.isnan(one.value[row]) else float(one.value[row]),
                "cut": self.cuts[one.stage],
                "reason": one.reason[row],
                "about": one.about[row],
            }
            for one in self.funnel.outcomes
            if one.state[row] != NOT_REACHED
        ]
        return {**item, "others": others, "said": said, "kept": bool(self._kept[row])}


def _last_rows(sha256s: pa.ChunkedArray, rows: Rows) -> dict[str, int]:
    """Of each file among these rows the last one that has it."""
    files = in_one(sha256s.take(pa.array(rows))).dictionary_encode()
    last = np.empty(len(files.dictionary), np.int64)
    last[files.indices.to_numpy()] = rows
    return dict(zip(files.dictionary.to_pylist(), last.tolist(), strict=True))


def web_link(url: str | None) -> str | None:
    """The address if it leads to the web; None for any other scheme."""
    try:
        parts = urlsplit((url or "").strip())
    except ValueError:
        return None
    return (url or "").strip() if parts.scheme in ("http", "https") and parts.netloc else None
