"""Means and spreads over seeds: of rows that differ in nothing but the seed of their training.

The hash of a recipe covers its seed. What a recipe is without it is known where the recipe is: of runs that lie here,
and of presets, which are made again from the row's words and must give its hash. A row of which neither is known
stands for itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import presets, recipes
from benchmarks.leaderboard import ABOUT_INFINITY, ABOUT_THE_MEASURING, Row
from benchmarks.recipes import Recipe, recipe_hash
from manifests.errors import LhqError

ALIKE = (*ABOUT_THE_MEASURING, *ABOUT_INFINITY, "model", "images_seen", "device", "dtype", "threads", "origin")


@dataclass(frozen=True)
class Spread:
    """A number over seeds. deviation: the standard deviation, None for one seed; error: of one seed, where known."""

    mean: float
    deviation: float | None
    seeds: int
    error: float | None = None


@dataclass(frozen=True)
class Entry:
    """Rows of one recipe but for its seed, by their seeds."""

    rows: tuple[Row, ...]

    @property
    def row(self) -> Row:
        """The first."""
        return self.rows[0]

    def over_seeds(self, name: str, error: str | None = None) -> Spread | None:
        """A column (or property) of the rows; None where a row lacks it. error: the column of its standard error."""
        values = [getattr(row, name) for row in self.rows]
        if any(value is None for value in values):
            return None
        if len(values) == 1:
            return Spread(float(values[0]), None, 1, getattr(self.row, error) if error else None)
        return Spread(statistics.fmean(values), statistics.stdev(values), len(values))


def entries(rows: Sequence[Row], known: Mapping[str, Recipe] | None = None) -> list[Entry]:
    """The rows by recipes, each from the lowest seed on, in the order of their first. known: recipes by their hash."""
    found: dict[tuple[object, ...], dict[int | None, Row]] = {}
    for at, row in enumerate(rows):
        seedless = without_seed(row, known or {})
        alike = (at,) if seedless is None else (seedless, *(getattr(row, name) for name in ALIKE))
        if row.seed in found.get(alike, {}):  # of two strangers
            alike = (*alike, at)
        found.setdefault(alike, {})[row.seed] = row
    return [Entry(tuple(some[seed] for seed in sorted(some, key=_from_the_lowest))) for some in found.values()]


def _from_the_lowest(seed: int | None) -> tuple[bool, int]:
    return seed is None, seed or 0


def without_seed(row: Row, known: Mapping[str, Recipe]) -> str | None:
    """The hash of a row's recipe with seed 0; None where the recipe is not known."""
    recipe = known.get(row.recipe_hash) or _preset(row)
    return None if recipe is None else recipe_hash(dataclasses.replace(recipe, seed=0))


def _preset(row: Row) -> Recipe | None:
    """The preset that the row is of, made again; None where it is of none."""
    if row.seed is None or row.model not in recipes.MODELS:  # a stranger's row makes nobody import a package
        return None
    try:
        recipe = presets.preset(row.model, row.dataset, row.budget, row.resolution)
        distance = recipe.anchor_distance if row.anchor_distance is None else row.anchor_distance
        recipe = dataclasses.replace(recipe, seed=row.seed, anchor_distance=distance)
        if recipe_hash(recipe) != row.recipe_hash:
            recipe = presets.with_perceptual(recipe)
    except LhqError:
        return None
    return recipe if recipe_hash(recipe) == row.recipe_hash else None


def runs_below(place: Path) -> Iterator[tuple[Path, Recipe]]:
    """The runs in a folder with their recipes; what is no run is passed over."""
    for path in sorted(place.glob(f"*/{recipes.FILE}")):
        with contextlib.suppress(LhqError):
            yield path.parent, recipes.load(path.parent)
