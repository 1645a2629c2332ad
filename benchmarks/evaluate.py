"""From a run to its row in a leaderboard, and to everything that was measured for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import checkpoints, claims, measure, networks, plugin_metric, plugin_model, runs
from benchmarks import speed as speeds
from benchmarks.leaderboard import Row
from benchmarks.measure import Advance, Independent, Infinity, silent
from benchmarks.networks import Endless, Generator
from benchmarks.plugin_metric import Asked
from benchmarks.recipes import WITH_ANCHORS, Measurement, Recipe, recipe_hash
from benchmarks.reference import Reference
from benchmarks.runs import Snapshot
from benchmarks.speed import Speed
from benchmarks.wide_images import WideImages, wide_images
from models import alis, locogan, published_files, taming
from models.counts import parameters

DIGITS = 6  # significant, of measured numbers


@dataclass(frozen=True)
class Evaluation:
    """The row, and what stands behind its numbers: seeds, spreads, curves, repeats; for JSON."""

    row: Row
    details: dict[str, Any]


@dataclass(frozen=True)
class Claims:
    """The paper's pictures as numbers; None where a model does not have what is measured."""

    seam: claims.Seam | None = None
    repetition: claims.Repetition | None = None
    noise_use: float | None = None
    difficulty: list[measure.Difficulty] | None = None


def judge(reference: Reference, measurement: Measurement) -> runs.Judge:
    """What measures a generator while it trains."""

    def distance(generator: Generator) -> dict[str, float]:
        return reference.distances(generator, measurement.seed, measurement.snapshot_frames)

    return distance


def evaluate(
    run: Path,
    reference: Reference,
    measurement: Measurement,
    device: torch.device,
    toolkit: str,
    advance: Advance = silent,
    checkpoint: str = checkpoints.LAST,
    metrics: Sequence[Asked] = (),
) -> Evaluation:
    """Measure a checkpoint of a run against the pictures it was trained on; `advance` is told of frames.

    What `metrics` of other packages say of the independent frames stands among the details.
    Of an imported network nobody knows these: any pictures of its size will do, and the row names them. Raises
    SetupError where the pictures are others, or there is no such checkpoint.
    """
    snapshot = runs.open_checkpoint(run, device, checkpoint)
    if snapshot.recipe.imported is None:
        runs.refuse_other_pictures(reference.pictures, run)
    else:
        runs.refuse_other_size(snapshot.recipe, reference.pictures)
    generator, real, extractor = snapshot.generator, reference.real, reference.extractor
    watch = partial(plugin_metric.watch, metrics) if metrics else None
    alone = measure.independent(generator, real, extractor, measurement.seed, measurement.frames, advance, watch)
    theirs = plugin_metric.values(metrics, reference.pictures.images)
    endless: Infinity | WideImages | None = None
    order = taming.STREAMING if measurement.streaming else taming.SLIDING
    if isinstance(generator, taming.Generator):
        seed, frames = measurement.seed, measurement.frames
        endless = wide_images(generator, real.gaussian, extractor, seed, frames, order, advance)
    elif isinstance(generator, Endless):
        seeds = range(measurement.seed, measurement.seed + measurement.panoramas)
        endless = measure.infinity(generator, real.gaussian, extractor, seeds, measurement.frames, advance)
    shown = _claims(generator, reference, measurement, alone.apart, advance)
    fast = speeds.speed(generator, order)
    row = Row(
        **_about_the_run(snapshot, reference.pictures.dataset),
        **_about_the_pictures(reference, measurement),
        sampling=_sampling(generator, order),
        **_about_the_distances(reference.name, alone, endless),
        seam=_rounded(shown.seam.score) if shown.seam else None,
        repetition=_rounded(shown.repetition.score) if shown.repetition else None,
        noise_use=_rounded(shown.noise_use),
        **_about_the_speed(fast),
        device=runs.device_name(device),
        dtype=snapshot.recipe.precision,
        threads=torch.get_num_threads(),
        toolkit=toolkit,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    step = 0 if snapshot.recipe.imported else snapshot.images // snapshot.recipe.batch
    details = {"step": step, **_details(reference.name, alone, endless, shown, fast)}
    return Evaluation(row, {**details, "metrics": theirs} if theirs else details)


def frames_to_measure(recipe: Recipe, measurement: Measurement) -> int:
    """How many frames `evaluate` tells `advance` of."""
    count, model = measurement.frames, recipe.model
    with torch.device("meta"):
        endless = isinstance(networks.build_generator(recipe), Endless)
    if model == "taming":
        count += measurement.frames
    elif endless:
        count += (measurement.panoramas + 1) * measurement.frames
    return count + measure.PLACES * measurement.curve_frames * (model in WITH_ANCHORS)


def _claims(
    generator: Generator, reference: Reference, measurement: Measurement, apart: float, advance: Advance
) -> Claims:
    if not isinstance(generator, Endless):
        return Claims()
    extractor, seed, stretch = reference.extractor, measurement.seed, measurement.stretch
    difficulty = None
    if isinstance(generator, alis.Generator):
        difficulty = measure.connection_difficulty(
            generator, reference.statistics, extractor, seed, measurement.curve_frames, advance
        )
    return Claims(
        seam=claims.seam(generator, seed, stretch),
        repetition=claims.repetition(generator, extractor, apart, seed, stretch),
        noise_use=claims.noise_use(generator, seed) if isinstance(generator, locogan.Generator) else None,
        difficulty=difficulty,
    )


def _about_the_distances(name: str, alone: Independent, endless: Infinity | WideImages | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: _rounded(alone.fd),
        "fd_error": _rounded(alone.error),
        "kid": _rounded(alone.kid.value) if alone.kid else None,
        "precision": _rounded(alone.precision),
        "recall": _rounded(alone.recall),
    }
    if endless is not None:
        found |= {
            f"infinity_{name}": _rounded(endless.mean),
            "infinity_fd_error": _rounded(endless.error),
            "infinity_setup": endless.setup,
        }
    return found


def _details(
    name: str, alone: Independent, endless: Infinity | WideImages | None, shown: Claims, speed: Speed
) -> dict[str, Any]:
    details: dict[str, Any] = {
        "independent": {
            name: alone.fd,
            "error": alone.error,
            "kid": dataclasses.asdict(alone.kid) if alone.kid else None,
            "precision": alone.precision,
            "recall": alone.recall,
        },
        "speed": {
            **dataclasses.asdict(speed),
            "tried": {str(size): rate for size, rate in speed.tried.items()},
            "ms_per_image": speed.ms_per_image,
            "images_per_s": speed.images_per_s,
            "panorama_ms_per_frame": speed.panorama_ms_per_frame,
        },
    }
    if isinstance(endless, WideImages):
        details["infinity"] = {
            f"infinity_{name}": endless.mean,
            "error": endless.error,
            "images": endless.images,
            "frames": endless.frames,
            "first_seed": endless.first_seed,
        }
    elif endless is not None:
        details["infinity"] = {
            f"infinity_{name}": endless.mean,
            "error": endless.error,
            "spread": endless.spread,
            "frames": endless.frames,
            "seeds": list(endless.seeds),
            "each": list(endless.each),
            "control": endless.control,
        }
    if shown.seam is not None:
        details["seam"] = {**dataclasses.asdict(shown.seam), "score": shown.seam.score}
    if shown.repetition is not None:
        details["repetition"] = {
            "score": shown.repetition.score,
            "strongest": shown.repetition.strongest,
            "similarity": list(map(list, shown.repetition.similarity.items())),
        }
    if shown.noise_use is not None:
        details["noise_use"] = shown.noise_use
    if shown.difficulty is not None:
        details["connection_difficulty"] = [
            {"frames_from_anchor": one.frames_from_anchor, name: one.fd, "frames": one.frames}
            for one in shown.difficulty
        ]
    return details


def _about_the_run(snapshot: Snapshot, measured: str) -> dict[str, Any]:
    """`measured`: the dataset that it was measured against. What an imported network learned from is not known."""
    recipe, imported = snapshot.recipe, snapshot.recipe.imported
    anchors = isinstance(snapshot.generator, alis.Generator)
    return {
        "model": recipe.model,
        "dataset": recipe.dataset if imported is None else measured,
        "resolution": recipe.resolution,
        "budget": recipe.budget,
        "recipe_hash": recipe_hash(recipe),
        "seed": recipe.seed if imported is None else None,
        "anchor_distance": recipe.anchor_distance if anchors else None,
        "patches": recipe.patches if anchors else None,
        "images_seen": snapshot.images if imported is None else None,
        "train_hours": _rounded(sum(snapshot.devices.values()) / 3600) if imported is None else None,
        "train_devices": _devices(snapshot) if imported is None else None,
        **_sizes(recipe),
    }


def _devices(snapshot: Snapshot) -> str:
    return "; ".join(name if " x " in name else f"1x {name}" for name in snapshot.devices)


def _sizes(recipe: Recipe) -> dict[str, int | None]:
    with torch.device("meta"):
        if recipe.model == "taming":  # as the paper counts: what generates
            whole = parameters(networks.build_generator(recipe))
            return {"generator": whole, "discriminator": 0, "total": whole}
        if recipe.plugged is not None:
            counted = plugin_model.counts(recipe)
            return {name: counted[name] for name in ("generator", "discriminator", "total")}
        generator, discriminator = (parameters(network) for network in networks.build(recipe))
    if recipe.imported is not None and published_files.DISCRIMINATOR not in recipe.imported.networks:
        return {"generator": generator, "discriminator": None, "total": None}
    return {"generator": generator, "discriminator": discriminator, "total": generator + discriminator}


def _about_the_pictures(reference: Reference, measurement: Measurement) -> dict[str, Any]:
    pictures, extractor = reference.pictures, reference.extractor
    return {
        "subset": pictures.subset,
        "subset_hash": pictures.subset_hash,
        "features": extractor.label,
        "resize": extractor.resize,
        "n_real": len(pictures.images),
        "n_generated": measurement.frames,
    }


def _sampling(generator: Generator, order: str) -> str:
    """How frames were drawn, for the leaderboard; `order`: of wide pictures of taming."""
    if isinstance(generator, taming.Generator):
        return f"{generator.choice.name}; {order}; {generator.decoding.name}"
    return "truncation 1, noise"


def _about_the_speed(speed: Speed) -> dict[str, Any]:
    return {
        "ms_per_image": _rounded(speed.ms_per_image),
        "images_per_s": _rounded(speed.images_per_s),
        "panorama_ms_per_frame": _rounded(speed.panorama_ms_per_frame),
        "gmac": _rounded(speed.gmac),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
