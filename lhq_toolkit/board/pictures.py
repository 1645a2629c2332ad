"""What the entries of a leaderboard draw: cut from the samples of their runs, where the runs lie here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import samples
from benchmarks.leaderboard import LARGEST, Row
from benchmarks.recipes import Recipe
from benchmarks.seeds import runs_below
from lhq_toolkit.benchmark import DETAILS, known_row
from lhq_toolkit.report.embedding import address, jpeg
from lhq_toolkit.terminal import printable
from manifests import plain_json

FRAMES = samples.STRIP_FRAMES
HEIGHT = 128  # pixels, at most, of a strip
QUALITY = 85

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Picture:
    """A JPEG, and what it shows."""

    data: bytes
    width: int
    height: int
    alt: str

    @property
    def src(self) -> str:
        """As it stands in a page."""
        return address(self.data)


@dataclass(frozen=True)
class Drawn:
    """What a run draws, and all that was measured of it (evaluation.json).

    strip: independent frames. panorama: the first frames of the panorama of seed 0, for StyleGAN2 none. at_anchors and
    between: frames of it whose middle is an anchor, or half-way between two. apart: frames of it that lie as far
    apart as the coordinates return. difficulty: distances by frames from the nearest anchor. repetition: how alike
    frames are, by how many frames they lie apart.
    """

    run: Path
    recipe: Recipe
    strip: Picture | None = None
    panorama: Picture | None = None
    at_anchors: Picture | None = None
    between: Picture | None = None
    apart: Picture | None = None
    difficulty: Points = ()
    repetition: Points = ()
    details: dict[str, Any] = field(default_factory=dict)


def drawn_below(runs: Path | None, rows: Iterable[Row]) -> dict[Row, Drawn]:
    """What the runs in a folder draw, by the rows that were measured on them last."""
    measured = {} if runs is None else {known_row(run): (run, recipe) for run, recipe in runs_below(runs)}
    return {row: _drawn(*measured[row]) for row in rows if row in measured}


def _drawn(run: Path, recipe: Recipe) -> Drawn:
    size = recipe.resolution
    details, difficulty, repetition = _details(run)
    grid, wide = _last(samples.grids(run)), _last(samples.strips(run))
    if grid is None:
        return Drawn(run, recipe, difficulty=difficulty, repetition=repetition, details=details)
    side = max(1, grid.width // size)
    frames = [_frame(grid, (at % side) * size, size, (at // side) * size) for at in range(min(FRAMES, side * side))]
    name = printable(recipe.model)
    strip = _joined(frames, f"{len(frames)} independent frames of {name}")
    if wide is None:
        return Drawn(run, recipe, strip, difficulty=difficulty, repetition=repetition, details=details)
    anchors = between = None
    if difficulty:
        span = recipe.anchor_distance * size
        anchors = _around(wide, [k * span for k in range(FRAMES)], size, f"Frames of {name} around anchors")
        halves = [k * span + span // 2 for k in range(FRAMES)]
        between = _around(wide, halves, size, f"Frames of {name} half-way between anchors")
    returning = None
    if repetition:
        apart = [_frame(wide, 2 * k * size, size) for k in range(FRAMES // 2)]  # the coordinates' period: 2 frames
        told = f"Frames of {name}'s panorama that lie two frames apart, the period of its coordinates"
        returning = _joined(apart, told)
    order = ", drawn column by column" if recipe.model == "taming" else ""
    return Drawn(
        run,
        recipe,
        strip,
        _joined([wide], f"The first {FRAMES} frames of {name}'s panorama of seed {samples.SEED}{order}"),
        anchors,
        between,
        returning,
        difficulty,
        repetition,
        details,
    )


def _details(run: Path) -> tuple[dict[str, Any], Points, Points]:
    """What was measured of a run, and what figures show of it; nothing where the toolkit did not write it so."""
    try:
        details: dict[str, Any] = plain_json.loads((run / DETAILS).read_bytes())
        told = details.get("connection_difficulty") or []
        difficulty = tuple((float(one["frames_from_anchor"]), float(one.get("fid", one.get("fd")))) for one in told)
        told = (details.get("repetition") or {}).get("similarity", [])
        repetition = tuple((float(lag), float(alike)) for lag, alike in told)
        if not all(abs(number) <= LARGEST for pair in (*difficulty, *repetition) for number in pair):
            raise ValueError("no distances")
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return {}, (), ()
    return details, difficulty, repetition


def _last(paths: dict[int, Path]) -> Image.Image | None:
    """The newest picture; None where there is none that can be read."""
    return samples.read(paths[max(paths)]) if paths else None


def _frame(image: Image.Image, left: int, size: int, top: int = 0) -> Image.Image:
    return image.crop((left, top, left + size, top + size))


def _around(wide: Image.Image, middles: list[int], size: int, alt: str) -> Picture | None:
    """Whole frames with these middles (pixels)."""
    inside = [at - size // 2 for at in middles if size // 2 <= at <= wide.width - size // 2]
    return _joined([_frame(wide, left, size) for left in inside[:4]], alt) if inside else None


def _joined(frames: list[Image.Image], alt: str) -> Picture:
    """Side by side, no higher than HEIGHT."""
    width, height = sum(frame.width for frame in frames), frames[0].height
    sheet = Image.new("RGB", (width, height))
    left = 0
    for frame in frames:
        sheet.paste(frame, (left, 0))
        left += frame.width
    if height > HEIGHT:
        sheet = sheet.resize((round(width * HEIGHT / height), HEIGHT), Image.Resampling.LANCZOS)
    return Picture(jpeg(sheet, QUALITY), sheet.width, sheet.height, alt)
