"""The funnel: what every stage of a recipe says of every photo, and who is in the subset.

Nothing is measured here. A photo reaches a stage when all before it keep it; an image stage sees only
photos with an ok file. Kept + rejected + errors + pending = reached. Human verdicts stand above the stages: they
change who is in, and whom a stage that decides last meets, but not what a stage says.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests import blame, reviews, schema
from manifests.dataset import Dataset
from manifests.digests import Digests
from manifests.errors import MisuseError, SetupError
from manifests.recipes import Recipe, Step
from manifests.reviews import Verdicts
from manifests.rows import latest_at, sorted_by, take
from pipelines.engine.measure import measurements
from pipelines.engine.stage import Stage
from pipelines.filters import STAGES, make_stage, stage_type

ALWAYS_READ = ("photo_id", "sha256", "path", "file_status", "file_error")
NOT_REACHED, KEPT, REJECTED, ERROR, PENDING = range(5)
HASHED_AT_ONCE = 65_536  # members, as text

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What one stage says of every photo, in the order of the photos."""

    stage: str
    state: npt.NDArray[np.int8]  # NOT_REACHED, KEPT, REJECTED, ERROR or PENDING
    reason: npt.NDArray[np.object_]  # str or None
    value: npt.NDArray[np.float64]  # NaN where there is none
    about: npt.NDArray[np.object_]  # id of the photo that the reason is about, or None
    notes: tuple[str, ...] = ()  # what a person should know of these verdicts as a whole

    def count(self, state: int) -> int:
        """Photos in this state."""
        return int((self.state == state).sum())

    def reasons(self) -> dict[str, int]:
        """How often each reason stands, most frequent first."""
        given = [str(reason) for reason in self.reason[self.state != KEPT] if reason is not None]
        return dict(sorted(Counter(given).items(), key=lambda item: (-item[1], item[0])))

    def cut(self) -> float | None:
        """The value that parts kept from rejected, midway between the nearest of both; None where none does."""
        kept, rejected = self.value[self.state == KEPT], self.value[self.state == REJECTED]
        if not len(kept) or not len(rejected) or np.isnan(kept).any() or np.isnan(rejected).any():
            return None
        if kept.max() < rejected.min():
            return float((kept.max() + rejected.min()) / 2)
        return float((rejected.max() + kept.min()) / 2) if rejected.max() < kept.min() else None


@dataclass(frozen=True)
class Found:
    """The measurements of the photos that reach a stage."""

    rows: npt.NDArray[np.int64]  # of the photos that reach it
    table: pa.Table  # measurements under the fingerprint
    at: pa.Array  # of each of these photos its row there, null where it is not measured

    @property
    def complete(self) -> bool:
        """Nothing is left to measure."""
        return int(self.at.null_count) == 0


@dataclass
class Funnel:
    """Walks the photos of a dataset through stages, one after another; `columns` of them are read, None: all.

    `verdicts` are the human ones, those that stand now where none are given.
    """

    dataset: Dataset
    columns: Sequence[str] | None = None
    verdicts: Verdicts | None = None
    photos: pa.Table = field(init=False)  # of photos_with_files(), the order of every mask
    alive: Mask = field(init=False)  # kept by all stages so far
    ok_file: Mask = field(init=False)  # photos whose file is there and complete
    brought_in: Mask = field(init=False)  # a review keeps it
    taken_out: Mask = field(init=False)  # a review rejects it
    outcomes: list[Outcome] = field(init=False, default_factory=list)
    _digests: Digests | None = field(init=False, repr=False)  # of all files, in the order of the photos
    _digest_of: npt.NDArray[np.int64] = field(init=False, repr=False)  # place there of each photo's

    def __post_init__(self) -> None:
        columns = None if self.columns is None else [*ALWAYS_READ, *self.columns]
        self.photos = self.dataset.photos_with_files(columns)
        self.alive = np.ones(self.photos.num_rows, dtype=bool)
        named = pc.and_(pc.is_valid(self.photos["sha256"]), pc.is_valid(self.photos["path"]))  # a crawl writes both
        self.ok_file = _mask(pc.and_(pc.equal(self.photos["file_status"], schema.OK), named))
        self._digests = Digests.of(self.photos["sha256"].filter(pc.is_valid(self.photos["sha256"])))
        self._digest_of = np.cumsum(_mask(pc.is_valid(self.photos["sha256"]))) - 1  # of a photo that has a file
        if self.verdicts is None:
            self.verdicts = reviews.load(self.dataset.root)
        self.brought_in, self.taken_out = (self._reviewed(self.verdicts, one) for one in (reviews.KEEP, reviews.REJECT))

    def _reviewed(self, verdicts: Verdicts, verdict: str) -> Mask:
        return _mask(pc.is_in(self.photos["photo_id"], value_set=pa.array(verdicts.photos(verdict), pa.string())))

    @property
    def members(self) -> Mask:
        """Photos in the subset: an ok file, and kept by a review, or by every stage so far and rejected by none."""
        return self._wanted & self.ok_file

    @property
    def _wanted(self) -> Mask:
        return (self.alive | self.brought_in) & ~self.taken_out

    def reaching(self, stage: Stage[Any]) -> Mask:
        """Photos that reach the stage when it stands next; one that decides last meets what the reviews leave."""
        reaching = self._wanted if stage.decides_last else self.alive
        return reaching if stage.min_side is None else reaching & self.ok_file

    def find(self, stage: Stage[Any], fingerprint: str | None) -> Found:
        """The measurements of an image stage for the photos that reach it."""
        rows = np.flatnonzero(self.reaching(stage))
        table = measurements(self.dataset, stage, fingerprint or "", stage.decides_on)
        at = None
        if self._digests is not None and (measured := Digests.of(table["sha256"])) is not None:
            at = self._digests[self._digest_of[rows]].last_in(measured)
        return Found(rows, table, latest_at(self.photos["sha256"].take(rows), table["sha256"]) if at is None else at)

    def decide(self, stage: Stage[Any], fingerprint: str | None, found: Found | None = None) -> Outcome:
        """Let the stage judge the photos that reach it; who it does not keep goes no further.

        `found`, if it is at hand, is what `find` says of the same stage and fingerprint.
        """
        size = self.photos.num_rows
        outcome = Outcome(
            stage.name,
            state=np.full(size, NOT_REACHED, dtype=np.int8),
            reason=np.full(size, None, dtype=object),
            value=np.full(size, np.nan),
            about=np.full(size, None, dtype=object),
        )
        measured: dict[str, pa.ChunkedArray] = {}
        rows = np.flatnonzero(self.reaching(stage))
        if stage.min_side is not None:
            rows, measured = self._measured(stage, fingerprint, found or self.find(stage, fingerprint), outcome)
        verdicts = stage.decide(self._view(stage, rows, measured))
        if len(verdicts.keep) != len(rows):
            raise blame.broken(type(stage), f"gave {len(verdicts.keep)} verdicts on {len(rows)} photos")
        keep = np.asarray(verdicts.keep, dtype=bool)
        outcome.state[rows] = np.where(keep, KEPT, REJECTED)
        outcome.reason[rows] = np.asarray(verdicts.reason, dtype=object)
        outcome.value[rows] = np.asarray(verdicts.value, dtype=np.float64)  # None becomes NaN
        if verdicts.about is not None:
            outcome.about[rows] = np.asarray(verdicts.about, dtype=object)
        outcome = replace(outcome, notes=tuple(verdicts.notes))
        self.alive = outcome.state == KEPT
        self.outcomes.append(outcome)
        return outcome

    def _view(
        self, stage: Stage[Any], rows: npt.NDArray[np.int64], measured: Mapping[str, pa.ChunkedArray]
    ) -> pa.Table:
        """What the stage decides on: the columns it reads of the photos in `rows`, and its measurements."""
        reads = stage.reads()
        view = self.photos if reads is None else self.photos.select(list(dict.fromkeys(("photo_id", *reads))))
        if len(rows) < view.num_rows:
            reached = np.zeros(view.num_rows, dtype=bool)
            reached[rows] = True
            view = view.filter(pa.array(reached))
        if stage.decides_last:  # every other stage has spoken, and only whom it kept is still here
            view = view.append_column("others", pa.array(self._wanted[rows]))
        for name, column in measured.items():
            view = view.append_column(name, column)
        return view

    def _measured(
        self, stage: Stage[Any], fingerprint: str | None, found: Found, outcome: Outcome
    ) -> tuple[npt.NDArray[np.int64], dict[str, pa.ChunkedArray]]:
        """The photos that have a measurement, and the stage's columns for them; says of the others why not."""
        pending = _mask(pc.is_null(found.at))
        error = found.table["error"].take(found.at)
        failed = _mask(pc.is_valid(error))
        outcome.state[found.rows[pending]] = PENDING
        if pending.any():
            outcome.reason[found.rows[pending]] = self._why_pending(stage, fingerprint, found.rows)
        outcome.state[found.rows[failed]] = ERROR
        outcome.reason[found.rows[failed]] = error.filter(pa.array(failed)).to_pylist()
        good = ~pending & ~failed
        at = found.at if good.all() else found.at.filter(pa.array(good))
        values = take(found.table.select(list(stage.columns if stage.decides_on is None else stage.decides_on)), at)
        return found.rows[good], dict(zip(values.column_names, values.columns, strict=True))

    def _why_pending(self, stage: Stage[Any], fingerprint: str | None, rows: npt.NDArray[np.int64]) -> str:
        if stage.fit_needs is not None and fingerprint is None:
            images = len(pc.unique(self.photos["sha256"].take(rows)))
            if images < stage.fit_needs:
                return f"too few photos to fit: {images} of the {stage.fit_needs} needed"
        return "not measured yet"

    def subset_hash(self) -> str:
        """Hash of the subset: sha256 over lines `photo_id TAB sha256` of its members, in order of photo_id."""
        members = sorted_by(self.photos.select(["photo_id", "sha256"]).filter(pa.array(self.members)), "photo_id")
        digest = hashlib.sha256()
        for some in members.to_batches(max_chunksize=HASHED_AT_ONCE):
            pairs = zip(*(column.to_pylist() for column in some.columns), strict=True)
            digest.update("".join(f"{photo_id}\t{sha256}\n" for photo_id, sha256 in pairs).encode())
        return digest.hexdigest()


def walk(
    dataset: Dataset, recipe: Recipe, columns: Sequence[str] | None = None, verdicts: Verdicts | None = None
) -> Funnel:
    """The whole funnel of a recipe, from what is measured and reviewed now.

    Of the photos it has what the stages read, and `columns`; None: every column, which takes much longer to read.
    """
    stages = {step.stage: stage_of(recipe, step) for step in recipe.steps}
    funnel = Funnel(dataset, columns_read(stages.values(), columns), verdicts)
    for step in in_funnel_order(recipe.steps):
        funnel.decide(stages[step.stage], step.fingerprint)
    return funnel


def in_funnel_order(steps: Sequence[Step]) -> list[Step]:
    """The steps as photos meet them: those of stages that decide last at the end."""
    return sorted(steps, key=lambda step: stage_type(step.stage, step.package).decides_last)


def columns_read(stages: Iterable[Stage[Any]], more: Sequence[str] | None = ()) -> list[str] | None:
    """The columns that any of the stages reads, and `more`; None: all there are."""
    read = [stage.reads() for stage in stages]
    if more is None or any(one is None for one in read):
        return None
    return list(dict.fromkeys([*more, *(name for one in read for name in one or ())]))


def stage_of(recipe: Recipe, step: Step) -> Stage[Any]:
    """The stage of a stored recipe; SetupError where neither this toolkit nor a package that is installed has it."""
    drop = f"lhq filter DATASET --subset {recipe.name} --drop {step.stage}"
    try:
        if step.package is not None:
            STAGES.plugin(step.stage, step.package, step.package_version)
        return make_stage(step.stage, step.settings, step.package)
    except MisuseError as error:
        raise SetupError(
            f"the recipe of subset {recipe.name!r} is not for this toolkit ({error}): upgrade "
            f"{step.package or 'the toolkit'}, or change the recipe with: {drop}"
        ) from error
    except SetupError as error:
        if step.package is None:
            raise
        raise SetupError(f"subset {recipe.name!r}: {error}, or take the stage out: {drop}") from error


def _mask(values: pa.ChunkedArray | pa.Array) -> Mask:
    filled = pc.fill_null(values, False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool)
