"""Pictures from a trained run: its generator made ready, and independent frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import measure, samples, worlds
from benchmarks.measure import Advance, silent
from benchmarks.networks import Generator
from benchmarks.plugin_model import PluginGenerator
from benchmarks.runs import Snapshot
from benchmarks.worlds import World, endless
from manifests import atomic
from manifests.errors import MisuseError
from models import inference, taming
from models.gpt import in_format
from models.token_sampling import Choice

LARGEST_DECODED = 2**28  # pixels of a picture that is decoded at once


def fastest(snapshot: Snapshot, whole_tiles: bool = False) -> tuple[Snapshot, inference.Choice]:
    """The snapshot with its generator made ready in the way that is fastest here, and what was tried.

    It is tried on a batch of frames, or on a tile, which is what panoramas are made of. Raises MisuseError for a model
    that is not made of convolutions.
    """
    if isinstance(snapshot.generator, taming.Generator):
        raise MisuseError(
            "--fast is for generators made of convolutions; taming draws its codes with a cache already "
            "(--bfloat16 for weights of half the size)"
        )
    if isinstance(snapshot.generator, PluginGenerator):
        raise MisuseError(f"--fast: how {snapshot.recipe.model} could be faster, its package alone knows; leave it out")

    def draw(one: Generator) -> Tensor:
        return World(endless(one)).tile(0) if whole_tiles else one.samples(0, 0, measure.BATCH)

    choice = inference.fastest(snapshot.generator, draw)
    return replace(snapshot, generator=choice.generator), choice


@dataclass(frozen=True)
class Codes:
    """How the codes of taming are drawn, and decoded where a picture is wide; None, False: as in the benchmark."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    sliding_window: bool = False  # instead of streaming
    decode_whole: bool = False  # the picture at once, instead of each frame with its neighbourhood
    bfloat16: bool = False  # the transformer's matrices: half the memory to read, other roundings


PLAIN = Codes()


def with_codes(snapshot: Snapshot, codes: Codes) -> Snapshot:
    """The snapshot with a generator that draws codes so. Raises MisuseError for models without, and odd numbers."""
    generator = snapshot.generator
    if codes == PLAIN:
        return snapshot
    if not isinstance(generator, taming.Generator):
        raise MisuseError(
            f"{snapshot.recipe.model} draws no codes: leave out --temperature, --top-k, --top-p, --sliding-window, "
            "--decode-whole and --bfloat16"
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
    transformer = in_format(generator.gpt, torch.bfloat16) if codes.bfloat16 else generator.gpt
    return replace(snapshot, generator=taming.Generator(generator.vqgan, transformer, choice).eval())


def from_the_left(generator: taming.Generator, seed: int, count: int, codes: Codes = PLAIN) -> Iterator[Tensor]:
    """The first frames of a panorama of Taming Transformers, which has no random access: uint8 [3, height, height].

    Raises MisuseError for more than can be decoded whole.
    """
    size = generator.sizes.resolution
    if codes.decode_whole and count * size * size > LARGEST_DECODED:
        raise MisuseError(
            f"--decode-whole: {count:,} frames of {size}x{size} are more than fit: {LARGEST_DECODED // size**2:,} do"
        )
    if codes.sliding_window:
        decoding = taming.Decoding(None) if codes.decode_whole else generator.decoding
        drawn = generator.wide_codes([seed], count * generator.sizes.frame_columns, taming.SLIDING)
        frames: Iterator[Tensor] = (frame[0] for frame in generator.decode_frames(drawn, decoding))
    else:
        frames = itertools.islice(generator.stream(seed, generator.decoding), count)
    return (measure.pixels(frame).cpu() for frame in frames)


def frames(
    snapshot: Snapshot, out: Path, count: int, seed: int, truncation: float = 1.0, advance: Advance = silent
) -> list[Path]:
    """Write `count` PNG files `<seed>-<number>.png` into the folder `out`; returns their paths.

    The first of them may be there already, of a command that was stopped: the same pictures are left, MisuseError for
    others.
    """
    worlds.refuse_truncation(snapshot.generator, truncation)
    atomic.make_folder(out)
    paths = [out / f"{seed}-{number:05d}.png" for number in range(count)]
    there = [path for path in paths if path.exists()]
    if there == paths or there != paths[: len(there)]:
        raise _exists(there[0])
    kept = frozenset(there)
    for first in range(0, count, measure.BATCH):
        some = paths[first : first + measure.BATCH]
        images = snapshot.generator.samples(seed, first, len(some), truncation=truncation)
        for path, image in zip(some, measure.pixels(images), strict=True):
            if path not in kept:
                samples.write(path, image)
            elif path.read_bytes() != samples.encoded(image):
                raise _exists(path)
        advance(len(some))
    return paths


def _exists(path: Path) -> MisuseError:
    return MisuseError(f"{path} exists; choose another folder or another --seed")
