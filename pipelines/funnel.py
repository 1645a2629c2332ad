"""The funnel: what every stage of a recipe says of every photo, and who is in the subset.

Nothing is measured here. A photo reaches a stage when all before it keep it; an image stage sees only
photos with an ok file. Kept + rejected + errors + pending = reached.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests import schema
from manifests.dataset import Dataset
from manifests.errors import MisuseError, SetupError
from manifests.recipes import Recipe, Step
from pipelines.engine.measure import distinct_images, measurements
from pipelines.engine.stage import Stage
from pipelines.filters import make_stage

NOT_REACHED, KEPT, REJECTED, ERROR, PENDING = range(5)

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Outcome:
    """What one stage says of every photo, in the order of the photos."""

    stage: str
    state: npt.NDArray[np.int8]  # NOT_REACHED, KEPT, REJECTED, ERROR or PENDING
    reason: npt.NDArray[np.object_]  # str or None
    value: npt.NDArray[np.float64]  # NaN where there is none
    about: Mapping[str, float | int | str] = field(default_factory=dict)  # what the stage says of the set as a whole

    def count(self, state: int) -> int:
        """Photos in this state."""
        return int((self.state == state).sum())

    def reasons(self) -> dict[str, int]:
        """How often each reason stands, most frequent first."""
        given = [str(reason) for reason in self.reason[self.state != KEPT] if reason is not None]
        return dict(sorted(Counter(given).items(), key=lambda item: (-item[1], item[0])))


@dataclass
class Funnel:
    """Walks the photos of a dataset through stages, one after another."""

    dataset: Dataset
    photos: pa.Table = field(init=False)  # photos_with_files(), the order of every mask
    alive: Mask = field(init=False)  # kept by all stages so far
    outcomes: list[Outcome] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.photos = self.dataset.photos_with_files()
        self.alive = np.ones(self.photos.num_rows, dtype=bool)

    @property
    def ok_file(self) -> Mask:
        """Photos whose file is there and complete."""
        return _mask(pc.equal(self.photos["file_status"], schema.OK))

    @property
    def members(self) -> Mask:
        """Photos in the subset: an ok file, and kept by every stage so far."""
        return self.alive & self.ok_file

    def reaching(self, stage: Stage[Any]) -> Mask:
        """Photos that reach the stage when it stands next."""
        return self.alive if stage.min_side is None else self.alive & self.ok_file

    def decide(self, stage: Stage[Any], fingerprint: str | None) -> Outcome:
        """Let the stage judge the photos that reach it; who it does not keep goes no further."""
        reached = self.reaching(stage)
        size = self.photos.num_rows
        state = np.full(size, NOT_REACHED, dtype=np.int8)
        reason = np.full(size, None, dtype=object)
        value = np.full(size, np.nan)
        rows = np.flatnonzero(reached)
        view = self.photos if len(rows) == size else self.photos.filter(pa.array(reached))
        if stage.min_side is not None:
            view, rows = self._measured(stage, fingerprint, view, rows, state, reason)
        verdicts = stage.decide(view)
        keep = np.asarray(verdicts.keep, dtype=bool)
        state[rows] = np.where(keep, KEPT, REJECTED)
        reason[rows] = np.asarray(verdicts.reason, dtype=object)
        value[rows] = np.array([np.nan if one is None else one for one in verdicts.value], dtype=np.float64)
        outcome = Outcome(stage.name, state, reason, value, stage.about(view))
        self.alive = state == KEPT
        self.outcomes.append(outcome)
        return outcome

    def _measured(
        self,
        stage: Stage[Any],
        fingerprint: str | None,
        view: pa.Table,
        rows: npt.NDArray[np.int64],
        state: npt.NDArray[np.int8],
        reason: npt.NDArray[np.object_],
    ) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        """Add the stage's columns; mark as pending or error, and leave out, what has no measurement."""
        found = measurements(self.dataset, stage, fingerprint or "")
        at = pc.index_in(view["sha256"], value_set=found["sha256"].combine_chunks())
        error = found["error"].combine_chunks().take(at)
        pending = _mask(pc.is_null(at))
        failed = _mask(pc.is_valid(error))
        state[rows[pending]] = PENDING
        reason[rows[pending]] = _why_pending(stage, fingerprint, view)
        state[rows[failed]] = ERROR
        reason[rows[failed]] = np.asarray(error.to_pylist(), dtype=object)[failed]
        good = ~pending & ~failed
        for name in stage.columns:
            view = view.append_column(name, found[name].combine_chunks().take(at))
        return (view, rows) if good.all() else (view.filter(pa.array(good)), rows[good])

    def subset_hash(self) -> str:
        """Hash of the subset: its sorted photo ids and file hashes."""
        members = self.photos.select(["photo_id", "sha256"]).filter(pa.array(self.members)).sort_by("photo_id")
        pairs = zip(members["photo_id"].to_pylist(), members["sha256"].to_pylist(), strict=True)
        return hash_of_members(pairs)


def hash_of_members(pairs: Iterable[tuple[str, str]]) -> str:
    """sha256 over lines `photo_id TAB sha256`, in order of photo_id."""
    digest = hashlib.sha256()
    for photo_id, sha256 in pairs:
        digest.update(f"{photo_id}\t{sha256}\n".encode())
    return digest.hexdigest()


def walk(dataset: Dataset, recipe: Recipe) -> Funnel:
    """The whole funnel of a recipe, from what is measured now."""
    funnel = Funnel(dataset)
    for step in recipe.steps:
        funnel.decide(stage_of(recipe, step), step.fingerprint)
    return funnel


def stage_of(recipe: Recipe, step: Step) -> Stage[Any]:
    """The stage of a stored recipe; SetupError where this toolkit has none such."""
    try:
        return make_stage(step.stage, step.settings)
    except MisuseError as error:
        raise SetupError(
            f"the recipe of subset {recipe.name!r} is not for this toolkit ({error}): upgrade the toolkit, "
            f"or change the recipe with: lhq filter DATASET --subset {recipe.name} --drop {step.stage}"
        ) from error


def _why_pending(stage: Stage[Any], fingerprint: str | None, view: pa.Table) -> str:
    if stage.fit_needs is not None and fingerprint is None:
        images = distinct_images(view).num_rows
        if images < stage.fit_needs:
            return f"too few photos to fit: {images} of the {stage.fit_needs} needed"
    return "not measured yet"


def _mask(values: pa.ChunkedArray | pa.Array) -> Mask:
    filled = pc.fill_null(values, False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), dtype=bool)
