"""Recipes: every number that a training depends on, as one value with a hash, and their files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

from manifests import atomic, plain_json
from manifests.errors import MisuseError, SetupError
from manifests.plugins import Group

if TYPE_CHECKING:
    from benchmarks.plugin_model import Model

MODELS = ("stylegan2", "alis", "alis-nocoords", "locogan", "taming")
WITH_ANCHORS = ("alis", "alis-nocoords")
PLUGINS: Group[Model[Any]] = Group("model", "lhq.models", "benchmarks.plugin_model:Model", MODELS)
BUDGETS = ("smoke", "small", "paper")
IMPORTED = "imported"  # stands in place of a budget
FILE = "recipe.json"  # in a run's folder
IDENTITY = ("model", "dataset", "budget", "resolution", "seed")  # have options of their own
ANCHORS_ONLY = ("patches", "input_resolution", "anchor_distance", "normalisation", "float16_styles_from")
NETWORK_ONLY = ("z_dim", "w_dim", "channel_base", "channel_max", "mapping_layers", "deviation_group", "clamp")
IMPORTED_ONLY = ("clamp", "float16_styles_from", "imported")
STYLES_ONLY = (  # what taming does not have
    *(*NETWORK_ONLY, "learning_rate", "beta1", "beta2", "r1_weight", "r1_every", "path_weight", "path_every"),
    *("path_decay", "path_shrink", "mixing", "centre_decay", "augment_target", "augment_kimg"),
)
TAMING_NETWORK = (
    *("codes", "code_width", "vqgan_latent", "vqgan_channels", "vqgan_multiples", "vqgan_blocks", "vqgan_groups"),
    *("gpt_layers", "gpt_heads", "gpt_width", "gpt_places"),
)
TAMING_ONLY = (
    *(*TAMING_NETWORK, "vqgan_share", "vqgan_rate", "commitment", "perceptual_weight", "adversarial_weight"),
    *("perceptual_network", "adversarial_start", "patch_channels", "gpt_rate", "weight_decay", "revive_every"),
)
OURS_ONLY = ANCHORS_ONLY + STYLES_ONLY + TAMING_ONLY  # what no plug-in has, unless as a setting of its own
WHOLE = {"deviation_group": 1, "r1_weight": 0.0, "path_weight": 0.0, "path_shrink": 1}  # a batch is cut anyhow
TAMING_RATE = 4.5e-6  # for each picture of a batch

_ALLOWED = {
    "budget": (*BUDGETS, IMPORTED),
    "normalisation": ("demodulate", "patch"),
    "precision": ("float32", "bfloat16", "float16", "float64"),
}
_AT_LEAST_ONE = (
    *("images", "batch", "z_dim", "w_dim", "channel_base", "channel_max", "mapping_layers", "patches"),
    *("input_resolution", "anchor_distance", "deviation_group", "r1_every", "path_every", "path_shrink"),
    *("codes", "code_width", "vqgan_channels", "vqgan_blocks", "vqgan_groups", "patch_channels"),
    *("gpt_layers", "gpt_heads", "gpt_width", "gpt_places"),
)
_BETWEEN = {
    **dict.fromkeys(("beta1", "beta2", "path_decay", "mixing", "average_ramp", "centre_decay", "augment_target"), 1.0),
    **dict.fromkeys(("learning_rate", "r1_weight", "path_weight", "average_kimg", "augment_kimg", "hours"), 1e9),
    **dict.fromkeys(("vqgan_share", "adversarial_start"), 1.0),
    **dict.fromkeys(("vqgan_rate", "gpt_rate", "commitment", "perceptual_weight", "adversarial_weight"), 1e9),
    **dict.fromkeys(("weight_decay", "revive_every"), 1e9),
    "seed": 2**64 - 1,
}


@dataclass(frozen=True)
class Imported:
    """Where networks come from that were trained elsewhere."""

    file: str  # its name
    sha256: str
    networks: tuple[str, ...]  # what the file calls them


Setting = bool | int | float | str


@dataclass(frozen=True)
class Plugged:
    """What a model of another package adds to a recipe."""

    package: str
    version: int  # of the model
    settings: tuple[tuple[str, Setting], ...]  # its own, by name

    def facts(self) -> dict[str, Any]:
        """For files and hashes."""
        return {"package": self.package, "version": self.version, "settings": dict(self.settings)}


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
    augment_target: float = 0.0  # mean sign of real logits that augmentation keeps (0.6 in its paper); 0: none
    augment_kimg: float = 500.0  # thousands of pictures in which its strength can rise from 0 to 1
    precision: Literal["float32", "bfloat16", "float16", "float64"] = "float32"  # of the convolutions
    # Of imported networks; what the first two do, `models.stylegan2.Sizes` and `models.alis.Sizes` tell.
    clamp: float = 0.0
    float16_styles_from: int = 0  # pixels
    imported: Imported | None = None
    hours: float = 0.0  # of training, after which it ends before all images were shown; 0: never
    # Taming Transformers: a VQGAN learns first, then the transformer from its codes.
    codes: int = 1024
    code_width: int = 256
    vqgan_latent: int = 0  # channels on both sides of the codes; 0: as code_width
    vqgan_channels: int = 128
    vqgan_multiples: str = "1,1,2,2,4"  # of the channels, for each level from the pixels to the codes
    vqgan_blocks: int = 2
    vqgan_groups: int = 32  # of the normalisation
    vqgan_share: float = 0.5  # of the batches
    vqgan_rate: float = 64 * TAMING_RATE
    commitment: float = 0.25
    revive_every: int = 0  # batches after which codes that were not used since become encodings again; 0: never
    perceptual_weight: float = 1.0
    perceptual_network: str = ""  # SHA-256 of its weights, see `presets.with_perceptual`; empty: there is no such loss
    adversarial_weight: float = 0.8
    adversarial_start: float = 0.5  # share of the VQGAN's batches after which the patch discriminator plays
    patch_channels: int = 64
    gpt_layers: int = 24
    gpt_heads: int = 16
    gpt_width: int = 1024
    gpt_places: int = 512
    gpt_rate: float = 64 * TAMING_RATE
    weight_decay: float = 0.01  # of the transformer's matrices
    plugged: Plugged | None = None  # where the model is another package's

    def __post_init__(self) -> None:
        if (self.budget == IMPORTED) != (self.imported is not None):
            raise MisuseError(f"budget {self.budget}: {IMPORTED} stands for networks that were trained elsewhere")
        if (self.model in MODELS) != (self.plugged is None):
            raise MisuseError(f"model is {self.model!r}; it is one of: {', '.join(MODELS)}, or a package's own")
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
        if not all(one.isdecimal() and int(one) for one in self.vqgan_multiples.split(",")):
            raise MisuseError(f"vqgan_multiples is {self.vqgan_multiples!r}; it is numbers such as 1,1,2,2,4")
        if self.batch % self.deviation_group or self.batch % self.path_shrink:
            raise MisuseError(
                f"a batch of {self.batch} is no multiple of deviation_group {self.deviation_group} "
                f"and path_shrink {self.path_shrink}"
            )

    @property
    def foreign(self) -> tuple[str, ...]:
        """Fields that mean nothing to the model."""
        if self.plugged is not None:
            return OURS_ONLY
        if self.model == "taming":
            return ANCHORS_ONLY + STYLES_ONLY
        return TAMING_ONLY if self.model in WITH_ANCHORS else TAMING_ONLY + ANCHORS_ONLY

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
    streaming: bool = False  # wide pictures of taming column by column, instead of by the sliding window


MEASUREMENTS = {
    "smoke": Measurement(frames=1_000, snapshots=2, snapshot_frames=1_000),
    "small": Measurement(10_000, snapshots=10, snapshot_frames=2_000, panoramas=3, curve_frames=2_000, stretch=500),
    "paper": Measurement(50_000, snapshots=25, snapshot_frames=5_000, panoramas=4, curve_frames=10_000, stretch=2_000),
}
MEASUREMENTS[IMPORTED] = MEASUREMENTS["paper"]


def recipe_hash(recipe: Recipe) -> str:
    """sha256 of the fields that the model has and that differ from their default.

    A field added later thus changes no old hash.
    """
    facts = {
        field.name: getattr(recipe, field.name)
        for field in dataclasses.fields(recipe)
        if field.name not in recipe.foreign and getattr(recipe, field.name) != field.default
    }
    if recipe.imported is not None:
        facts["imported"] = {"sha256": recipe.imported.sha256, "networks": recipe.imported.networks}  # not its name
    if recipe.plugged is not None:
        facts["plugged"] = recipe.plugged.facts()
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def run_name(recipe: Recipe, pictures_hash: str) -> str:
    """What the folder of its run on these pictures is called among others."""
    return f"{recipe.model}-{recipe.resolution}-{recipe_hash(recipe)[:8]}-{pictures_hash[:8]}"


def save(recipe: Recipe, run: Path) -> None:
    """Write recipe.json into a run's folder."""
    facts = dataclasses.asdict(recipe) | {"plugged": recipe.plugged and recipe.plugged.facts()}
    if recipe.plugged is None:
        facts.pop("plugged")
    if recipe.imported is not None:
        sizes = TAMING_NETWORK if recipe.model == "taming" else NETWORK_ONLY
        kept: tuple[str, ...] = ("model", "budget", "resolution", *sizes, "imported")
        kept += ANCHORS_ONLY if recipe.model in WITH_ANCHORS else ()
        facts = {name: value for name, value in facts.items() if name in kept}
    else:
        left_out = IMPORTED_ONLY + OURS_ONLY if recipe.plugged is not None else IMPORTED_ONLY
        facts = {name: value for name, value in facts.items() if name not in left_out}
    atomic.write_bytes(run / FILE, (json.dumps(facts, indent=2) + "\n").encode())


def load(run: Path) -> Recipe:
    """The recipe of a run. Raises SetupError where there is none, or one this toolkit cannot read."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError
    from pydantic import with_config as configured

    from manifests.settings import misfits

    path = run / FILE
    if not path.is_file():
        raise MisuseError(f"{run} is not a run (no {FILE}); make one with: lhq train MODEL DATA -o {quote(str(run))}")
    checked = TypeAdapter(configured(ConfigDict(extra="forbid"))(Recipe))
    try:
        facts = plain_json.loads(path.read_bytes())
        if isinstance(facts, dict) and facts.get("budget") == IMPORTED:
            facts = {"dataset": "", "images": 0, "batch": 0, **facts}
        if isinstance(facts, dict) and isinstance(plugged := facts.get("plugged"), dict):
            facts = WHOLE | facts | {"plugged": {**plugged, "settings": tuple(dict(plugged["settings"]).items())}}
        return checked.validate_python(facts)
    except (ValueError, KeyError, TypeError, MisuseError) as error:  # pydantic's ValidationError is a ValueError
        why = misfits(error) if isinstance(error, ValidationError) else error
        raise SetupError(f"{path} is not a recipe that this toolkit can read: {why}") from error
