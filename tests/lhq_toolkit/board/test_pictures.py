"""What runs draw stands beside the rows that were measured on them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import tiny
from boards import row

from benchmarks import recipes
from benchmarks.leaderboard import Row
from lhq_toolkit.benchmark import ROW
from lhq_toolkit.board.pictures import drawn_below


def measured(run: Path, **changed: object) -> Row:
    """A run of the one recipe, and the row that was measured on it."""
    run.mkdir(parents=True)
    recipe = tiny.recipe("alis")
    recipes.save(recipe, run)
    found = dataclasses.replace(row(), recipe_hash=recipes.recipe_hash(recipe), **changed)  # type: ignore[arg-type]
    (run / ROW).write_text(json.dumps(vars(found)))
    return found


def test_runs_of_one_recipe_on_two_sets_of_pictures_both_stand_beside_their_rows(tmp_path):
    one, two = measured(tmp_path / "a", subset_hash="1" * 64), measured(tmp_path / "b", subset_hash="2" * 64)
    drawn = drawn_below(tmp_path, [two, one])
    assert {found: one.run.name for found, one in drawn.items()} == {one: "a", two: "b"}
    assert list(drawn) == [two, one]


def test_a_row_of_an_earlier_measuring_or_of_no_run_has_no_pictures(tmp_path):
    last = measured(tmp_path / "a", fd=0.5)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / recipes.FILE).write_text("not a recipe")
    earlier = dataclasses.replace(last, fd=0.7)
    assert list(drawn_below(tmp_path, [earlier, last, row(model="stylegan2")])) == [last]
    assert drawn_below(None, [last]) == {}
