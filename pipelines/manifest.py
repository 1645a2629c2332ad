"""`lhq manifest`: every photo with its rights, its file, and what each stage measured and said of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests import flat
from manifests.dataset import Dataset
from manifests.recipes import Recipe
from manifests.tables import sorted_by
from pipelines.funnel import ERROR, KEPT, NOT_REACHED, PENDING, Funnel, Outcome, stage_of, walk

LAYOUT = 1  # raised when the columns of the flat manifest change


def write(dataset: Dataset, recipe: Recipe, out: Path) -> pa.Table:
    """Write the flat table of a subset to `out` (Parquet), atomically; from the cache where nothing changed."""
    inputs = _inputs(dataset, recipe)  # before the tables are read: what changes meanwhile makes the cache stale
    path = dataset.root / "subsets" / f"{recipe.name}.parquet"
    rows = flat.cached(path, inputs)
    if rows is None:
        rows = flatten(walk(dataset, recipe))
        with contextlib.suppress(OSError):  # only a cache: a dataset that cannot be written has a manifest too
            path.parent.mkdir(exist_ok=True)
            flat.write(path, rows, inputs)
            if Dataset.open(dataset.root).generations != dataset.generations:  # a take-down ended meanwhile
                path.unlink(missing_ok=True)
    flat.write(out, rows, inputs)
    return rows


def flatten(funnel: Funnel) -> pa.Table:
    """The photos of a funnel with three columns per stage, `keep` and `reason`; sorted by photo_id."""
    rows = funnel.dataset.with_queries(funnel.photos)
    for outcome in funnel.outcomes:
        rows = rows.append_column(f"{outcome.stage}_value", _numbers(outcome))
        rows = rows.append_column(f"{outcome.stage}_keep", _keep(outcome))
        rows = rows.append_column(f"{outcome.stage}_reason", pa.array(_reasons(outcome), pa.string()))
    rows = rows.append_column("keep", pa.array(funnel.members))
    rows = rows.append_column("reason", pa.array(_final_reasons(funnel), pa.string()))
    return sorted_by(rows, "photo_id")


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


def _final_reasons(funnel: Funnel) -> list[str | None]:
    """Why a photo is out: the first stage that did not keep it, or its file."""
    reasons: list[str | None] = [None] * funnel.photos.num_rows
    for outcome in funnel.outcomes:
        said = _reasons(outcome)
        for row in np.flatnonzero((outcome.state != KEPT) & (outcome.state != NOT_REACHED)):
            reasons[row] = f"{outcome.stage}: {said[row]}"
    statuses = funnel.photos["file_status"].to_pylist()
    errors = funnel.photos["file_error"].to_pylist()
    for row in np.flatnonzero(~funnel.ok_file):
        if reasons[row] is None:
            reasons[row] = f"file: {errors[row] or statuses[row] or 'not fetched yet'}"
    return reasons


def _inputs(dataset: Dataset, recipe: Recipe) -> str:
    """Hash of everything the flat manifest depends on."""
    stages = [stage_of(recipe, step) for step in recipe.steps]
    tables = [dataset.sightings_table, dataset.photos_table, dataset.files_table]
    tables += [dataset.measurements_table(stage.name, stage.columns) for stage in stages]
    versions = [[str(table.folder.relative_to(dataset.root)), table.version()] for table in tables]
    deciding = [[stage.name, stage.version, stage.weights_hash()] for stage in stages]
    facts = json.dumps([LAYOUT, recipe.sha256(), versions, deciding])
    return hashlib.sha256(facts.encode()).hexdigest()
