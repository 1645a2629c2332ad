"""The benchmark's road: pictures from wherever they lie, a run per recipe, a row per run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import checkpoints, leaderboard, metrics, presets, recipes, runs
from benchmarks import evaluate as evaluation
from benchmarks.evaluate import Evaluation
from benchmarks.leaderboard import Row
from benchmarks.pictures import Pictures, read
from benchmarks.plugin_metric import Asked as AskedMetric
from benchmarks.recipes import MEASUREMENTS, Measurement, Recipe, run_name
from benchmarks.reference import Reference
from lhq_toolkit import benchmark_data, training
from lhq_toolkit.benchmark_data import Found
from manifests import atomic, plain_json
from manifests.errors import MisuseError, SetupError
from models import extractors, taming
from models.features import Extractor
from models.weights import WeightsError, cache_folder
from pipelines.engine.progress import Progress

ROW = "row.json"  # in a run: what its last measuring found
DETAILS = "evaluation.json"  # and all that stands behind it


@dataclass(frozen=True)
class Cut:
    """How pictures are cut out of a dataset's photos."""

    resolution: int
    crops: int
    subset: str
    workers: int | None
    ray_address: str | None = None


DISTANCES = (1, 2, 4, 8)  # frames from anchor to anchor, of the ablation


@dataclass(frozen=True)
class Asked:
    """What is trained. settings: NAME=VALUE of recipes; distances: ALIS with each of DISTANCES besides."""

    models: Sequence[str]
    budget: str
    seed: int
    settings: Sequence[str]
    distances: bool

    def recipes(self, dataset: str, resolution: int) -> list[Recipe]:
        """Each once. MisuseError for what does not exist or does not fit."""
        found = [self._one(name, dataset, resolution) for name in self.models]
        if self.distances:
            alis = self._one("alis", dataset, resolution)
            found += [dataclasses.replace(alis, anchor_distance=distance) for distance in DISTANCES]
        return list(dict.fromkeys(found))

    def _one(self, model: str, dataset: str, resolution: int) -> Recipe:
        recipe = presets.preset(model, dataset, self.budget, resolution)
        recipe = presets.with_settings(dataclasses.replace(recipe, seed=self.seed), list(self.settings))
        return presets.with_perceptual(recipe)


def training_pictures(found: Found, place: Path, budget: str, cut: Cut, toolkit: str) -> Path:
    """An export or folder of pictures: the data itself, or what is made of it below `place`."""
    if found.known is not None:
        return raw_pictures(found, place, budget, cut, toolkit)
    if found.is_dataset:
        return exported(found.source, place, cut, toolkit)
    return found.source


def raw_pictures(found: Found, place: Path, budget: str, cut: Cut, toolkit: str) -> Path:
    """The export of raw data, crawled, filtered and exported by its set's own recipe where that is not done yet."""
    key = (found, place, cut.resolution, budget, cut.crops)
    if (done := benchmark_data.prepared(*key)) is not None:
        return done
    dataset, funnel = benchmark_data.curate(found, place, budget, cut.workers, cut.ray_address)
    print(funnel, file=sys.stderr)
    export = exported(dataset, place, cut, toolkit)
    benchmark_data.note(*key, export)
    return export


def exported(source: Path, place: Path, cut: Cut, toolkit: str) -> Path:
    """A dataset's subset as training pictures below `place`, made where they are not there yet."""
    from manifests.dataset import Dataset
    from pipelines.engine.pool import open_pool
    from pipelines.export.run import run as export
    from pipelines.export.wanted import Wanted
    from pipelines.filter import existing
    from pipelines.funnel import walk

    dataset = Dataset.open(source)
    recipe = existing(dataset, cut.subset)
    wanted = Wanted("folder", cut.resolution, cut.crops, own_use=True)
    facts = f"{cut.subset} {walk(dataset, recipe).subset_hash()} {wanted.facts()} {toolkit}"
    out = place / f"pictures-{cut.resolution}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"
    with open_pool(cut.workers, cut.ray_address) as pool:
        export(dataset, recipe, str(out), wanted, pool, toolkit)
    return out


def read_pictures(data: Path) -> Pictures:
    """Pictures to learn from or measure against, kept decoded in LHQ_CACHE; shows how far decoding is."""
    with Progress("read", None, "pictures") as progress:
        return read(data, cache_folder(), progress.reach)


def evaluate(
    run: Path,
    reference: Reference,
    measurement: Measurement,
    device: torch.device,
    toolkit: str,
    checkpoint: str = checkpoints.LAST,
    metrics: Sequence[AskedMetric] = (),
) -> Evaluation:
    """Measure a run and keep what was found beside it."""
    recipe = recipes.load(run)
    total = evaluation.frames_to_measure(recipe, measurement)
    with Progress(f"evaluate {recipe.model}", total, "frames") as progress:
        found = evaluation.evaluate(run, reference, measurement, device, toolkit, progress.advance, checkpoint, metrics)
    atomic.write_bytes(run / DETAILS, (json.dumps(found.details, indent=2) + "\n").encode())
    atomic.write_bytes(run / ROW, (json.dumps(vars(found.row), indent=2) + "\n").encode())
    return found


def run_of(recipe: Recipe, pictures: Pictures, place: Path) -> Path:
    """The folder of a recipe's run on these pictures."""
    return place / run_name(recipe, pictures.pictures_hash)


def one(recipe: Recipe, reference: Reference, place: Path, device: torch.device, toolkit: str) -> Row:
    """The row of a recipe: trained and measured where that is not done yet."""
    run = run_of(recipe, reference.pictures, place)
    if not runs.is_finished(recipe, run):
        training.train(recipe, reference, run, device, toolkit)
    measurement = MEASUREMENTS[recipe.budget]
    known = known_row(run)
    if known is not None and known.kid is not None and known.fd_error is not None:  # not of an older toolkit
        images = checkpoints.reached(run)[0] * recipe.batch
        asked = (images, reference.extractor.label, reference.extractor.resize, measurement.frames)
        as_usual = taming.STREAMING not in (known.sampling or "")  # else of `lhq evaluate --streaming`
        if as_usual and (known.images_seen, known.features, known.resize, known.n_generated) == asked:
            return known
    return evaluate(run, reference, measurement, device, toolkit).row


def reference(
    data: Pictures, cache: Path, device: torch.device, features: str | None = None, resize: str | None = None
) -> Reference:
    """The pictures with the features they are measured by; their statistics are kept in the cache."""
    return Reference(data, extractor(cache, device, features, resize), cache)


def extractor(cache: Path, device: torch.device, features: str | None = None, resize: str | None = None) -> Extractor:
    """The features of this name; without one the 2015 Inception where its file is, else the small fixed network."""
    try:
        return extractors.by_name(features, cache, resize, device)
    except WeightsError as error:  # it is a ValueError too
        raise SetupError(str(error)) from error
    except ValueError as error:
        raise MisuseError(f"--features, --resize: {error}") from error


def distances_text(run: Path) -> str:
    """The distances that were measured while it trained, a line each."""
    lines = []
    for line in metrics.measured(run):
        told = ", ".join(f"{name} {value:.4g}" for name, value in line.items() if name not in ("step", "images"))
        lines.append(f"  after {line['images']:,} images: {told}")
    return "\n".join(lines)


def known_row(run: Path) -> Row | None:
    """The row that lies in a run, if there is one, and it is such as a leaderboard takes."""
    try:
        row = Row(**plain_json.loads((run / ROW).read_bytes()))
        read_back, _ = leaderboard.parse(leaderboard.as_csv([row]).decode())
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return row if [one for _, one in read_back] == [row] else None
