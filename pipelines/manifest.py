"""`lhq manifest`: every photo with its rights, its file, and what each stage measured and said of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests import flat, reviews
from manifests.dataset import Dataset
from manifests.recipes import Recipe
from manifests.reviews import Verdicts
from manifests.tables import sorted_by
from pipelines.funnel import ERROR, KEPT, NOT_REACHED, PENDING, Funnel, Outcome, stage_of, walk

LAYOUT = 3  # raised when the columns of the flat manifest change


def write(dataset: Dataset, recipe: Recipe, out: Path) -> pa.Table:
    """Write the flat table of a subset to `out` (Parquet), atomically; from the cache where nothing changed."""
    verdicts = reviews.load(dataset.root)
    inputs = inputs_of(
        dataset, recipe, verdicts
    )  # before the tables are read: what changes meanwhile makes the cache stale
    path = dataset.root / "subsets" / f"{recipe.name}.parquet"
    rows = flat.cached(path, inputs)
    if rows is None:
        rows = flatten(walk(dataset, recipe, verdicts=verdicts))
        with contextlib.suppress(OSError):  # only a cache: a dataset that cannot be written has a manifest too
            path.parent.mkdir(exist_ok=True)
            flat.write(path, rows, inputs)
            if Dataset.open(dataset.root).generations != dataset.generations:  # a take-down ended meanwhile
                path.unlink(missing_ok=True)
    flat.write(out, rows, inputs)
    return rows


def flatten(funnel: Funnel) -> pa.Table:
    """The photos of a funnel with three columns per stage, `review`, `reviewers`, `keep` and `reason`; by photo_id."""
    rows = funnel.dataset.with_queries(funnel.photos)
    for outcome in funnel.outcomes:
        rows = rows.append_column(f"{outcome.stage}_value", _numbers(outcome))
        rows = rows.append_column(f"{outcome.stage}_keep", _keep(outcome))
        rows = rows.append_column(f"{outcome.stage}_reason", pa.array(_reasons(outcome), pa.string()))
    for name, column in _reviews(funnel).items():
        rows = rows.append_column(name, column)
    rows = rows.append_column("keep", pa.array(funnel.members))
    rows = rows.append_column("reason", pa.array(_final_reasons(funnel), pa.string()))
    return sorted_by(rows, "photo_id").cast(flat.columns(outcome.stage for outcome in funnel.outcomes))


def _numbers(outcome: Outcome) -> pa.Array:
    return pa.array(outcome.value, pa.float64(), mask=np.isnan(outcome.value))


def _keep(outcome: Outcome) -> pa.Array:
    """True or False where the stage decided; null where it was not reached, is pending or met an error."""
    undecided = np.isin(outcome.state, (NOT_REACHED, ERROR, PENDING))
    return pa.array(outcome.state == KEPT, pa.bool_(), mask=undecided)


def _reasons(outcome: Outcome) -> npt.NDArray[np.object_]:
    """The reasons, each with the photo it is about."""
    reasons = outcome.reason.copy()
    for row in np.flatnonzero([one is not None for one in outcome.about]):
        reasons[row] = f"{reasons[row]}: {outcome.about[row]}"
    return reasons


def _reviews(funnel: Funnel) -> dict[str, pa.Array]:
    """Of every photo the human verdict that counts (keep, reject or flag), and who gave one."""
    verdicts = funnel.verdicts or Verdicts()
    ids = funnel.photos["photo_id"].to_pylist() if verdicts.standing else []
    given = [verdicts.standing.get(photo_id, {}) for photo_id in ids] or [{}] * funnel.photos.num_rows
    return {
        "review": pa.array([reviews.combined(one) for one in given], pa.string()),
        "reviewers": pa.array([sorted(one) for one in given], pa.list_(pa.string())),
    }


def _final_reasons(funnel: Funnel) -> list[str | None]:
    """Why a photo is out: a review, else the first stage that did not keep it, else its file."""
    reasons: list[str | None] = [None] * funnel.photos.num_rows
    for outcome in funnel.outcomes:
        said = _reasons(outcome)
        for row in np.flatnonzero((outcome.state != KEPT) & (outcome.state != NOT_REACHED)):
            reasons[row] = f"{outcome.stage}: {said[row]}"
    for row in np.flatnonzero(funnel.brought_in):
        reasons[row] = None
    statuses = funnel.photos["file_status"].to_pylist()
    errors = funnel.photos["file_error"].to_pylist()
    for row in np.flatnonzero(~funnel.ok_file):
        if reasons[row] is None:
            reasons[row] = f"file: {errors[row] or statuses[row] or 'not fetched yet'}"
    for row in np.flatnonzero(funnel.taken_out):
        reasons[row] = "review: rejected"
    return reasons


def inputs_of(dataset: Dataset, recipe: Recipe, verdicts: Verdicts) -> str:
    """Hash of everything the flat manifest depends on."""
    stages = [stage_of(recipe, step) for step in recipe.steps]
    tables = [dataset.sightings_table, dataset.photos_table, dataset.files_table]
    tables += [dataset.measurements_table(stage.name, stage.columns) for stage in stages]
    versions = [[str(table.folder.relative_to(dataset.root)), table.version()] for table in tables]
    deciding = [[stage.name, stage.version, stage.weights_hash()] for stage in stages]
    said = sorted(
        (photo_id, reviewer, one.verdict)
        for photo_id, given in verdicts.standing.items()
        for reviewer, one in given.items()
    )
    facts = json.dumps([LAYOUT, replace(recipe, reviews=None).sha256(), versions, deciding, said])
    return hashlib.sha256(facts.encode()).hexdigest()
