"""Pictures from a trained run: independent frames, or a stretch of its endless panorama."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks import measure, samples
from benchmarks.networks import Endless
from benchmarks.runs import Snapshot
from manifests import atomic
from manifests.errors import MisuseError
from models import inference, taming

LARGEST_PANORAMA = 2**28  # pixels: it is held in memory


def fastest(snapshot: Snapshot) -> tuple[Snapshot, inference.Choice]:
    """The snapshot with its generator made ready in the way that is fastest here, and what was tried."""
    if isinstance(snapshot.generator, taming.Generator):
        raise MisuseError("--fast is for generators made of convolutions; taming draws its codes with a cache already")
    choice = inference.fastest(snapshot.generator, lambda one: one.samples(0, 0, measure.BATCH))
    return replace(snapshot, generator=choice.generator), choice


def frames(snapshot: Snapshot, out: Path, count: int, seed: int, truncation: float = 1.0) -> list[Path]:
    """Write `count` PNG files `<seed>-<number>.png` into the folder `out`; returns their paths."""
    _refuse_truncation(snapshot, truncation)
    atomic.make_folder(out)
    paths = [out / f"{seed}-{number:05d}.png" for number in range(count)]
    if there := next((path for path in paths if path.exists()), None):
        raise MisuseError(f"{there} exists; choose another folder or another --seed")
    for first in range(0, count, measure.BATCH):
        some = paths[first : first + measure.BATCH]
        images = snapshot.generator.samples(seed, first, len(some), truncation=truncation)
        for path, image in zip(some, measure.pixels(images), strict=True):
            samples.write(path, image)
    return paths


def panorama(snapshot: Snapshot, out: Path, count: int, seed: int, *, start: int = 0, truncation: float = 1.0) -> None:
    """Write frames start ... start + count - 1 of a seed's panorama as one PNG file.

    Raises MisuseError for a model that has none, for one that cannot begin there, and for more than can be held in
    memory.
    """
    generator = snapshot.generator
    _refuse_truncation(snapshot, truncation)
    if isinstance(generator, taming.Generator) and start:
        raise MisuseError("--start: taming draws its panorama from the left, each column from those before: begin at 0")
    if not isinstance(generator, Endless | taming.Generator):
        raise MisuseError(f"{snapshot.recipe.model} makes single frames: use --frames, or train another model")
    if out.exists():
        raise MisuseError(f"{out} exists; choose another name")
    size, columns = generator.sizes.resolution, generator.sizes.frame_columns
    if count * size * size > LARGEST_PANORAMA:
        raise MisuseError(f"{count:,} frames of {size}x{size} are more than fit: {LARGEST_PANORAMA // size**2:,} do")
    if isinstance(generator, taming.Generator):
        strip = generator.panorama(seed, count, generator.decoding)
    else:
        strip = generator.columns(
            seed, start * columns, count * columns, truncation=truncation, batch=measure.BATCH * columns
        )
    atomic.make_folder(out.parent)
    samples.write(out, measure.pixels(strip))


def _refuse_truncation(snapshot: Snapshot, truncation: float) -> None:
    if isinstance(snapshot.generator, taming.Generator) and truncation != 1:
        raise MisuseError("--truncation: taming has none")
