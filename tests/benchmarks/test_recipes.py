"""Recipes: their hash stands still, their files are checked, their presets are the published numbers."""

import dataclasses
import hashlib
import json

import pytest

from benchmarks import networks, recipes
from benchmarks.recipes import Recipe, preset, recipe_hash
from manifests.errors import MisuseError, SetupError
from models import weights


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
        recipes.with_settings(recipe, ["patches=8"])
    recipe = preset("alis", "lhq", "smoke", 64)
    assert recipe_hash(dataclasses.replace(recipe, patches=8)) != recipe_hash(recipe)


def test_the_weight_of_r1_is_each_models_own():
    assert preset("stylegan2", "lhq", "paper", 256).r1_weight == pytest.approx(0.2048)
    assert preset("alis", "lhq", "paper", 256).r1_weight == 10


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


def test_the_paper_budget_has_the_published_numbers():
    recipe = preset("alis", "lhq", "paper", 256)
    assert (recipe.batch, recipe.learning_rate, recipe.images) == (64, 0.0025, 25_000_000)
    assert (recipe.r1_weight, recipe.r1_every, recipe.path_weight, recipe.path_every) == (10, 16, 2, 4)
    assert (recipe.average_kimg, recipe.average_ramp, recipe.mixing, recipe.deviation_group) == (20, 0.05, 0.9, 4)
    assert (recipe.channel_base, recipe.mapping_layers, recipe.anchor_distance, recipe.patches) == (16384, 2, 2, 16)


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


@pytest.mark.parametrize(
    "setting",
    [
        *("lr=1", "batch", "batch=x", "mirror=yes", "normalisation=none", "learning_rate=nan", "learning_rate=inf"),
        *("model=stylegan2", "dataset=x", "budget=paper", "resolution=32", "seed=1"),
    ],
)
def test_a_setting_that_does_not_fit_is_misuse(setting):
    with pytest.raises(MisuseError, match=setting.partition("=")[0]):
        recipes.with_settings(preset("alis", "lhq", "smoke", 64), [setting])


def test_settings_are_read_as_their_kind():
    recipe = recipes.with_settings(
        preset("alis", "lhq", "smoke", 64), ["mirror=false", "batch=8", "mixing=0.5", "normalisation=patch"]
    )
    assert (recipe.mirror, recipe.batch, recipe.mixing, recipe.normalisation) == (False, 8, 0.5, "patch")


def test_a_setting_of_no_number_is_told_which_kind_it_wants():
    with pytest.raises(MisuseError, match=r"images=abc: 'abc' is not a whole number"):
        recipes.with_settings(preset("alis", "toy", "smoke", 64), ["images=abc"])
    with pytest.raises(MisuseError, match=r"learning_rate=abc: 'abc' is not a number"):
        recipes.with_settings(preset("alis", "toy", "smoke", 64), ["learning_rate=abc"])


def test_names_that_do_not_exist_are_misuse():
    with pytest.raises(MisuseError, match="gan"):
        preset("gan", "lhq", "smoke", 64)
    with pytest.raises(MisuseError, match="huge"):
        preset("alis", "lhq", "huge", 64)


def test_taming_has_its_own_numbers_and_not_those_of_styles():
    recipe = preset("taming", "lhq", "paper", 256)
    assert (recipe.codes, recipe.code_width, recipe.vqgan_channels) == (1024, 256, 128)
    assert recipe.vqgan_multiples == "1,1,2,2,4"
    assert (recipe.gpt_layers, recipe.gpt_heads, recipe.gpt_width, recipe.gpt_places) == (24, 16, 1024, 512)
    assert recipe.vqgan_rate == recipe.gpt_rate == pytest.approx(4.5e-6 * recipe.batch)
    with pytest.raises(MisuseError, match="z_dim"):
        recipes.with_settings(recipe, ["z_dim=8"])
    with pytest.raises(MisuseError, match="gpt_width"):
        recipes.with_settings(preset("alis", "lhq", "paper", 256), ["gpt_width=8"])
    assert recipes.with_settings(recipe, ["vqgan_multiples=1,2"]).vqgan_multiples == "1,2"
    assert recipe_hash(dataclasses.replace(recipe, z_dim=8)) == recipe_hash(recipe)
    assert recipe_hash(dataclasses.replace(recipe, codes=8)) != recipe_hash(recipe)


@pytest.mark.parametrize("budget", recipes.BUDGETS)
@pytest.mark.parametrize("resolution", [32, 64, 256, 1024])
def test_taming_fits_its_windows_at_every_resolution(budget, resolution):
    recipe = preset("taming", "lhq", budget, resolution)
    networks.check(recipe)
    side = resolution // 2 ** recipe.vqgan_multiples.count(",")
    assert side == (8 if budget == "smoke" else 16)


def test_the_perceptual_network_that_is_here_is_named_by_recipes_that_use_it_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("LHQ_CACHE", str(tmp_path))
    recipe = preset("taming", "lhq", "paper", 256)
    assert recipes.with_perceptual(recipe) == recipe
    data = b"a network"
    (tmp_path / weights.REGISTRY["vgg16"].file).write_bytes(data)
    with pytest.raises(SetupError, match="delete it"):
        recipes.with_perceptual(recipe)
    digest = hashlib.sha256(data).hexdigest()
    monkeypatch.setitem(
        weights.REGISTRY, "vgg16", dataclasses.replace(weights.REGISTRY["vgg16"], sha256=digest, mebibytes=None)
    )
    named = recipes.with_perceptual(recipe)
    assert named.perceptual_network == digest
    assert recipe_hash(named) != recipe_hash(recipe)
    for other in (preset("taming", "lhq", "smoke", 64), preset("alis", "lhq", "paper", 256)):
        assert recipes.with_perceptual(other) == other
    without = recipes.with_settings(named, ["perceptual_weight=0"])
    assert recipes.with_perceptual(without).perceptual_network == ""
    with pytest.raises(MisuseError, match="perceptual_network"):
        recipes.with_settings(recipe, ["perceptual_network=x"])
