"""From a run to its row in a leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks import measure, networks, runs
from benchmarks.leaderboard import Row
from benchmarks.measure import Distances, Speed
from benchmarks.networks import Generator
from benchmarks.pictures import Pictures
from benchmarks.recipes import Measurement, Recipe, recipe_hash
from benchmarks.runs import Snapshot
from models import alis
from models.counts import parameters
from models.features import Extractor
from models.statistics import Gaussian

DIGITS = 6  # significant, of measured numbers


@dataclass(frozen=True)
class Reference:
    """The real pictures and the features by which generated ones are compared with them."""

    pictures: Pictures
    extractor: Extractor

    @cached_property
    def statistics(self) -> Gaussian:
        """Of all real pictures, computed when first asked for."""
        return measure.real_statistics(self.pictures.images, self.extractor)

    def distances(self, generator: Generator, seed: int, frames: int) -> Distances:
        """How far a generator's frames are from the pictures."""
        return measure.distances(generator, self.statistics, self.extractor, seed, frames)

    def named(self, found: Distances) -> dict[str, float]:
        """The distances under their names: FID only with the 2015 Inception."""
        name = "fid" if self.extractor.is_fid else "fd"
        told = {name: found.fd}
        return told if found.infinity_fd is None else {**told, f"infinity_{name}": found.infinity_fd}


def judge(reference: Reference, measurement: Measurement) -> runs.Judge:
    """What measures a generator while it trains."""

    def distance(generator: Generator) -> dict[str, float]:
        return reference.named(reference.distances(generator, measurement.seed, measurement.snapshot_frames))

    return distance


def evaluate(run: Path, reference: Reference, measurement: Measurement, device: torch.device, toolkit: str) -> Row:
    """Measure the last checkpoint of a run against the pictures it was trained on.

    Raises SetupError where the pictures are others than those, or there is no checkpoint.
    """
    snapshot = runs.open_last(run, device)
    runs.refuse_other_pictures(reference.pictures, run)
    found = reference.named(reference.distances(snapshot.generator, measurement.seed, measurement.frames))
    distances: dict[str, Any] = {name: _rounded(value) for name, value in found.items()}
    return Row(
        **_about_the_run(snapshot),
        **_about_the_pictures(reference, measurement),
        **distances,
        infinity_setup=f"1 panorama of {measurement.frames} frames" if len(found) > 1 else None,
        **_about_the_speed(measure.speed(snapshot.generator)),
        device=runs.device_name(device),
        dtype="float32",
        threads=torch.get_num_threads(),
        toolkit=toolkit,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _about_the_run(snapshot: Snapshot) -> dict[str, Any]:
    recipe = snapshot.recipe
    anchors = isinstance(snapshot.generator, alis.Generator)
    return {
        "model": recipe.model,
        "dataset": recipe.dataset,
        "resolution": recipe.resolution,
        "budget": recipe.budget,
        "recipe_hash": recipe_hash(recipe),
        "seed": recipe.seed,
        "anchor_distance": recipe.anchor_distance if anchors else None,
        "patches": recipe.patches if anchors else None,
        "images_seen": snapshot.images,
        "train_hours": _rounded(sum(snapshot.devices.values()) / 3600),
        "train_devices": "; ".join(f"1x {name}" for name in snapshot.devices),
        **_sizes(recipe),
    }


def _sizes(recipe: Recipe) -> dict[str, int]:
    with torch.device("meta"):
        generator, discriminator = (parameters(network) for network in networks.build(recipe))
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
        "sampling": "truncation 1, noise",
    }


def _about_the_speed(speed: Speed) -> dict[str, Any]:
    return {
        "ms_per_image": _rounded(speed.ms_per_image),
        "images_per_s": _rounded(speed.images_per_s),
        "panorama_ms_per_frame": _rounded(speed.panorama_ms_per_frame),
        "gmac": _rounded(speed.gmac),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
