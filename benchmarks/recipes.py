"""Recipes: every number that a training depends on, as one value with a hash, and the presets of the budgets.

Sources: Karras et al. 2020 (arXiv:1912.04958, section 3 and appendix B) and the settings ALIS was trained with
(Skorokhodov et al. 2021, arXiv:2104.06954): learning rate 0.0025, batch 64, R1 weight 10, mirrored pictures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from manifests import atomic
from manifests.errors import MisuseError, SetupError

MODELS = ("stylegan2", "alis", "alis-nocoords", "locogan")
WITH_ANCHORS = ("alis", "alis-nocoords")
BUDGETS = ("smoke", "small", "paper")
IMPORTED = "imported"  # stands in place of a budget
FILE = "recipe.json"  # in a run's folder
IDENTITY = ("model", "dataset", "budget", "resolution", "seed")  # have options of their own
ANCHORS_ONLY = ("patches", "input_resolution", "anchor_distance", "normalisation", "float16_styles_from")
NETWORK_ONLY = ("z_dim", "w_dim", "channel_base", "channel_max", "mapping_layers", "deviation_group", "clamp")
IMPORTED_ONLY = ("clamp", "float16_styles_from", "imported")

_ALLOWED = {
    "model": MODELS,
    "budget": (*BUDGETS, IMPORTED),
    "normalisation": ("demodulate", "patch"),
    "precision": ("float32", "bfloat16", "float16", "float64"),
}
_AT_LEAST_ONE = (
    *("images", "batch", "z_dim", "w_dim", "channel_base", "channel_max", "mapping_layers", "patches"),
    *("input_resolution", "anchor_distance", "deviation_group", "r1_every", "path_every", "path_shrink"),
)
_BETWEEN = {
    **dict.fromkeys(("beta1", "beta2", "path_decay", "mixing", "average_ramp", "centre_decay", "augment_target"), 1.0),
    **dict.fromkeys(("learning_rate", "r1_weight", "path_weight", "average_kimg", "augment_kimg", "hours"), 1e9),
    "seed": 2**64 - 1,
}


@dataclass(frozen=True)
class Imported:
    """Where networks come from that were trained elsewhere."""

    file: str  # its name
    sha256: str
    networks: tuple[str, ...]  # what the file calls them


@dataclass(frozen=True)
class Recipe:
    """Model x dataset x budget. A field added later gets a default that means 'as before'.

    Of an imported network nothing about a training is known: its recipe.json has only what its network is made of,
    here `dataset` is empty, `images` and `batch` are 0, and the settings of a training say nothing.
    """

    model: str
    dataset: str
    budget: str
    resolution: int  # pixels
    images: int  # real pictures shown in all, rounded up to whole batches
    batch: int
    seed: int = 0
    # Networks. The last four are of those with anchors.
    z_dim: int = 512
    w_dim: int = 512
    channel_base: int = 16384
    channel_max: int = 512
    mapping_layers: int = 2
    patches: int = 16
    input_resolution: int = 16
    anchor_distance: int = 2  # frames
    normalisation: Literal["demodulate", "patch"] = "demodulate"
    # Training.
    deviation_group: int = 4  # pictures compared with each other by the discriminator
    learning_rate: float = 0.0025
    beta1: float = 0.0
    beta2: float = 0.99
    r1_weight: float = 10.0
    r1_every: int = 16  # batches
    path_weight: float = 2.0
    path_every: int = 4  # batches
    path_decay: float = 0.01  # of the running mean of path lengths, per regularised batch
    path_shrink: int = 2  # the regularised batch is so many times smaller
    mixing: float = 0.9  # share of the fakes with two styles
    average_kimg: float = 20.0  # half-life of the generator's running average, thousands of pictures
    average_ramp: float = 0.05  # which is at most this share of the pictures shown so far
    centre_decay: float = 0.995  # of the running mean of w, per batch
    mirror: bool = True
    augment_target: float = (
        0.0  # mean sign of real pictures' logits that augmentation keeps (0.6 in its paper); 0: none
    )
    augment_kimg: float = 500.0  # thousands of pictures in which its strength can rise from 0 to 1
    precision: Literal["float32", "bfloat16", "float16", "float64"] = "float32"  # of the convolutions
    # Of imported networks; what the first two do, `models.stylegan2.Sizes` and `models.alis.Sizes` tell.
    clamp: float = 0.0
    float16_styles_from: int = 0  # pixels
    imported: Imported | None = None
    hours: float = 0.0  # of training, after which it ends before all images were shown; 0: never

    def __post_init__(self) -> None:
        if (self.budget == IMPORTED) != (self.imported is not None):
            raise MisuseError(f"budget {self.budget}: {IMPORTED} stands for networks that were trained elsewhere")
        for name, allowed in _ALLOWED.items():
            if (value := getattr(self, name)) not in allowed:
                raise MisuseError(f"{name} is {value!r}; it is one of: {', '.join(allowed)}")
        for name in _AT_LEAST_ONE:
            if self.imported is not None and name in ("images", "batch"):
                continue
            if getattr(self, name) < 1:
                raise MisuseError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name, most in _BETWEEN.items():
            if not 0 <= (value := getattr(self, name)) <= most:  # false for no number, too
                raise MisuseError(f"{name} is {value}; it must lie between 0 and {most:g}")
        if self.batch % self.deviation_group or self.batch % self.path_shrink:
            raise MisuseError(
                f"a batch of {self.batch} is no multiple of deviation_group {self.deviation_group} "
                f"and path_shrink {self.path_shrink}"
            )

    @property
    def steps(self) -> int:
        """Batches in all."""
        return -(-self.images // self.batch) if self.batch else 0


@dataclass(frozen=True)
class Measurement:
    """How much is generated to measure a trained network, and how often it is looked at while it trains."""

    frames: int  # independent ones, as many from each panorama, and as many in the control of these
    snapshots: int  # checkpoints at which the distance is measured, beside the start
    snapshot_frames: int  # generated for each of these
    seed: int = 0  # of the frames, and of the first panorama
    panoramas: int = 2  # each of a seed of its own
    curve_frames: int = 200  # for each distance from an anchor
    stretch: int = 50  # frames of one panorama in which seams and repetition are sought


MEASUREMENTS = {
    "smoke": Measurement(frames=1_000, snapshots=2, snapshot_frames=1_000),
    "small": Measurement(10_000, snapshots=10, snapshot_frames=2_000, panoramas=3, curve_frames=2_000, stretch=500),
    "paper": Measurement(50_000, snapshots=25, snapshot_frames=5_000, panoramas=4, curve_frames=10_000, stretch=2_000),
}
MEASUREMENTS[IMPORTED] = MEASUREMENTS["paper"]


def preset(model: str, dataset: str, budget: str, resolution: int) -> Recipe:
    """The recipe of a budget: `smoke` for 2 CPU cores, `small` for one GPU, `paper` with the published settings.

    Raises MisuseError for names that do not exist.
    """
    if model not in MODELS:
        raise MisuseError(f"no model is called {model!r}; there are: {', '.join(MODELS)}")
    if budget not in BUDGETS:
        raise MisuseError(f"no budget is called {budget!r}; there are: {', '.join(BUDGETS)}")
    settings: dict[str, Any] = {}
    if budget == "smoke":
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


def with_settings(recipe: Recipe, settings: list[str]) -> Recipe:
    """The recipe with `name=value` pairs replaced. Raises MisuseError that names what does not fit."""
    names = [field.name for field in dataclasses.fields(recipe) if field.name not in (*IDENTITY, *IMPORTED_ONLY)]
    kinds = {
        name: type(getattr(recipe, name)) for name in names if recipe.model in WITH_ANCHORS or name not in ANCHORS_ONLY
    }
    changed: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in kinds:
            raise MisuseError(f"--set {setting}: give NAME=VALUE with one of {', '.join(sorted(kinds))}")
        changed[name] = _parsed(setting, text, kinds[name])
    return dataclasses.replace(recipe, **changed)


def _parsed(setting: str, text: str, kind: type) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise MisuseError(f"--set {setting}: the value is true or false")
        return text == "true"
    try:
        return kind(text)
    except ValueError as error:
        raise MisuseError(f"--set {setting}: {text!r} is not a {kind.__name__}") from error


def recipe_hash(recipe: Recipe) -> str:
    """sha256 of the fields that the model has and that differ from their default.

    A field added later thus changes no old hash.
    """
    without = () if recipe.model in WITH_ANCHORS else ANCHORS_ONLY
    facts = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(recipe)
        if field.name not in without and getattr(recipe, field.name) != field.default
    }
    if recipe.imported is not None:
        facts["imported"] = {"sha256": recipe.imported.sha256, "networks": recipe.imported.networks}  # not its name
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def run_name(recipe: Recipe, pictures_hash: str) -> str:
    """What the folder of its run on these pictures is called among others."""
    return f"{recipe.model}-{recipe.resolution}-{recipe_hash(recipe)[:8]}-{pictures_hash[:8]}"


def save(recipe: Recipe, run: Path) -> None:
    """Write recipe.json into a run's folder."""
    facts = dataclasses.asdict(recipe)
    if recipe.imported is not None:
        kept: tuple[str, ...] = ("model", "budget", "resolution", *NETWORK_ONLY, "imported")
        kept += ANCHORS_ONLY if recipe.model in WITH_ANCHORS else ()
        facts = {name: value for name, value in facts.items() if name in kept}
    else:
        facts = {name: value for name, value in facts.items() if name not in IMPORTED_ONLY}
    atomic.write_bytes(run / FILE, (json.dumps(facts, indent=2) + "\n").encode())


def load(run: Path) -> Recipe:
    """The recipe of a run. Raises SetupError where there is none, or one this toolkit cannot read."""
    from pydantic import ConfigDict, TypeAdapter
    from pydantic import with_config as configured

    path = run / FILE
    if not path.is_file():
        raise SetupError(f"{run} is not a run (no {FILE}); make one with: lhq train MODEL DATA -o {run}")
    checked = TypeAdapter(configured(ConfigDict(extra="forbid"))(Recipe))
    try:
        facts = json.loads(path.read_bytes())
        if isinstance(facts, dict) and facts.get("budget") == IMPORTED:
            facts = {"dataset": "", "images": 0, "batch": 0, **facts}
        return checked.validate_python(facts)
    except (ValueError, MisuseError) as error:  # pydantic's ValidationError is a ValueError
        raise SetupError(f"{path} is not a recipe that this toolkit can read: {error}") from error
