"""The trainer brings networks near their pictures."""

import dataclasses
import json
from pathlib import Path

import pytest

from benchmarks.presets import preset
from benchmarks.recipes import recipe_hash
from lhq_toolkit import convergence


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_alis_comes_within_a_fifth_of_its_start_in_a_short_training(tmp_path):
    pictures = convergence.paint(tmp_path, scenes=100, resolution=32)
    found = convergence.reached(convergence.train("alis", 0, pictures, tmp_path, images=1600))
    assert found["share"] <= convergence.WANTED, found


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", convergence.IMAGES)
def test_the_fixed_recipe_brings_every_model_within_a_fifth_of_its_start(tmp_path, model):
    found = convergence.reached(convergence.train(model, 0, convergence.paint(tmp_path), tmp_path))
    assert found["share"] <= convergence.WANTED, found


def test_the_kept_record_is_of_the_recipes_as_they_are_now():
    record = json.loads((Path(__file__).parents[2] / convergence.RECORD).read_text())
    assert record["resolution"] == convergence.RESOLUTION
    runs = [(found["model"], found["seed"]) for found in record["runs"]]
    assert runs == [(model, seed) for model, seeds in convergence.SEEDS.items() for seed in seeds]
    for found in record["runs"]:
        model = found["model"]
        recipe = preset(model, "scenes", "smoke", convergence.RESOLUTION)
        recipe = dataclasses.replace(recipe, images=convergence.IMAGES[model], seed=found["seed"])
        assert found["recipe_hash"] == recipe_hash(recipe)
        assert found["share"] == pytest.approx(found["fd_end"] / found["fd_start"])
        assert found["share"] <= convergence.WANTED
        if model != "stylegan2":
            assert found["infinity_over_fd"] == pytest.approx(found["infinity_fd_end"] / found["fd_end"])
