"""`lhq manifest`: every photo with its rights, its file, and what each stage measured and said of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import flat, reviews, schema, stretches
from manifests.dataset import OF_FILES, Dataset
from manifests.recipes import Recipe
from manifests.reviews import Verdicts
from manifests.rows import in_one, take
from manifests.tables import Table
from pipelines.funnel import ERROR, KEPT, NOT_REACHED, PENDING, Funnel, Outcome, stage_of, walk

LAYOUT = 3  # raised when the columns of the flat manifest change

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Written:
    """What a flat manifest holds."""

    photos: int
    kept: int
    columns: Sequence[str]


def write(dataset: Dataset, recipe: Recipe, out: Path) -> Written:
    """Write the flat table of a subset to `out` (Parquet), atomically; from the cache where nothing changed."""
    verdicts = reviews.load(dataset.root)
    # Before the tables are read: what changes meanwhile makes the cache stale.
    inputs = inputs_of(dataset, recipe, verdicts)
    cache = dataset.root / "subsets" / f"{recipe.name}.parquet"
    if not flat.copy(cache, out, inputs):
        flat.write(out, flatten(walk(dataset, recipe, (), verdicts), out.parent), inputs)
        with contextlib.suppress(OSError):  # only a cache: a dataset that cannot be written has a manifest too
            cache.parent.mkdir(exist_ok=True)
            flat.copy(out, cache, inputs)
            if Dataset.open(dataset.root).generations != dataset.generations:  # a take-down ended meanwhile
                cache.unlink(missing_ok=True)
    with pq.ParquetFile(out) as file:
        kept = int(pc.sum(file.read(columns=["keep"])["keep"]).as_py() or 0)
        return Written(file.metadata.num_rows, kept, file.schema_arrow.names)


def flatten(funnel: Funnel, folder: Path | None = None) -> Iterator[pa.Table]:
    """All photos with three columns per stage, `review`, `reviewers`, `keep` and `reason`; by photo_id, in stretches.

    What of a row did not decide is read now and put into that order through files in `folder`: only a stretch of it
    is in memory. None: where the system keeps temporary files.
    """
    order = np.asarray(pc.sort_indices(funnel.photos["photo_id"]), np.int64)
    decided = take(funnel.photos.select(["photo_id", "file_status", "file_error"]), pa.array(order))
    ids = in_one(decided["photo_id"])
    cuts = stretches.cut(len(ids))

    def placed(table: Table, columns: Sequence[str]) -> Iterator[pa.Table]:
        place = pc.fill_null(pc.index_in(table.read(["photo_id"])["photo_id"], value_set=ids), -1).to_numpy()
        kinds = pa.schema([table.schema.field(name) for name in columns])
        return stretches.in_stretches(table.batches(columns), kinds, place, cuts, folder)

    form = flat.columns(outcome.stage for outcome in funnel.outcomes)
    of_photos = placed(funnel.dataset.photos_table, schema.PHOTOS.names)
    of_files = placed(funnel.dataset.files_table, list(OF_FILES.values()))
    of_sightings = placed(funnel.dataset.sightings_table, ["query"])
    for stretch, photos, files, sightings in zip(cuts, of_photos, of_files, of_sightings, strict=True):
        columns = dict(zip(OF_FILES, stretches.one_each(files, stretch).columns, strict=True))
        columns["queries"] = _queries(sightings, stretch)
        columns |= _verdicts(funnel, order[stretch.start : stretch.stop], decided.slice(stretch.start, len(stretch)))
        table = stretches.one_each(photos, stretch)
        for name, column in columns.items():
            table = table.append_column(name, column)
        yield table.select(form.names).cast(form)


def _queries(sightings: pa.Table, stretch: range) -> pa.Array:
    """Of each place all queries that found its photo, sorted; null where no sighting is known."""
    found = sightings.group_by([stretches.PLACE, "query"], use_threads=False).aggregate([])
    found = found.sort_by([(stretches.PLACE, "ascending"), ("query", "ascending")])
    counts = np.bincount(found[stretches.PLACE].to_numpy() - stretch.start, minlength=len(stretch))
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(ends, in_one(found["query"]), mask=pa.array(counts == 0))


def _verdicts(funnel: Funnel, rows: Rows, photos: pa.Table) -> dict[str, pa.Array]:
    """What the stages, people and all together say of some photos, which stand in these rows of the funnel."""
    columns: dict[str, pa.Array] = {}
    for outcome in funnel.outcomes:
        columns[f"{outcome.stage}_value"] = _numbers(outcome, rows)
        columns[f"{outcome.stage}_keep"] = _keep(outcome, rows)
        columns[f"{outcome.stage}_reason"] = pa.array(_reasons(outcome, rows), pa.string())
    columns.update(_reviews(funnel, photos))
    columns["keep"] = pa.array(funnel.members[rows])
    columns["reason"] = pa.array(_final_reasons(funnel, rows, photos), pa.string())
    return columns


def _numbers(outcome: Outcome, rows: Rows) -> pa.Array:
    return pa.array(outcome.value[rows], pa.float64(), mask=np.isnan(outcome.value[rows]))


def _keep(outcome: Outcome, rows: Rows) -> pa.Array:
    """True or False where the stage decided; null where it was not reached, is pending or met an error."""
    undecided = np.isin(outcome.state[rows], (NOT_REACHED, ERROR, PENDING))
    return pa.array(outcome.state[rows] == KEPT, pa.bool_(), mask=undecided)


def _reasons(outcome: Outcome, rows: Rows) -> npt.NDArray[np.object_]:
    """The reasons, each with the photo it is about."""
    reasons, about = outcome.reason[rows], outcome.about[rows]
    for at in np.flatnonzero([one is not None for one in about]):
        reasons[at] = f"{reasons[at]}: {about[at]}"
    return reasons


def _reviews(funnel: Funnel, photos: pa.Table) -> dict[str, pa.Array]:
    """Of every photo the human verdict that counts (keep, reject or flag), and who gave one."""
    verdicts = funnel.verdicts or Verdicts()
    ids = photos["photo_id"].to_pylist() if verdicts.standing else []
    given = [verdicts.standing.get(photo_id, {}) for photo_id in ids] or [{}] * photos.num_rows
    return {
        "review": pa.array([reviews.combined(one) for one in given], pa.string()),
        "reviewers": pa.array([sorted(one) for one in given], pa.list_(pa.string())),
    }


def _final_reasons(funnel: Funnel, rows: Rows, photos: pa.Table) -> list[str | None]:
    """Why a photo is out: a review, else the first stage that did not keep it, else its file."""
    reasons: list[str | None] = [None] * len(rows)
    for outcome in funnel.outcomes:
        said, state = _reasons(outcome, rows), outcome.state[rows]
        for at in np.flatnonzero((state != KEPT) & (state != NOT_REACHED)):
            reasons[at] = f"{outcome.stage}: {said[at]}"
    for at in np.flatnonzero(funnel.brought_in[rows]):
        reasons[at] = None
    statuses, errors = photos["file_status"].to_pylist(), photos["file_error"].to_pylist()
    for at in np.flatnonzero(~funnel.ok_file[rows]):
        if reasons[at] is None:
            reasons[at] = f"file: {errors[at] or statuses[at] or 'not fetched yet'}"
    for at in np.flatnonzero(funnel.taken_out[rows]):
        reasons[at] = "review: rejected"
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
