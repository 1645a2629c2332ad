"""The page: facts, figures and pictures in one HTML file that loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from lhq_toolkit.report import figures
from lhq_toolkit.report.drawing import Drawing
from lhq_toolkit.report.facts import Facts, StageFacts, gather
from lhq_toolkit.report.rendering import render
from lhq_toolkit.report.reviews import reviewed
from lhq_toolkit.report.samples import Samples, take
from manifests import atomic
from manifests.dataset import Dataset
from manifests.recipes import Recipe
from pipelines.agreement import Agreement

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    facts: Facts
    samples: Samples
    reviewed: Agreement | None
    drawings: dict[str, Drawing]  # by name


def make(dataset: Dataset, recipe: Recipe, toolkit: str) -> Report:
    """Gather and draw."""
    facts, funnel = gather(dataset, recipe, toolkit)
    drawn = draw(facts)
    return Report(facts, take(facts, funnel), reviewed(funnel), {one.name: one for one in drawn})


def draw(facts: Facts) -> list[Drawing]:
    """The figures: the funnel, a distribution per stage that compares a number, counts."""
    in_subset = ("in the subset", "in all")
    drawn = [figures.funnel(facts.steps), *(_distribution(stage) for stage in facts.stages if stage.score)]
    sides, inside = facts.sides
    if len(sides):
        words = ("in the subset", "not in it")
        drawn.append(figures.distribution("sizes", "Short side of the files, pixels", sides, inside, None, words))
    for name, title, counts in (
        ("tags", "Most frequent tags", facts.tags),
        ("sources", "Sources", facts.sources),
        ("licences", "Licences", facts.licences),
        ("years", "Years in which the photos were taken, or else uploaded", facts.years),
    ):
        if counts:
            drawn.append(figures.bars(name, title, counts, in_subset))
    return drawn


def _distribution(stage: StageFacts) -> Drawing:
    assert stage.score is not None
    score = stage.score
    title = f"Values of {stage.name}"
    return figures.distribution(
        f"stage-{stage.name}", title, score.values, np.asarray(score.kept), score.threshold, ("kept", "rejected")
    )


def html(report: Report, made: datetime | None = None) -> str:
    """The page's text."""
    return render(
        HERE / "page.html",
        (HERE / "page.css").read_text(),
        report=report,
        facts=report.facts,
        samples=report.samples,
        figure=report.drawings,
        made=(made or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
    )


def write(report: Report, out: Path) -> None:
    """Write the page."""
    atomic.write_bytes(out, html(report).encode("utf-8", errors="replace"))


def write_figures(report: Report, folder: Path, kind: Literal["png", "svg"]) -> Sequence[Path]:
    """Write each figure as a file of its own; their paths."""
    atomic.make_folder(folder)
    paths = []
    for name, drawing in report.drawings.items():
        paths.append(folder / f"{name}.{kind}")
        atomic.write_bytes(paths[-1], drawing.png() if kind == "png" else drawing.svg(alone=True).encode())
    return paths
