"""Means are taken over seeds of one recipe, and over nothing else."""

from __future__ import annotations

import dataclasses
import statistics

import pytest
from boards import row

from benchmarks import presets, recipes
from benchmarks.seeds import entries


def test_seeds_of_a_preset_are_one_entry_with_mean_and_spread():
    rows = [row(fd=0.3, seed=10), row(fd=0.2, seed=0), row(fd=0.4, seed=2)]
    (entry,) = entries(rows)
    assert [one.seed for one in entry.rows] == [0, 2, 10]
    spread = entry.over_seeds("distance", "fd_error")
    assert spread is not None
    assert spread.mean == pytest.approx(0.3)
    assert spread.deviation == pytest.approx(statistics.stdev([0.2, 0.3, 0.4]))


def test_one_seed_has_its_standard_error_and_no_deviation():
    (entry,) = entries([row(fd=0.3)])
    spread = entry.over_seeds("distance", "fd_error")
    assert spread is not None
    assert (spread.mean, spread.deviation, spread.error) == (0.3, None, 0.01)
    assert entries([row("stylegan2")])[0].over_seeds("endless") is None


def test_other_distances_images_or_devices_are_other_entries():
    rows = [row(), row(seed=1, d=4), row(seed=2, images_seen=5), row(seed=3, device="H200")]
    assert len(entries(rows)) == 4


def test_recipes_that_are_not_known_are_never_averaged():
    unknown = [row(recipe_hash="e" * 64), row(recipe_hash="f" * 64, seed=1)]
    assert len(entries(unknown)) == 2
    made = [
        dataclasses.replace(presets.preset("alis", "sample", "smoke", 64), learning_rate=0.5, seed=s) for s in (0, 1)
    ]
    known = {recipes.recipe_hash(recipe): recipe for recipe in made}
    rows = [row(recipe_hash=digest, seed=recipe.seed) for digest, recipe in known.items()]
    assert len(entries(rows)) == 2
    assert len(entries(rows, known)) == 1
    assert len(entries([*rows, row(seed=2)], known)) == 2  # another learning rate
