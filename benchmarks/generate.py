"""Pictures from a trained run: its generator made ready, and independent frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from benchmarks import measure, samples, worlds
from benchmarks.measure import Advance, silent
from benchmarks.networks import Generator
from benchmarks.runs import Snapshot
from benchmarks.worlds import World, endless
from manifests import atomic
from manifests.errors import MisuseError
from models import inference, taming


def fastest(snapshot: Snapshot, whole_tiles: bool = False) -> tuple[Snapshot, inference.Choice]:
    """The snapshot with its generator made ready in the way that is fastest here, and what was tried.

    It is tried on a batch of frames, or on a tile, which is what panoramas are made of. Raises MisuseError for a model
    that is not made of convolutions.
    """
    if isinstance(snapshot.generator, taming.Generator):
        raise MisuseError("--fast is for generators made of convolutions; taming draws its codes with a cache already")

    def draw(one: Generator) -> Tensor:
        return World(endless(one)).tile(0) if whole_tiles else one.samples(0, 0, measure.BATCH)

    choice = inference.fastest(snapshot.generator, draw)
    return replace(snapshot, generator=choice.generator), choice


def frames(
    snapshot: Snapshot, out: Path, count: int, seed: int, truncation: float = 1.0, advance: Advance = silent
) -> list[Path]:
    """Write `count` PNG files `<seed>-<number>.png` into the folder `out`, all or none; returns their paths."""
    worlds.refuse_truncation(snapshot.generator, truncation)
    atomic.make_folder(out)
    paths = [out / f"{seed}-{number:05d}.png" for number in range(count)]
    if there := next((path for path in paths if path.exists()), None):
        raise MisuseError(f"{there} exists; choose another folder or another --seed")
    written: list[Path] = []
    try:
        for first in range(0, count, measure.BATCH):
            some = paths[first : first + measure.BATCH]
            images = snapshot.generator.samples(seed, first, len(some), truncation=truncation)
            for path, image in zip(some, measure.pixels(images), strict=True):
                samples.write(path, image)
                written.append(path)
            advance(len(some))
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return paths
