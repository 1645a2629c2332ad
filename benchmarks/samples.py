"""Pictures of a run as it learns: at each tick the same frames, and the same stretch of panorama, made anew.

They come from the running average and depend on its weights alone, so a run that goes on writes the same files.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks import measure
from benchmarks.networks import Endless, Generator
from benchmarks.recipes import Recipe
from manifests import atomic
from manifests.decode import decode
from manifests.errors import InputError
from models import taming

FOLDER = "samples"  # in a run: 00000500.png, and 00000500-panorama.png of endless models; numbers are steps
SEED = 0
TICK_IMAGES = 1_000  # a tick comes after so many images,
TICKS = 20  # but so often at most
GRID_WIDTH = 1024  # pixels, where that makes 2 to 6 frames a row
STRIP_FRAMES = 8  # of the panorama, from its beginning
AT_ONCE = 4  # frames, which are less than a step of the training takes

_NAME = re.compile(r"(\d{8,})(-panorama)?\.png")


def ticks(recipe: Recipe) -> set[int]:
    """The steps of the ticks: evenly spaced, with the start and the end."""
    count = min(TICKS, max(1, recipe.images // TICK_IMAGES))
    return {recipe.steps * part // count for part in range(count + 1)}


def draw(generator: Generator, run: Path, step: int) -> list[Path]:
    """Write the pictures of a step, those that are not there yet; their paths."""
    atomic.make_folder(run / FOLDER)
    grid, strip = (run / FOLDER / f"{step:08d}{kind}.png" for kind in ("", "-panorama"))
    drawn = [grid]
    if isinstance(generator, Endless | taming.Generator):
        drawn.append(strip)
        if not strip.exists():
            write(strip, panorama(generator))
    if not grid.exists():  # the last: where it is, the step is done
        write(grid, frames(generator))
    return drawn


@torch.no_grad()
def frames(generator: Generator) -> Tensor:
    """The first frames of the seed, side by side in a square: uint8 [3, height, width]."""
    side = per_row(generator.sizes.resolution)
    parts = []
    for first in range(0, side * side, AT_ONCE):
        count = min(AT_ONCE, side * side - first)
        parts.append(measure.pixels(generator.samples(SEED, first, count)).cpu())
    every = torch.cat(parts)
    rows = every.view(side, side, *every.shape[1:])  # [row, column, 3, resolution, resolution]
    return rows.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


@torch.no_grad()
def panorama(generator: Endless | taming.Generator) -> Tensor:
    """The first frames of the seed's panorama: uint8 [3, resolution, STRIP_FRAMES * resolution]."""
    if isinstance(generator, taming.Generator):
        return measure.pixels(generator.panorama(SEED, STRIP_FRAMES, generator.decoding)).cpu()
    columns = generator.sizes.frame_columns
    strip = generator.columns(SEED, 0, STRIP_FRAMES * columns, batch=AT_ONCE * columns)
    return measure.pixels(strip).cpu()


def per_row(resolution: int) -> int:
    """Frames in a row of the square."""
    return min(6, max(2, GRID_WIDTH // resolution))


def grids(run: Path) -> dict[int, Path]:
    """The squares that are there, by their steps in order."""
    return {int(path.stem): path for path in _ours(run) if path.stem.isdigit()}


def strips(run: Path) -> dict[int, Path]:
    """The stretches of panorama that are there, by their steps in order."""
    return {int(path.stem.partition("-")[0]): path for path in _ours(run) if not path.stem.isdigit()}


def drop_after(run: Path, step: int) -> None:
    """Remove what a killed run had drawn after the step from which it goes on, and half of what it was drawing."""
    if (run / FOLDER).is_dir():
        atomic.sweep_temporaries(run / FOLDER)
    for path in _ours(run):
        if int(path.stem.partition("-")[0]) > step:
            path.unlink()


def _ours(run: Path) -> list[Path]:
    found = (run / FOLDER).iterdir() if (run / FOLDER).is_dir() else ()
    return sorted(path for path in found if _NAME.fullmatch(path.name))


def read(path: Path) -> Image.Image | None:
    """A picture as RGB; None where it is gone or damaged."""
    try:
        return Image.fromarray(decode(path.read_bytes()))
    except (OSError, InputError):
        return None


def write(path: Path, image: Tensor) -> None:
    """A PNG file of uint8 [3, height, width]."""
    atomic.write_bytes(path, encoded(image))


def encoded(image: Tensor) -> bytes:
    """The bytes of such a file."""
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).cpu().numpy()).save(buffer, "PNG")
    return buffer.getvalue()
