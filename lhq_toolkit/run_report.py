"""RUN/report.html: what a training is, how it goes, what it draws; one file that loads nothing and runs nothing."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks import checkpoints, recipes, runs, samples
from benchmarks.recipes import IMPORTED_ONLY, Recipe, recipe_hash
from benchmarks.runs import Standing
from lhq_toolkit import run_curves
from lhq_toolkit.report.embedding import address, jpeg
from lhq_toolkit.report.rendering import render
from manifests import atomic, plain_json

FILE = "report.html"  # in a run
HERE = Path(__file__).parent
QUALITY = 85
GRID, STRIP = (1024, 1024), (2048, 512)  # pixels, at most, of the latest pictures
EARLIER = 2  # frames a side of a picture of the ones before
THUMB = (256, 256)  # pixels, at most, of these
ROWS = 60  # of the table of distances, at most; a curve has them all


@dataclass(frozen=True)
class Picture:
    """As it stands in the page."""

    src: str  # data URI
    width: int
    height: int
    images: int  # that the generator had seen


def write(run: Path, standing: Standing, toolkit: str) -> None:
    """Write the report of a run as it stands. Takes as much memory for a long run as for a short one."""
    atomic.write_bytes(run / FILE, html(run, standing, toolkit).encode("utf-8", errors="replace"))


def html(run: Path, standing: Standing, toolkit: str, made: datetime | None = None) -> str:
    """The page's text."""
    recipe = recipes.load(run)
    curves = run_curves.gather(run, standing.step, recipe.batch)
    charts = run_curves.charts(curves)
    seconds = sum(standing.devices.values())
    side = samples.per_row(recipe.resolution)
    *before, _ = samples.grids(run).items() or [(0, Path())]
    return render(
        HERE / "run_report.html",
        (HERE / "report" / "page.css").read_text() + (HERE / "run_report.css").read_text(),
        figure={chart.drawing.name: chart.drawing for chart in charts},
        charts=charts,
        recipe=recipe,
        settings=_settings(recipe),
        recipe_hash=recipe_hash(recipe),
        standing=standing,
        whole=recipe.steps * recipe.batch,
        per_second=standing.images / seconds if seconds and standing.images else None,
        hours=_duration(seconds),
        grid=_latest(samples.grids(run), recipe, GRID),
        strip=_latest(samples.strips(run), recipe, STRIP),
        strip_frames=samples.STRIP_FRAMES,
        earlier=list(_pictures(before, recipe, THUMB, EARLIER / side)),
        rows=_rows(run, curves.measured),
        data=_data(run),
        versions={"lhq-toolkit": toolkit, "torch": torch.__version__, "python": platform.python_version()},
        made=(made or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _settings(recipe: Recipe) -> dict[str, object]:
    """Every number of the recipe that its model has."""
    without = (*IMPORTED_ONLY, *recipe.foreign)
    return {name: value for name, value in dataclasses.asdict(recipe).items() if name not in without}


def _data(run: Path) -> dict[str, object]:
    """What data.json says of the pictures."""
    facts = plain_json.mapping((run / runs.DATA).read_bytes())
    return {name: value for name, value in facts.items() if value != ""}


def _rows(run: Path, measured: list[dict[str, float]]) -> list[dict[str, Any]]:
    """What was measured, and which of the checkpoints is there; the last rows, with the best wherever it is."""
    there, best = checkpoints.every(run), checkpoints.best(run)
    rows = []
    for line in measured:
        told = {name: run_curves.number(value) for name, value in line.items() if name not in ("step", "images")}
        is_best = best is not None and there.get(int(line["step"])) == best
        kept = "best" if is_best else "kept" if line["step"] in there else ""
        rows.append({"images": int(line["images"]), "step": int(line["step"]), "told": told, "kept": kept})
    return [row for at, row in enumerate(rows) if at >= len(rows) - ROWS or row["kept"]]


def _latest(paths: dict[int, Path], recipe: Recipe, size: tuple[int, int]) -> Picture | None:
    last = max(paths, default=0)
    return next(_pictures([(last, paths[last])], recipe, size), None) if paths else None


def _pictures(
    found: Iterable[tuple[int, Path]], recipe: Recipe, size: tuple[int, int], share: float = 1.0
) -> Iterator[Picture]:
    """Their upper left corners, `share` of a side, as JPEG no larger than `size`; what cannot be read is left out."""
    for step, path in found:
        whole = samples.read(path)
        if whole is None:
            continue
        image = whole.crop((0, 0, math.ceil(share * whole.width), math.ceil(share * whole.height)))
        image.thumbnail(size, Image.Resampling.LANCZOS)
        yield Picture(address(jpeg(image, QUALITY)), image.width, image.height, step * recipe.batch)


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.0f} s"
