"""`lhq filter --dry-run`: what a filter would measure, and about how long that takes. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.dataset import Dataset
from manifests.errors import InputError
from manifests.rows import not_in
from pipelines.engine import threads
from pipelines.engine.measure import ImageItem, StageWorker, current_fingerprint, distinct_images, read_image
from pipelines.engine.share import Share
from pipelines.engine.stage import Stage
from pipelines.filter import Request, asked_for, is_refit
from pipelines.funnel import PENDING, Found, Funnel, columns_read, in_funnel_order, stage_of

WARM_UP, SAMPLE = 4, 24  # images measured for nothing, and images timed


@dataclass(frozen=True)
class Planned:
    """What one stage would do."""

    stage: str
    photos: int  # that reach it; more than will, where a stage before it has still to be measured
    images: int  # distinct files to measure
    fits: bool  # a fit comes first
    seconds: float | None = None  # of measuring them, without the fit; None: nothing to measure, or no image could be
    lacks: int = 0  # images that the fit needs more than there are: nothing is measured then
    at_least: bool = False  # reading alone was timed, for there is no fit to measure with yet


def plan(dataset: Dataset, request: Request, workers: int | None) -> list[Planned]:
    """The stages of the recipe as the request would make it, in the order in which photos meet them.

    A photo that is not measured yet counts as kept. Images are timed here, a few per stage, as one of the
    `workers` (0: this process; None: one per core) would measure them.
    """
    recipe = asked_for(dataset, request)
    stages = {step.stage: stage_of(recipe, step) for step in recipe.steps}
    for stage in stages.values():
        stage.weights_hash()  # SetupError where a file it needs is missing
    funnel = Funnel(dataset, columns_read(stages.values()))
    planned = []
    for step in in_funnel_order(recipe.steps):
        stage = stages[step.stage]
        photos = int(funnel.reaching(stage).sum())
        if stage.min_side is None:
            planned.append(Planned(stage.name, photos, 0, False))
            funnel.decide(stage, None)
            continue
        mark = None if is_refit(request, stage) else current_fingerprint(dataset, stage)
        found = funnel.find(stage, mark)
        todo = _to_measure(funnel, found, request)
        fits = stage.fit_needs is not None and mark is None
        there = len(pc.unique(funnel.photos["sha256"].take(pa.array(found.rows))))
        lacks = max(0, (stage.fit_needs or 0) - there) if fits else 0
        seconds = None if lacks else _estimate(dataset, stage, mark, todo, workers)
        timed = fits and seconds is not None
        planned.append(Planned(stage.name, photos, 0 if lacks else len(todo), fits, seconds, lacks, timed))
        outcome = funnel.decide(stage, mark, found)
        funnel.alive |= outcome.state == PENDING
    return planned


def _to_measure(funnel: Funnel, found: Found, request: Request) -> list[ImageItem]:
    """The images without a measurement; with one that failed too, where those are to be tried again."""
    images = funnel.photos.select(["sha256", "path"])
    wanted = images.filter(pa.array(funnel.ok_file)) if request.everything else images.take(pa.array(found.rows))
    known = found.table
    if request.retry_errors:
        known = known.filter(pc.is_null(known["error"]))
    todo = distinct_images(not_in(wanted, "sha256", known["sha256"]))
    return list(zip(todo["sha256"].to_pylist(), todo["path"].to_pylist(), strict=True))


def _estimate(
    dataset: Dataset, stage: Stage[Any], mark: str | None, todo: Sequence[ImageItem], workers: int | None
) -> float | None:
    """Seconds that the workers take for `todo`, from a sample of it."""
    count = min(workers or threads.cores(), threads.cores()) if workers != 0 else 1
    threads.fix(max(1, threads.cores() // count))
    sample = todo[:: max(1, len(todo) // (WARM_UP + SAMPLE))][: WARM_UP + SAMPLE]
    if stage.fit_needs is not None and mark is None:
        each = _seconds_each(sample, lambda items: _read(dataset, stage, items))
    else:
        folder = dataset.fits_folder(stage.name) / mark if stage.fit_needs is not None and mark else None
        worker = StageWorker(dataset.root, stage, folder, mark or "")
        if sample:
            worker.setup(Share())
        each = _seconds_each(sample, worker.run_all)
    return None if each is None else each * len(todo) / count


def _read(dataset: Dataset, stage: Stage[Any], items: Sequence[ImageItem]) -> None:
    for _, path in items:
        try:
            read_image(dataset.root, path, stage.min_side)
        except InputError:
            continue  # takes its time all the same


def _seconds_each(sample: Sequence[ImageItem], work: Callable[[Sequence[ImageItem]], object]) -> float | None:
    """Seconds per image, after a warm-up where there are enough of them."""
    if not sample:
        return None
    if len(sample) > WARM_UP:
        work(sample[:WARM_UP])
        sample = sample[WARM_UP:]
    began = time.perf_counter()
    work(sample)
    return (time.perf_counter() - began) / len(sample)
