"""What the report tells, gathered from a funnel: counts, reasons, scores, rights, sizes, dates, versions."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lhq_toolkit import show
from lhq_toolkit.report.figures import Step
from manifests import about, plain_json
from manifests.dataset import Dataset
from manifests.recipes import Recipe
from pipelines import handed_on
from pipelines.export.place import is_url
from pipelines.export.wanted import versions
from pipelines.funnel import ERROR, KEPT, PENDING, REJECTED, Funnel, Outcome, walk

COLUMNS = (
    *("source", "title", "author", "author_url", "page_url", "license", "license_url", "tags", "width", "height"),
    *("taken_at", "uploaded_at", "file_width", "file_height", "file_bytes"),
)
TOP = 15  # of a list of texts

Counts = Sequence[tuple[str, int, int]]  # text, photos in the subset, photos in all
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """The values of one stage, of the photos that it decided: its rows, and what parted them."""

    stage: str
    rows: npt.NDArray[np.int64]  # of the funnel's photos
    values: Floats
    kept: Bools
    threshold: float | None

    @property
    def keeps_below(self) -> bool:
        """Whether small values are those that are kept."""
        if self.kept.all() or not self.kept.any():
            return self.stage != "resolution"
        return float(np.median(self.values[self.kept])) <= float(np.median(self.values[~self.kept]))

    def nearest(self, kept: bool, most: int) -> npt.NDArray[np.int64]:
        """Places (in `rows`) of the photos on one side, those nearest to the threshold first."""
        at = np.flatnonzero(self.kept == kept)
        edge = self.threshold
        if edge is None:
            edge = float(np.median(self.values))
        return at[np.argsort(np.abs(self.values[at] - edge), kind="stable")][:most]


@dataclass(frozen=True)
class StageFacts:
    """One stage of the recipe."""

    name: str
    step: Step
    settings: Mapping[str, Any]
    fingerprint: str | None
    reasons: Mapping[str, int]
    notes: Sequence[str]
    score: Score | None
    fit: Mapping[str, Any]  # what is stored of its fit: photos, held-out accuracy


@dataclass(frozen=True)
class Facts:
    """All that is told in words and numbers."""

    dataset: str
    created: str
    subset: str
    subset_hash: str
    recipe_hash: str
    photos: int
    files: Mapping[str, int]
    file_errors: Mapping[str, int]
    members: int
    reviewed: int  # photos that a person keeps or rejects
    bytes: int  # of the subset's files
    authors: int  # of the subset
    steps: Sequence[Step]
    stages: Sequence[StageFacts]
    tags: Counts
    sources: Counts
    licences: Counts
    years: Counts
    sides: tuple[Floats, Bools]  # short side of every file, and whether its photo is in the subset
    versions: Mapping[str, str]
    exports: Sequence[Mapping[str, Any]] = field(default=())


def gather(dataset: Dataset, recipe: Recipe, toolkit: str) -> tuple[Facts, Funnel]:
    """The facts of a subset, and the funnel they come from."""
    funnel = walk(dataset, recipe, COLUMNS)
    photos, members = funnel.photos, funnel.members
    known = about.read(dataset.root)
    status = show.status(funnel)
    inside = photos.filter(pa.array(members))
    facts = Facts(
        dataset=known["name"],
        created=str(known.get("created_at", ""))[:10],
        subset=recipe.name,
        subset_hash=funnel.subset_hash(),
        recipe_hash=recipe.sha256(),
        photos=photos.num_rows,
        files=status["files"],
        file_errors=show.counted(photos["file_error"]),
        members=int(members.sum()),
        reviewed=status["reviewed"],
        bytes=int(pc.sum(inside["file_bytes"]).as_py() or 0),
        authors=len(pc.unique(inside["author"].drop_null())),
        steps=_steps(funnel, recipe.name),
        stages=[_stage(funnel, recipe, outcome) for outcome in funnel.outcomes],
        tags=_counts(pc.list_flatten(photos["tags"]), pc.list_flatten(inside["tags"]), TOP),
        sources=_counts(photos["source"], inside["source"], TOP),
        licences=_counts(photos["license"], inside["license"], 40),
        years=_years(photos, inside),
        sides=_sides(funnel),
        versions={"lhq-toolkit": toolkit, "python": platform.python_version(), **versions()},
        exports=_exports(dataset),
    )
    return facts, funnel


def _steps(funnel: Funnel, subset: str) -> list[Step]:
    """The bars of the funnel: what was listed, each stage, the subset."""
    steps = [Step("listed", funnel.photos.num_rows)]
    steps += [_step(outcome) for outcome in funnel.outcomes]
    return [*steps, Step(f"subset {subset}", int(funnel.members.sum()))]


def _step(outcome: Outcome) -> Step:
    return Step(outcome.stage, *(outcome.count(state) for state in (KEPT, REJECTED, ERROR, PENDING)))


def _stage(funnel: Funnel, recipe: Recipe, outcome: Outcome) -> StageFacts:
    step = recipe.step(outcome.stage)
    settings = {name: value for name, value in (step.settings if step else {}).items() if value not in (None, "")}
    fingerprint = step.fingerprint if step else None
    return StageFacts(
        name=outcome.stage,
        step=_step(outcome),
        settings=settings,
        fingerprint=fingerprint,
        reasons=outcome.reasons(),
        notes=outcome.notes,
        score=_score(outcome, settings),
        fit=_fit(funnel.dataset, outcome.stage, fingerprint),
    )


def _score(outcome: Outcome, settings: Mapping[str, Any]) -> Score | None:
    """The values a stage compared; None where it keeps photos of one value only, as those without a listed tag."""
    rows = np.flatnonzero(np.isin(outcome.state, (KEPT, REJECTED)) & np.isfinite(outcome.value))
    values = outcome.value[rows]
    kept = outcome.state[rows] == KEPT
    if len(np.unique(values[kept])) < 2:
        return None
    stated = settings.get("threshold", settings.get("min_side"))
    threshold = float(stated) if isinstance(stated, (int, float)) else outcome.cut()
    return Score(outcome.stage, rows, values, kept, threshold)


def _fit(dataset: Dataset, stage: str, fingerprint: str | None) -> dict[str, Any]:
    """How many photos a fit learned from, and its held-out accuracy where that was stored."""
    folder = dataset.fits_folder(stage) / (fingerprint or "")
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.json")) if fingerprint else ():
        try:
            facts = plain_json.loads(path.read_bytes())
        except ValueError:  # lhq verify tells
            continue
        if isinstance(facts, dict):
            found |= {name: facts[name] for name in ("images", "held_out") if facts.get(name) is not None}
    return found


def _counts(whole: pa.ChunkedArray, inside: pa.ChunkedArray, most: int) -> list[tuple[str, int, int]]:
    """The texts that stand most often in the subset, then in all; with both counts."""
    every, chosen = show.counted(whole), show.counted(inside)
    texts = sorted(every, key=lambda text: (-chosen.get(text, 0), -every[text], text))
    return [(text, chosen.get(text, 0), every[text]) for text in texts[:most]]


def _years(photos: pa.Table, inside: pa.Table) -> list[tuple[str, int, int]]:
    """Photos by the year in which they were taken, or else uploaded; in order of years."""

    def years(rows: pa.Table) -> dict[str, int]:
        moments = pc.coalesce(rows["taken_at"], rows["uploaded_at"])
        return show.counted(pc.cast(pc.year(moments), pa.string()))

    every, chosen = years(photos), years(inside)
    return [(year, chosen.get(year, 0), every[year]) for year in sorted(every)]


def _sides(funnel: Funnel) -> tuple[Floats, Bools]:
    width, height = (
        np.asarray(pc.cast(funnel.photos[name], pa.float64()).to_numpy(), np.float64)
        for name in ("file_width", "file_height")
    )
    short = np.minimum(width, height)
    there = np.isfinite(short)
    return short[there], funnel.members[there]


def _exports(dataset: Dataset) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for facts in handed_on.noted(dataset.root):
        out = str(facts.get("out", ""))
        place = out if is_url(out) else PurePath(out).name  # where on this machine is nobody's business
        found.append({**dict.fromkeys(("at", "subset", "pictures", "subset_hash"), ""), **facts, "out": place})
    return found
