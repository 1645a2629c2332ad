"""Pictures from a trained run: independent frames, or a stretch of its endless panorama."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from benchmarks import measure, samples
from benchmarks.networks import Endless
from benchmarks.runs import Snapshot
from manifests import atomic
from manifests.errors import MisuseError
from models import inference, taming
from models.token_sampling import Choice

LARGEST_PANORAMA = 2**28  # pixels: it is held in memory


def fastest(snapshot: Snapshot) -> tuple[Snapshot, inference.Choice]:
    """The snapshot with its generator made ready in the way that is fastest here, and what was tried."""
    if isinstance(snapshot.generator, taming.Generator):
        raise MisuseError("--fast is for generators made of convolutions; taming draws its codes with a cache already")
    choice = inference.fastest(snapshot.generator, lambda one: one.samples(0, 0, measure.BATCH))
    return replace(snapshot, generator=choice.generator), choice


@dataclass(frozen=True)
class Codes:
    """How the codes of taming are drawn, and decoded where a picture is wide; None, False: as in the benchmark."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    sliding_window: bool = False  # instead of streaming
    decode_whole: bool = False  # the picture at once, instead of each frame with its neighbourhood


PLAIN = Codes()


def with_codes(snapshot: Snapshot, codes: Codes) -> Snapshot:
    """The snapshot with a generator that draws codes so. Raises MisuseError for models without, and odd numbers."""
    generator = snapshot.generator
    if codes == PLAIN:
        return snapshot
    if not isinstance(generator, taming.Generator):
        raise MisuseError(
            f"{snapshot.recipe.model} draws no codes: leave out --temperature, --top-k, --top-p, --sliding-window and "
            "--decode-whole"
        )
    if codes.decode_whole and not codes.sliding_window:
        raise MisuseError("--decode-whole goes with --sliding-window: what streams has no end")
    usual = generator.choice
    try:
        choice = Choice(
            usual.temperature if codes.temperature is None else codes.temperature,
            usual.top_k if codes.top_k is None else codes.top_k,
            usual.top_p if codes.top_p is None else codes.top_p,
        )
    except ValueError as error:
        raise MisuseError(str(error)) from error
    return replace(snapshot, generator=generator.with_choice(choice).eval())


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


def panorama(
    snapshot: Snapshot,
    out: Path,
    count: int,
    seed: int,
    *,
    start: int = 0,
    truncation: float = 1.0,
    codes: Codes = PLAIN,
) -> None:
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
        strip = _wide(generator, seed, count, codes)
    else:
        strip = generator.columns(
            seed, start * columns, count * columns, truncation=truncation, batch=measure.BATCH * columns
        )
    atomic.make_folder(out.parent)
    samples.write(out, measure.pixels(strip))


def _wide(generator: taming.Generator, seed: int, count: int, codes: Codes) -> Tensor:
    """Frames of taming side by side: [3, resolution, count * resolution]."""
    if codes.sliding_window:
        decoding = taming.Decoding(None) if codes.decode_whole else generator.decoding
        return generator.wide_image(seed, count, decoding)
    return generator.panorama(seed, count, generator.decoding)


def _refuse_truncation(snapshot: Snapshot, truncation: float) -> None:
    if isinstance(snapshot.generator, taming.Generator) and truncation != 1:
        raise MisuseError("--truncation: taming has none")
