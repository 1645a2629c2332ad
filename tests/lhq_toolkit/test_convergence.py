"""The trainer brings networks near their pictures."""

import json
from pathlib import Path

import pytest

from lhq_toolkit import convergence


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_alis_comes_within_a_fifth_of_its_start_in_a_short_training(tmp_path):
    pictures = convergence.paint(tmp_path, scenes=100)
    found = convergence.measure("alis", pictures, tmp_path / "run", images=1600)
    assert found["share"] <= convergence.WANTED, found


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("model", convergence.IMAGES)
def test_the_fixed_recipe_brings_every_model_within_a_fifth_of_its_start(tmp_path, model):
    pictures = convergence.paint(tmp_path)
    found = convergence.measure(model, pictures, tmp_path / "run", convergence.IMAGES[model])
    assert found["share"] <= convergence.WANTED, found


def test_the_kept_record_is_of_the_recipe_as_it_is_now():
    import dataclasses

    from benchmarks.recipes import preset, recipe_hash

    record = json.loads((Path(__file__).parents[2] / convergence.RECORD).read_text())
    for model, found in record["models"].items():
        recipe = preset(model, "scenes", "smoke", convergence.RESOLUTION)
        recipe = dataclasses.replace(recipe, images=convergence.IMAGES[model], seed=convergence.SEED)
        assert found["recipe_hash"] == recipe_hash(recipe)
        assert found["share"] == pytest.approx(found["fd_end"] / found["fd_start"])
        assert found["share"] <= convergence.WANTED
    assert set(record["models"]) == set(convergence.IMAGES)
