"""What a user asks for becomes a recipe: the presets of the budgets, and settings by name.

Sources: Karras et al. 2020 (arXiv:1912.04958, section 3 and appendix B) and the settings ALIS was trained with
(Skorokhodov et al. 2021, arXiv:2104.06954): learning rate 0.0025, batch 64, R1 weight 10, mirrored pictures. For
Taming Transformers Esser et al. 2021 (arXiv:2012.09841, appendix B), whose learning rate grows with the batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmarks.recipes import (
    BUDGETS,
    IDENTITY,
    IMPORTED_ONLY,
    MODELS,
    PLUGINS,
    TAMING_RATE,
    WHOLE,
    WITH_ANCHORS,
    Plugged,
    Recipe,
    Setting,
)
from manifests.errors import MisuseError, SetupError
from models.weights import REGISTRY, WeightsError, cache_folder, find

if TYPE_CHECKING:
    from benchmarks.plugin_model import Model

COMMON = ("images", "batch", "average_kimg", "average_ramp", "mirror", "precision", "hours")  # to plug-ins as well


def check_names(model: str, budget: str) -> None:
    """MisuseError where no model or no budget is called so."""
    if budget not in BUDGETS:
        raise MisuseError(f"no budget is called {budget!r}; there are: {', '.join(BUDGETS)}")
    if model not in MODELS:
        PLUGINS.load(model)


def preset(model: str, dataset: str, budget: str, resolution: int) -> Recipe:
    """The recipe of a budget: `smoke` for 2 CPU cores, `small` for one GPU, `paper` with the published settings.

    Raises MisuseError for names that do not exist.
    """
    check_names(model, budget)
    settings: dict[str, Any] = {}
    if model not in MODELS:
        return Recipe(
            model=model, dataset=dataset, budget=budget, resolution=resolution, **_theirs(model, budget, resolution)
        )
    if model == "taming":
        settings = _taming(budget, resolution)
    elif budget == "smoke":
        settings = {"images": 4_000, "batch": 16, "z_dim": 64, "w_dim": 64, "channel_base": 1024, "channel_max": 32}
        settings |= {"r1_weight": 2.0, "average_kimg": 2.0, "average_ramp": 0.25}
        if model != "locogan":  # what brought them nearer in few steps, at 64x64
            settings |= {"learning_rate": 0.005, "r1_weight": 0.5, "average_ramp": 0.1}
        if model in WITH_ANCHORS:
            settings |= {"patches": 4, "input_resolution": 4}
    elif budget == "small":
        settings = {"images": 400_000, "batch": 32, "channel_base": 8192, "average_kimg": 10.0, "r1_weight": 1.0}
    else:
        settings = {"images": 25_000_000, "batch": 64}
        if model == "stylegan2":  # the rule that its published trainer follows; ALIS was trained with 10
            settings["r1_weight"] = 0.0002 * resolution**2 / settings["batch"]
    return Recipe(model=model, dataset=dataset, budget=budget, resolution=resolution, **settings)


def _taming(budget: str, resolution: int) -> dict[str, Any]:
    settings: dict[str, Any] = dict(WHOLE)
    multiples: tuple[int, ...] = (1, 1, 2, 2, 4)
    side = 16
    if budget == "smoke":
        multiples, side = (1, 1, 2, 4), 8
        settings |= {"images": 8_000, "batch": 8, "average_kimg": 2.0, "average_ramp": 0.1, "gpt_places": 64}
        settings |= {"codes": 128, "code_width": 32, "vqgan_channels": 16, "vqgan_blocks": 1, "vqgan_groups": 4}
        settings |= {"revive_every": 20, "vqgan_rate": 1e-3, "perceptual_weight": 0.0, "adversarial_start": 0.7}
        settings |= {"gpt_layers": 4, "gpt_heads": 4, "gpt_width": 128, "gpt_rate": 1e-3}
        settings |= {"adversarial_weight": 0.2, "patch_channels": 16}
    elif budget == "small":
        settings |= {"images": 400_000, "batch": 32, "vqgan_channels": 64, "average_kimg": 10.0}
        settings |= {"vqgan_rate": 32 * TAMING_RATE, "gpt_rate": 32 * TAMING_RATE}
        settings |= {"gpt_layers": 12, "gpt_heads": 8, "gpt_width": 512}
    else:
        settings |= {"images": 25_000_000, "batch": 64}
    levels = max(1, resolution // side).bit_length()
    deep = (multiples[0],) * (levels - len(multiples)) + multiples[-levels:]
    return settings | {"vqgan_multiples": ",".join(map(str, deep))}


def with_settings(recipe: Recipe, settings: list[str]) -> Recipe:
    """The recipe with `name=value` pairs replaced. Raises MisuseError that names what does not fit."""
    unset = (*IDENTITY, *IMPORTED_ONLY, "perceptual_network", "plugged")
    names = [field.name for field in dataclasses.fields(recipe) if field.name not in unset]
    kinds = {name: type(getattr(recipe, name)) for name in names if name not in recipe.foreign}
    own = dict(recipe.plugged.settings) if recipe.plugged else {}
    changed: dict[str, Any] = {}
    given: dict[str, str] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in {*kinds, *own}:
            raise MisuseError(f"--set {setting}: give NAME=VALUE with one of {', '.join(sorted({*kinds, *own}))}")
        if name in own:
            given[name] = text
        else:
            changed[name] = _parsed(setting, text, kinds[name])
    if recipe.plugged is not None and given:
        kind = PLUGINS.load(recipe.model, recipe.plugged.package)
        changed["plugged"] = _plugged(kind, recipe.plugged.package, {**own, **given})
    return dataclasses.replace(recipe, **changed)


def _parsed(setting: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise MisuseError(f"--set {setting}: the value is true or false")
        return text == "true"
    try:
        return kind(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise MisuseError(f"--set {setting}: {text!r} is not {wanted}") from error


def with_perceptual(recipe: Recipe) -> Recipe:
    """The recipe with the perceptual network that is here, where its loss has a weight; without one where none is.

    Raises SetupError for a file that is there and holds something else.
    """
    network = ""
    if recipe.model == "taming" and recipe.perceptual_weight and (cache_folder() / REGISTRY["vgg16"].file).exists():
        try:
            network = find("vgg16").sha256
        except WeightsError as error:
            raise SetupError(str(error)) from error
    return dataclasses.replace(recipe, perceptual_network=network)


def _theirs(model: str, budget: str, resolution: int) -> dict[str, Any]:
    """What the preset of another package's model sets."""
    kind = PLUGINS.load(model)
    said = dict(kind.preset(budget, resolution))
    common = {name: said.pop(name) for name in COMMON if name in said}
    if missing := [name for name in ("images", "batch") if name not in common]:
        raise SetupError(f"model {PLUGINS.plugin(model)} names no {missing[0]} in its preset; mend that package")
    return {**WHOLE, **common, "plugged": _plugged(kind, PLUGINS.plugin(model).package, said)}


def _plugged(kind: type[Model[Any]], package: str, given: Mapping[str, Any]) -> Plugged:
    """The model's own settings, checked. MisuseError names what does not fit."""
    from manifests.settings import validated

    checked = validated(kind.settings_type, given).model_dump(mode="json")
    if odd := [name for name, value in checked.items() if not isinstance(value, Setting)]:
        raise SetupError(
            f"model {PLUGINS.plugin(kind.name, package)} has a setting {odd[0]!r} that is no number, text, true or "
            "false; mend that package"
        )
    return Plugged(package, kind.version, tuple(sorted(checked.items())))
