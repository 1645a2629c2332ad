"""Brings one image stage up to date: finds or makes its fit, measures what is missing, commits as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import faults, schema
from manifests.dataset import Dataset, stage_lock
from manifests.decode import decode
from manifests.errors import InputError, SetupError
from manifests.locks import Lock
from manifests.tables import latest, not_in, sorted_by
from pipelines.engine import fits, threads
from pipelines.engine.fingerprint import fingerprint, hash_of_set
from pipelines.engine.pool import Batch, Pool
from pipelines.engine.progress import Progress
from pipelines.engine.share import Share
from pipelines.engine.stage import RGB, FitInput, Stage

BATCH_BYTES = 512 * 1024**2  # of pixels held at once: what is no JPEG is decoded in full

ImageItem = tuple[str, str]  # sha256, path relative to the dataset


@dataclass(frozen=True)
class Measured:
    """What a run of one stage did. `fingerprint` is None where the set is too small to fit."""

    fingerprint: str | None
    fitted: bool  # a fit was made in this run
    images: int  # measured in this run
    errors: int  # of these, rows that say what is wrong with the image
    seconds: float


def measurements(dataset: Dataset, stage: Stage[Any], wanted: str) -> pa.Table:
    """All rows measured under the fingerprint `wanted`; of a file that has several the last counts."""
    rows = dataset.measurements_table(stage.name, stage.columns).read()
    return rows.filter(pc.equal(rows["fingerprint"], wanted))


def current_fingerprint(dataset: Dataset, stage: Stage[Any]) -> str | None:
    """What the stage would be measured under now; None where it has no fit yet."""
    if stage.fit_needs is None:
        return fingerprint(stage, None)
    stored = fits.newest(dataset.fits_folder(stage.name), stage)
    return stored.fingerprint if stored else None


def sweep(dataset: Dataset, stage: Stage[Any], mark: str) -> Measured:
    """For a stage that is up to date: remove what an interrupted run left."""
    with dataset.lock(stage_lock(stage.name), [dataset.measurements_table(stage.name, stage.columns)]):
        fits.sweep(dataset.fits_folder(stage.name))
    return Measured(mark, False, 0, 0, 0.0)


def distinct_images(view: pa.Table) -> pa.Table:
    """Columns sha256 and path, one row per file, sorted: photos with the same bytes share one."""
    return sorted_by(latest(view.select(["sha256", "path"]), "sha256"), "sha256")


def bring_up_to_date(
    dataset: Dataset,
    stage: Stage[Any],
    reached: pa.Table,
    pool: Pool,
    *,
    measure: pa.Table | None = None,
    refit: bool = False,
    retry_errors: bool = False,
) -> Measured:
    """Measure the stage for the photos in `reached` (with sha256 and path) that lack it.

    Whatever is measured already is left; a fitted stage uses its newest fit unless `refit`. A fit learns from
    `reached`, also where other photos are to be measured (`measure`).
    """
    with dataset.lock(stage_lock(stage.name), [dataset.measurements_table(stage.name, stage.columns)]) as lock:
        images = reached if measure is None else measure
        if stage.fit_needs is None:
            return _measure(dataset, stage, None, images, pool, lock, retry_errors)
        fit, fitted = _fit(dataset, stage, reached, lock, refit)
        if fit is None:
            return Measured(None, False, 0, 0, 0.0)
        return replace(_measure(dataset, stage, fit, images, pool, lock, retry_errors), fitted=fitted)


def _fit(
    dataset: Dataset, stage: Stage[Any], reached: pa.Table, lock: Lock, refit: bool
) -> tuple[fits.Fit | None, bool]:
    """The fit to measure with, and whether it was made now; None where the set is too small to learn from."""
    folder = dataset.fits_folder(stage.name)
    fits.sweep(folder)
    stored = fits.newest(folder, stage)
    if stored is not None and not refit:
        return stored, False
    images = distinct_images(reached)
    if images.num_rows < (stage.fit_needs or 0):
        if stored is not None:
            raise SetupError(
                f"too few photos to fit {stage.name} anew: {images.num_rows} of the {stage.fit_needs} needed; "
                f"without --refit the stored fit is used"
            )
        return None, False
    threads.fix(threads.cores())
    paths = dict(zip(images["sha256"].to_pylist(), images["path"].to_pylist(), strict=True))

    def read(sha256: str) -> RGB:
        return read_image(dataset.root, paths[sha256], stage.min_side)

    with Progress(f"{stage.name}: fit", None, stage.fit_unit) as progress:
        files = stage.fit(FitInput(list(paths), read), progress.reach)
    lock.check()
    return fits.store(folder, stage, hash_of_set(paths), len(paths), files), True


def _measure(
    dataset: Dataset,
    stage: Stage[Any],
    fit: fits.Fit | None,
    images: pa.Table,
    pool: Pool,
    lock: Lock,
    retry_errors: bool,
) -> Measured:
    """Measure the images that have no row under the fit's fingerprint yet."""
    wanted = fit.fingerprint if fit else fingerprint(stage, None)
    known = latest(measurements(dataset, stage, wanted), "sha256")
    if retry_errors:
        known = known.filter(pc.is_null(known["error"]))
    todo = distinct_images(not_in(images, "sha256", known["sha256"]))
    items: list[ImageItem] = list(zip(todo["sha256"].to_pylist(), todo["path"].to_pylist(), strict=True))
    table = dataset.measurements_table(stage.name, stage.columns)
    errors = 0
    with Progress(stage.name, len(items), "images") as progress:

        def commit(batch: Batch) -> None:
            nonlocal errors
            faults.point("measure.returned")
            lock.check()
            table.append(batch.rows)
            errors += batch.rows.num_rows - batch.rows["error"].null_count
            progress.advance(batch.done)

        worker = StageWorker(dataset.root, stage, fit.folder if fit else None, wanted)
        pool.run(worker, items, stage.resources.batch_size, commit, gpus=stage.resources.gpus)
        return Measured(wanted, False, len(items), errors, progress.seconds)


def read_image(root: Path, path: str, min_side: int | None) -> RGB:
    """Decode a stored image; InputError where its file is missing or damaged."""
    try:
        data = (root / path).read_bytes()
    except FileNotFoundError as error:
        raise InputError("its file is missing from the image store") from error
    return decode(data, min_side)


@dataclass
class StageWorker:
    """Decodes images and measures them; what is wrong with one becomes the `error` of its row."""

    root: Path
    stage: Stage[Any]
    artefact: Path | None
    fingerprint: str
    _schema: pa.Schema = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._schema = schema.measurement_schema(self.stage.columns)

    def setup(self, share: Share) -> None:  # noqa: ARG002 (no limit to share)
        self.stage.setup(self.artefact)

    def run(self, items: Sequence[ImageItem]) -> Batch:
        good: list[str] = []
        images: list[RGB] = []
        rows: list[dict[str, Any]] = []
        held = 0
        for sha256, path in items:
            if held >= BATCH_BYTES:
                break
            try:
                images.append(read_image(self.root, path, self.stage.min_side))
                good.append(sha256)
                held += images[-1].nbytes
            except InputError as error:
                rows.append({"sha256": sha256, "fingerprint": self.fingerprint, "error": str(error)})
        rows.extend(self._measured(good, images))
        return Batch(pa.Table.from_pylist(rows, schema=self._schema), len(rows))

    def _measured(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Iterator[dict[str, Any]]:
        if not sha256s:
            return
        columns = self.stage.measure(sha256s, images)
        for at, sha256 in enumerate(sha256s):
            values = {name: columns[name][at] for name in self.stage.columns}
            yield {"sha256": sha256, "fingerprint": self.fingerprint, "error": None, **values}
