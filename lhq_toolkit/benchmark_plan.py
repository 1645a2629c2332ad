"""`lhq benchmark --plan`: what a benchmark would do, how long and how much, and what of it is done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import checkpoints, networks, plugin_model, runs
from benchmarks.recipes import MEASUREMENTS, Recipe, recipe_hash
from lhq_toolkit import benchmark_data
from lhq_toolkit.benchmark import ROW
from lhq_toolkit.benchmark_data import Found
from models.counts import parameters

PAPER_GPU_HOURS = 240.0  # 2.5 days of 4 V100 for a model: the paper's time, for its 25 million images at 256x256
TAMING_GPU_HOURS = 480.0  # the paper's time for this model: 5 days
PAPER_IMAGES = 25_000_000
PAPER_RESOLUTION = 256
SMOKE_SECONDS_PER_IMAGE = 0.07  # of one thread of an EPYC, at 64x64: 7 trainings of 52,000 images in an hour
CHECKPOINTS = checkpoints.KEPT + 1  # with the best
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Step:
    """A line of the plan. done: in words; hours: of a GPU, or of this machine's processors, that are left."""

    step: str
    what: str
    done: str
    hours: float | None
    gigabytes: float | None
    guess: str = ""  # where the hours come from


def steps(found: Found, place: Path, recipes: Sequence[Recipe], crops: int | None) -> list[Step]:
    """Every step in its order. Looks only; takes no lock and starts nothing."""
    recipe = recipes[0]
    planned = [*_data(found, place, recipe, crops)]
    count = _pictures(found)
    if count is not None:
        size = count * (crops or (found.known.crops if found.known else 1)) * 3 * recipe.resolution**2 / 1e9
        planned.append(Step("read", f"{recipe.resolution}x{recipe.resolution}, decoded once", "", None, size))
    for one in recipes:
        planned += _run(one, _run_folder(one, place))
    return planned


def _data(found: Found, place: Path, recipe: Recipe, crops: int | None) -> list[Step]:
    if found.known is None:
        return [Step("data", str(found.source), "here", None, None)]
    known = found.known
    at_size = crops or known.crops
    done = benchmark_data.prepared(found, place, recipe.resolution, recipe.budget, at_size) is not None
    word = "done" if done else "to do"
    count = _pictures(found)
    copy = None if done or not known.gigabytes else known.gigabytes
    export = None if done or count is None else count * at_size * 1.6 * recipe.resolution**2 / 1e9
    return [
        Step("data", str(found.source), "here", None, None),
        Step("curate", f"crawl, then {', '.join(known.stages)}, min_side {known.min_side}", word, None, copy),
        Step("export", f"{recipe.resolution}x{recipe.resolution}, {at_size} a photo", word, None, export),
    ]


def _pictures(found: Found) -> int | None:
    """How many photos there are at most; None where that is not known."""
    if found.known is None:
        return None
    return found.known.pictures or found.known.scenes or None


def _run_folder(recipe: Recipe, place: Path) -> Path | None:
    """The run of a recipe; whatever pictures it is of, for these may not be made yet."""
    found = sorted(place.glob(f"{recipe.model}-{recipe.resolution}-{recipe_hash(recipe)[:8]}-*"))
    return found[-1] if found else None


def _run(recipe: Recipe, run: Path | None) -> list[Step]:
    step, seconds = checkpoints.reached(run) if run is not None else (0, 0.0)
    finished = run is not None and runs.is_finished(recipe, run)
    left = 0 if finished else recipe.steps - step
    hours, guess = _hours(recipe, left, step, seconds)
    name = recipe.model + (f" d={recipe.anchor_distance}" if recipe.model.startswith("alis") else "")
    what = f"{name}: {recipe.images:,} images, {recipe.steps:,} steps"
    done = "done" if finished else f"{math.floor(100 * step / recipe.steps)} %"
    measured = run is not None and finished and (run / ROW).is_file()
    frames = f"{MEASUREMENTS[recipe.budget].frames:,} frames"
    if recipe.model not in ("stylegan2", "taming"):
        frames += f", {MEASUREMENTS[recipe.budget].panoramas} panoramas"
    return [
        Step("train", what, done, hours, None if finished else _checkpoints_gigabytes(recipe), guess),
        Step("measure", f"{name}: {frames}", "done" if measured else "to do", None, None),
    ]


def _hours(recipe: Recipe, left: int, step: int, seconds: float) -> tuple[float | None, str]:
    """Left to train, and where that is from: the run's own speed, the paper's time, or what was measured of us."""
    if left == 0:
        return 0.0, ""
    most = recipe.hours - seconds / 3600 if recipe.hours else math.inf
    if step and seconds:
        return min(most, left * seconds / step / 3600), "this run's own speed"
    images = left * recipe.batch
    if recipe.budget == "smoke":
        each = SMOKE_SECONDS_PER_IMAGE * (recipe.resolution / 64) ** 2
        return min(most, images * each / 3600), "one thread of an EPYC"
    if recipe.resolution <= PAPER_RESOLUTION:
        share = (recipe.resolution / PAPER_RESOLUTION) ** 2
        of_the_paper = TAMING_GPU_HOURS if recipe.model == "taming" else PAPER_GPU_HOURS
        return min(most, of_the_paper * images / PAPER_IMAGES * share), "at the paper's speed, V100"
    return (most, "as asked") if recipe.hours else (None, "")


def _checkpoints_gigabytes(recipe: Recipe) -> float:
    """Weights, their running average and what two optimisers remember, for every checkpoint that is kept."""
    if recipe.plugged is not None:
        counted = plugin_model.counts(recipe)
        generator, discriminator = counted["generator"], counted["discriminator"]
    else:
        build = networks.build_taming if recipe.model == "taming" else networks.build
        with torch.device("meta"):
            generator, discriminator = (parameters(network) for network in build(recipe))
    numbers = 3 * (generator + discriminator) + generator
    return 4 * numbers * CHECKPOINTS / 1e9


def as_text(title: str, planned: Sequence[Step]) -> str:
    """A line per step, and the sums."""
    lines = [title, f"{'step':<9}{'what':<62}{'done':<8}{'hours left':>11}{'disk':>9}"]
    for one in planned:
        guess = f"   ({one.guess})" if one.guess else ""
        lines.append(
            f"{one.step:<9}{one.what[-61:]:<62}{one.done:<8}{_hours_text(one):>11}{_disk(one.gigabytes):>9}{guess}"
        )
    hours = sum(one.hours or 0.0 for one in planned)
    disk = sum(one.gigabytes or 0.0 for one in planned)
    lines.append(f"{'in all':<9}{'':<70}{f'{hours:,.3g} h' if hours else '-':>11}{_disk(disk):>9}")
    return "\n".join([*lines, "hours: of one GPU (smoke: of one processor core); nothing was started"])


def _hours_text(one: Step) -> str:
    if one.step != "train" or one.done == "done":
        return ""
    return UNKNOWN if one.hours is None else f"{one.hours:,.3g}"


def _disk(gigabytes: float | None) -> str:
    if not gigabytes:
        return ""
    return f"{gigabytes:,.3g} GB" if gigabytes >= 0.1 else f"{1000 * gigabytes:,.3g} MB"
