"""Recipes: their hash stands still, their files are checked."""

import dataclasses
import json

import pytest

from benchmarks import presets, recipes
from benchmarks.presets import preset
from benchmarks.recipes import Recipe, recipe_hash
from manifests.errors import MisuseError, SetupError


def test_the_hash_of_a_recipe_never_changes():
    recipe = Recipe(model="alis", dataset="lhq", budget="paper", resolution=256, images=25_000_000, batch=64)
    assert recipe_hash(recipe) == "7f7af558b1f37e89ece6dc5143fdabeb4d4ead1fc0f268de0bca42f12bd3c11c"


def test_a_field_at_its_default_does_not_enter_the_hash_and_another_value_does():
    recipe = preset("alis", "lhq", "paper", 256)
    assert recipe_hash(dataclasses.replace(recipe, mixing=0.9)) == recipe_hash(recipe)
    assert recipe_hash(dataclasses.replace(recipe, mixing=0.8)) != recipe_hash(recipe)
    assert recipe_hash(dataclasses.replace(recipe, seed=1)) != recipe_hash(recipe)


def test_what_a_model_does_not_have_does_not_enter_its_hash():
    recipe = preset("stylegan2", "lhq", "smoke", 64)
    assert recipe_hash(dataclasses.replace(recipe, patches=8)) == recipe_hash(recipe)
    with pytest.raises(MisuseError, match="patches"):
        presets.with_settings(recipe, ["patches=8"])
    recipe = preset("alis", "lhq", "smoke", 64)
    assert recipe_hash(dataclasses.replace(recipe, patches=8)) != recipe_hash(recipe)


def test_every_field_but_the_first_six_has_a_default():
    fields = dataclasses.fields(Recipe)
    assert [field.name for field in fields if field.default is dataclasses.MISSING] == [
        "model",
        "dataset",
        "budget",
        "resolution",
        "images",
        "batch",
    ]


@pytest.mark.parametrize("model", recipes.MODELS)
@pytest.mark.parametrize("budget", recipes.BUDGETS)
def test_a_saved_recipe_reads_back_equal(tmp_path, model, budget):
    recipe = preset(model, "lhq", budget, 64)
    recipes.save(recipe, tmp_path)
    assert recipes.load(tmp_path) == recipe


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"unknown": 1}, "unknown"),
        ({"batch": "many"}, "batch"),
        ({"model": "gan"}, "gan"),
        ({"batch": 6}, "batch"),
        ({"budget": "huge"}, "budget"),
        ({"deviation_group": 0}, "deviation_group"),
        ({"path_shrink": 0}, "path_shrink"),
        ({"z_dim": 0}, "z_dim"),
        ({"mixing": 2}, "mixing"),
        ({"average_kimg": -1}, "average_kimg"),
        ({"seed": 2**64}, "seed"),
    ],
)
def test_a_recipe_file_that_does_not_fit_is_refused_with_its_name(tmp_path, change, names):
    recipes.save(preset("alis", "lhq", "smoke", 64), tmp_path)
    path = tmp_path / recipes.FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(SetupError, match=names):
        recipes.load(tmp_path)
