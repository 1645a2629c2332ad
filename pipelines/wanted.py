"""What is still to fetch: photos that no metadata stage of `curated` rejects and that have no final file row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests import recipes, schema
from manifests.dataset import Dataset
from manifests.recipes import Recipe
from manifests.rows import in_one, latest
from pipelines.engine.stage import Stage
from pipelines.funnel import columns_read, stage_of

COLUMNS = ["photo_id", "image_url", "width", "height", "extra"]  # what a source's `prepare` is given


@dataclass(frozen=True)
class ToFetch:
    """Rows of COLUMNS to fetch, and how many of the source's photos are left out of them, and why."""

    photos: pa.Table
    given_up: int  # in earlier runs
    rejected: int  # by the metadata stages of `curated`


@dataclass(frozen=True)
class Attempts:
    """What the files table says of earlier attempts."""

    final: pa.ChunkedArray | pa.Array  # photo_ids not tried again
    given_up: pa.ChunkedArray | pa.Array  # of these, those without a file
    failures: dict[str, int]  # how often the others failed since their last final row

    @staticmethod
    def read(dataset: Dataset, retry_failed: bool) -> Attempts:
        """With `retry_failed` only an ok file is final, and failures count from now."""
        rows = dataset.files_table.read(["photo_id", "status"])
        status = latest(rows, "photo_id")
        given_up = status.filter(pc.equal(status["status"], schema.GIVEN_UP))["photo_id"]
        if retry_failed:
            final = status.filter(pc.equal(status["status"], schema.OK))["photo_id"]
            return Attempts(final, given_up.slice(0, 0), {})
        final = status.filter(pc.not_equal(status["status"], schema.FAILED))["photo_id"]
        failing = status.filter(pc.equal(status["status"], schema.FAILED))["photo_id"]
        tried = rows.filter(pc.is_in(rows["photo_id"], value_set=in_one(failing)))
        failures: dict[str, int] = {}
        for photo_id, state in zip(tried["photo_id"].to_pylist(), tried["status"].to_pylist(), strict=True):
            failures[photo_id] = failures.get(photo_id, 0) + 1 if state == schema.FAILED else 0
        return Attempts(final, given_up, failures)


def to_fetch(dataset: Dataset, source: str, attempts: Attempts, listed: Collection[str] | None) -> ToFetch:
    """What to fetch of one source now; of the photos `listed`, where the source lists anew."""
    stages = _metadata_stages(dataset)
    photos = latest(dataset.photos_table.read(_to_read(stages)), "photo_id")
    photos = photos.filter(pc.equal(photos["source"], source))
    if listed is not None:
        photos = photos.filter(pc.is_in(photos["photo_id"], value_set=pa.array(listed, pa.string())))
    done = pc.is_in(photos["photo_id"], value_set=in_one(attempts.final))
    given_up = pc.sum(pc.is_in(photos["photo_id"], value_set=in_one(attempts.given_up))).as_py() or 0
    photos = photos.filter(pc.invert(done))
    keep = _kept(photos, stages)
    return ToFetch(photos.filter(pa.array(keep)).select(COLUMNS), given_up, int((~keep).sum()))


def _to_read(stages: Sequence[Stage[Any]]) -> list[str] | None:
    """Columns of `photos` that the stages and the source look at; None: all."""
    names = columns_read(stages, [*COLUMNS, "source"])
    return None if names is None else [name for name in names if name in schema.PHOTOS.names]


def _metadata_stages(dataset: Dataset) -> list[Stage[Any]]:
    recipe = recipes.load(dataset.root, recipes.DEFAULT) or Recipe(recipes.DEFAULT)
    stages = [stage_of(recipe, step) for step in recipe.steps]
    return [stage for stage in stages if stage.min_side is None]


def _kept(photos: pa.Table, stages: Sequence[Stage[Any]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of the photos every stage keeps, told from what their sources say: there is no file yet."""
    keep = np.ones(photos.num_rows, dtype=bool)
    if not stages:
        return keep
    view = photos
    for name in ("bytes", "format", "width", "height"):
        view = view.append_column(f"file_{name}", pa.nulls(photos.num_rows, schema.FILES.field(name).type))
    view = view.append_column("sha256", pa.nulls(photos.num_rows, pa.string()))
    for stage in stages:
        keep &= np.asarray(stage.decide(view).keep, dtype=bool)
    return keep
