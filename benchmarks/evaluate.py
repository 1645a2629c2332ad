"""From a run to its row in a leaderboard."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import measure, networks, runs
from benchmarks.leaderboard import Row
from benchmarks.pictures import Pictures
from benchmarks.recipes import Measurement, recipe_hash
from manifests.errors import SetupError
from models import alis
from models.counts import parameters
from models.features import Extractor

DIGITS = 6  # significant, of measured numbers


def judge(pictures: Pictures, extractor: Extractor, measurement: Measurement) -> runs.Judge:
    """What measures a generator while it trains, against these pictures."""
    real = measure.real_statistics(pictures.images, extractor)
    name = "fid" if extractor.is_fid else "fd"

    def distance(generator: networks.Generator) -> dict[str, float]:
        found = measure.distances(generator, real, extractor, measurement.seed, measurement.frames)
        told = {name: found.fd}
        return told if found.infinity_fd is None else {**told, f"infinity_{name}": found.infinity_fd}

    return distance


def evaluate(
    run: Path, pictures: Pictures, extractor: Extractor, measurement: Measurement, device: torch.device, toolkit: str
) -> Row:
    """Measure the last checkpoint of a run against the pictures it was trained on.

    Raises SetupError where the pictures are others than those, or there is no checkpoint.
    """
    snapshot = runs.open_last(run, device)
    recipe, generator = snapshot.recipe, snapshot.generator
    trained_on = runs.data_of(run)
    if trained_on["subset_hash"] != pictures.subset_hash:
        raise SetupError(
            f"{run} was trained on subset {trained_on['subset_hash'][:16]} of {trained_on['dataset']}, these pictures "
            f"are {pictures.subset_hash[:16]}: give the export it was trained on"
        )
    real = measure.real_statistics(pictures.images, extractor)
    found = measure.distances(generator, real, extractor, measurement.seed, measurement.frames)
    speed = measure.speed(generator)
    generator_size, discriminator_size = (parameters(network) for network in networks.build(recipe))
    endless = isinstance(generator, alis.Generator)
    name = "fid" if extractor.is_fid else "fd"
    return Row(
        model=recipe.model,
        dataset=recipe.dataset,
        subset=pictures.subset,
        subset_hash=pictures.subset_hash,
        resolution=recipe.resolution,
        budget=recipe.budget,
        recipe_hash=recipe_hash(recipe),
        anchor_distance=recipe.anchor_distance if endless else None,
        patches=recipe.patches if endless else None,
        infinity_setup=f"1 panorama of {measurement.frames} frames" if endless else None,
        images_seen=snapshot.images,
        train_hours=_rounded(snapshot.seconds / 3600),
        train_devices=f"1x {snapshot.device}",
        **{name: _rounded(found.fd), f"infinity_{name}": _rounded(found.infinity_fd)},  # type: ignore[arg-type]
        features=extractor.label,
        resize=extractor.resize,
        n_real=len(pictures.images),
        n_generated=measurement.frames,
        ms_per_image=_rounded(speed.ms_per_image),
        images_per_s=_rounded(speed.images_per_s),
        panorama_ms_per_frame=_rounded(speed.panorama_ms_per_frame),
        gmac=_rounded(speed.gmac),
        sampling="truncation 1, noise",
        generator=generator_size,
        discriminator=discriminator_size,
        total=generator_size + discriminator_size,
        device=runs.device_name(device),
        dtype="float32",
        threads=torch.get_num_threads(),
        seed=recipe.seed,
        toolkit=toolkit,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
