"""Brings one image stage up to date: finds or makes its fit, measures what is missing, commits as it goes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import blame, faults, schema, store
from manifests.dataset import Dataset, stage_lock
from manifests.decode import decode
from manifests.errors import InputError, SetupError
from manifests.locks import Lock
from manifests.plugins import line
from manifests.rows import latest, not_in, sorted_by
from pipelines.engine import fits, threads
from pipelines.engine.fingerprint import fingerprint, hash_of_set
from pipelines.engine.memory import Halving
from pipelines.engine.pool import Batch, Pool
from pipelines.engine.progress import Progress
from pipelines.engine.reading import Reader
from pipelines.engine.share import Share
from pipelines.engine.stage import RGB, FitInput, Stage

BATCH_BYTES = 512 * 1024**2  # of pixels held at once: what is no JPEG is decoded in full
GROUPS_AHEAD = 2  # of images measured at once, so many groups are read ahead
GROUPS_GIVEN = 4  # to a worker in one call: more than it reads ahead
SECONDS = 5.0  # after so long a worker hands in what it has

ImageItem = tuple[str, str]  # sha256, path relative to the dataset


@dataclass(frozen=True)
class Measured:
    """What a run of one stage did. `fingerprint` is None where the set is too small to fit."""

    fingerprint: str | None
    fitted: bool  # a fit was made in this run
    images: int  # measured in this run
    errors: int  # of these, rows that say what is wrong with the image
    seconds: float


def measurements(dataset: Dataset, stage: Stage[Any], wanted: str, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows measured under the fingerprint `wanted`; of a file that has several the last counts.

    They have `sha256`, `error`, and of the stage's columns those named; None: all.
    """
    names = ["sha256", "error", *(stage.columns if columns is None else columns)]
    return dataset.measurements_table(stage.name, stage.columns).read_where("fingerprint", wanted, names)


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
        pool.run(worker, items, GROUPS_GIVEN * stage.resources.batch_size, commit, gpus=stage.resources.gpus)
        return Measured(wanted, False, len(items), errors, progress.seconds)


def read_image(root: Path, path: str, min_side: int | None) -> RGB:
    """Decode a stored image; InputError where its file is missing, damaged, or not of the store."""
    try:
        data = store.read(root, path)
    except FileNotFoundError as error:
        raise InputError("its file is missing from the image store") from error
    return decode(data, min_side)


@dataclass
class StageWorker:
    """Decodes images and measures them; what is wrong with one becomes the `error` of its row.

    Threads decode what comes next while a batch is measured, also between two calls of `run`: it keeps a few images
    that it goes on with in the next one.
    """

    root: Path
    stage: Stage[Any]
    artefact: Path | None
    fingerprint: str
    _schema: pa.Schema = field(init=False, repr=False)
    reader: Reader[ImageItem] = field(init=False, repr=False)
    halving: Halving = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._schema = schema.measurement_schema(self.stage.columns)

    def setup(self, share: Share) -> None:  # noqa: ARG002 (no limit to share)
        self.stage.setup(self.artefact)
        ahead = GROUPS_AHEAD * self.stage.resources.batch_size
        self.reader = Reader(self._read, threads.fixed(), ahead=ahead, room=BATCH_BYTES)
        self.halving = Halving()

    def run(self, items: Sequence[ImageItem]) -> Batch:
        """Measure the images, or as many as a few seconds allow. Where more may follow, some are only read ahead."""
        fresh = [item for item in items if item not in self.reader]
        self.reader.add(fresh)
        work = _Work(self, min(self.stage.resources.batch_size, len(items) // 2) if fresh else 0)
        done = {row["sha256"] for row in work.do(items)}
        back = set(self.reader.take_back())
        open_ = [item for item in items if item[0] not in done]
        return Batch(
            self._table(work.rows),
            len(work.rows),
            left=[item for item in open_ if item in back],
            kept=[item for item in open_ if item not in back],
        )

    def _table(self, rows: list[dict[str, Any]]) -> pa.Table:
        try:
            return pa.Table.from_pylist(rows, schema=self._schema)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise blame.broken(type(self.stage), f"measured what its columns cannot hold ({line(error)})") from error

    def run_all(self, items: Sequence[ImageItem]) -> list[Batch]:
        """Measure all of the images, in as many calls as that takes."""
        done: list[Batch] = []
        while items:
            done.append(self.run(items))
            items = [*done[-1].kept, *done[-1].left_of(items)]
        return done

    def _read(self, item: ImageItem) -> Any:
        return self.stage.prepare(read_image(self.root, item[1], self.stage.min_side))


class _Work:
    """One call of a worker: images of a kind are gathered and measured together, until `keep` of all are left."""

    def __init__(self, worker: StageWorker, keep: int) -> None:
        self._worker, self._stage, self._reader = worker, worker.stage, worker.reader
        self._keep = keep
        self._until = time.monotonic() + SECONDS
        self._groups: dict[Hashable, list[ImageItem]] = {}
        self.rows: list[dict[str, Any]] = []

    @property
    def _is_late(self) -> bool:
        return bool(self.rows) and time.monotonic() > self._until

    def do(self, items: Sequence[ImageItem]) -> list[dict[str, Any]]:
        """The rows of what was measured of the items: at least one."""
        waiting = deque(items)
        while waiting and not self._is_late and not (self.rows and len(items) - len(self.rows) <= self._keep):
            self._gather(waiting.popleft())
        gathered = self._keep // 2  # room for the rarer kinds, which wait for more of theirs
        while sum(map(len, self._groups.values())) > gathered and not self._is_late:
            self._measure(max(self._groups, key=lambda kind: len(self._groups[kind])))
        return self.rows

    def _gather(self, item: ImageItem) -> None:
        try:
            image = self._reader.result(item)
        except InputError as error:
            self._reader.forget(item)
            self._add(item[0], error=str(error))
            return
        kind = self._stage.alike(image)
        group = self._groups.setdefault(kind, [])
        group.append(item)
        if len(group) == self._stage.resources.batch_size:
            self._measure(kind)
        while self._reader.is_full and self._groups:
            self._measure(max(self._groups, key=lambda kind: len(self._groups[kind])))

    def _measure(self, kind: Hashable) -> None:
        group = self._groups.pop(kind)

        def measure(items: Sequence[ImageItem]) -> Mapping[str, Sequence[Any]]:
            images = [self._reader.result(item) for item in items]
            found = self._stage.measure([sha256 for sha256, _ in items], images)
            for name in self._stage.columns:
                if len(found.get(name, ())) != len(items):
                    raise blame.broken(
                        type(self._stage), f"did not measure one {name!r} for each of {len(items)} images"
                    )
            return found

        for part, columns in self._worker.halving.call(measure, group):
            for at, (sha256, _) in enumerate(part):
                self._add(sha256, **{name: columns[name][at] for name in self._stage.columns})
        for item in group:
            self._reader.forget(item)

    def _add(self, sha256: str, error: str | None = None, **values: Any) -> None:
        self.rows.append({"sha256": sha256, "fingerprint": self._worker.fingerprint, "error": error, **values})
