"""Presets have the published numbers and fit at every size; settings are read as their kind, or named as misuse."""

import dataclasses
import hashlib

import pytest

from benchmarks import networks, presets, recipes
from benchmarks.presets import preset
from benchmarks.recipes import recipe_hash
from manifests.errors import MisuseError, SetupError
from models import weights


def test_the_weight_of_r1_is_each_models_own():
    assert preset("stylegan2", "lhq", "paper", 256).r1_weight == pytest.approx(0.2048)
    assert preset("alis", "lhq", "paper", 256).r1_weight == 10


def test_the_paper_budget_has_the_published_numbers():
    recipe = preset("alis", "lhq", "paper", 256)
    assert (recipe.batch, recipe.learning_rate, recipe.images) == (64, 0.0025, 25_000_000)
    assert (recipe.r1_weight, recipe.r1_every, recipe.path_weight, recipe.path_every) == (10, 16, 2, 4)
    assert (recipe.average_kimg, recipe.average_ramp, recipe.mixing, recipe.deviation_group) == (20, 0.05, 0.9, 4)
    assert (recipe.channel_base, recipe.mapping_layers, recipe.anchor_distance, recipe.patches) == (16384, 2, 2, 16)


@pytest.mark.parametrize(
    "setting",
    [
        *("lr=1", "batch", "batch=x", "mirror=yes", "normalisation=none", "learning_rate=nan", "learning_rate=inf"),
        *("model=stylegan2", "dataset=x", "budget=paper", "resolution=32", "seed=1"),
    ],
)
def test_a_setting_that_does_not_fit_is_misuse(setting):
    with pytest.raises(MisuseError, match=setting.partition("=")[0]):
        presets.with_settings(preset("alis", "lhq", "smoke", 64), [setting])


def test_settings_are_read_as_their_kind():
    recipe = presets.with_settings(
        preset("alis", "lhq", "smoke", 64), ["mirror=false", "batch=8", "mixing=0.5", "normalisation=patch"]
    )
    assert (recipe.mirror, recipe.batch, recipe.mixing, recipe.normalisation) == (False, 8, 0.5, "patch")


def test_a_setting_of_no_number_is_told_which_kind_it_wants():
    with pytest.raises(MisuseError, match=r"images=abc: 'abc' is not a whole number"):
        presets.with_settings(preset("alis", "toy", "smoke", 64), ["images=abc"])
    with pytest.raises(MisuseError, match=r"learning_rate=abc: 'abc' is not a number"):
        presets.with_settings(preset("alis", "toy", "smoke", 64), ["learning_rate=abc"])


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
        presets.with_settings(recipe, ["z_dim=8"])
    with pytest.raises(MisuseError, match="gpt_width"):
        presets.with_settings(preset("alis", "lhq", "paper", 256), ["gpt_width=8"])
    assert presets.with_settings(recipe, ["vqgan_multiples=1,2"]).vqgan_multiples == "1,2"
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
    assert presets.with_perceptual(recipe) == recipe
    data = b"a network"
    (tmp_path / weights.REGISTRY["vgg16"].file).write_bytes(data)
    with pytest.raises(SetupError, match="delete it"):
        presets.with_perceptual(recipe)
    digest = hashlib.sha256(data).hexdigest()
    monkeypatch.setitem(
        weights.REGISTRY, "vgg16", dataclasses.replace(weights.REGISTRY["vgg16"], sha256=digest, mebibytes=None)
    )
    named = presets.with_perceptual(recipe)
    assert named.perceptual_network == digest
    assert recipe_hash(named) != recipe_hash(recipe)
    for other in (preset("taming", "lhq", "smoke", 64), preset("alis", "lhq", "paper", 256)):
        assert presets.with_perceptual(other) == other
    without = presets.with_settings(named, ["perceptual_weight=0"])
    assert presets.with_perceptual(without).perceptual_network == ""
    with pytest.raises(MisuseError, match="perceptual_network"):
        presets.with_settings(recipe, ["perceptual_network=x"])
