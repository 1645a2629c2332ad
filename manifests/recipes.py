"""A subset is a recipe: which stages in which order, with what thresholds, measured with what fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from manifests import atomic, faults
from manifests.errors import MisuseError, SetupError
from manifests.settings import misfits

FORMAT = 1
DEFAULT = "curated"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _UsedFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    kind: str
    name: str
    package: str
    version: str


class _StepFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    stage: str
    settings: dict[str, Any]
    fingerprint: str | None
    package: str | None = None
    package_version: str | None = None
    uses: list[_UsedFile] = []


class _RecipeFormat(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    format: int


class _RecipeFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    format: int
    name: str
    steps: list[_StepFile]
    reviews: str | None


@dataclass(frozen=True)
class Used:
    """A thing of another package that a stage measures with: its kind (`detector`), its name, the package."""

    kind: str
    name: str
    package: str
    version: str


@dataclass(frozen=True)
class Step:
    """One stage of a recipe. `fingerprint` names its measurements; None before any, or for a metadata stage.

    `package` and `package_version`: what brings the stage, where it is not ours. `uses`: what else is not ours.
    """

    stage: str
    settings: Mapping[str, Any]
    fingerprint: str | None = None
    package: str | None = None
    package_version: str | None = None
    uses: tuple[Used, ...] = ()

    def facts(self) -> dict[str, Any]:
        """What the recipe's file says of it: of packages nothing where all is ours."""
        facts = {"stage": self.stage, "settings": dict(self.settings), "fingerprint": self.fingerprint}
        whose = {"package": self.package, "package_version": self.package_version}
        facts |= {name: value for name, value in whose.items() if value is not None}
        return {**facts, "uses": [asdict(one) for one in self.uses]} if self.uses else facts


@dataclass(frozen=True)
class Recipe:
    """An ordered list of steps under a name. `reviews` is the hash of the human verdicts that count, if any."""

    name: str
    steps: tuple[Step, ...] = field(default=())
    reviews: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise MisuseError(f"subset name {self.name!r}: use letters, digits, '.', '_' and '-', at most 64")

    def step(self, stage: str) -> Step | None:
        """The step of a stage, or None where the recipe does not name it."""
        return next((step for step in self.steps if step.stage == stage), None)

    def with_step(self, step: Step) -> Recipe:
        """The recipe with this step in place of the one of the same stage."""
        return replace(self, steps=tuple(step if old.stage == step.stage else old for old in self.steps))

    def to_json(self) -> bytes:
        """The file's bytes: the same recipe gives the same bytes."""
        steps = [step.facts() for step in self.steps]
        facts = {"format": FORMAT, "name": self.name, "steps": steps, "reviews": self.reviews}
        return (json.dumps(facts, indent=2, sort_keys=False) + "\n").encode()

    def sha256(self) -> str:
        """Hash of the recipe's bytes."""
        return hashlib.sha256(self.to_json()).hexdigest()


def recipe_path(root: Path, name: str) -> Path:
    """Where the recipe of a subset lies in the dataset at `root`."""
    return root / "subsets" / f"{name}.json"


def load(root: Path, name: str) -> Recipe | None:
    """The recipe of a subset, or None where there is none yet."""
    path = recipe_path(root, Recipe(name).name)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        made_with = _RecipeFormat.model_validate_json(text).format
        if made_with > FORMAT:  # before the rest is read, which may look otherwise there
            raise SetupError(f"{path} has recipe format {made_with}, this toolkit reads {FORMAT}: upgrade the toolkit")
        facts = _RecipeFile.model_validate_json(text)
    except ValidationError as error:
        raise SetupError(f"{path} is not a readable recipe ({misfits(error)}); restore or remove it") from error
    return Recipe(name, tuple(map(_step, facts.steps)), facts.reviews)


def _step(said: _StepFile) -> Step:
    uses = tuple(Used(**one.model_dump()) for one in said.uses)
    return Step(said.stage, said.settings, said.fingerprint, said.package, said.package_version, uses)


def names(root: Path) -> list[str]:
    """The subsets of the dataset at `root`, sorted."""
    return sorted(path.stem for path in (root / "subsets").glob("*.json") if not path.name.startswith("."))


def save(root: Path, recipe: Recipe) -> None:
    """Write a recipe atomically, under the recipes' lock. One that said something else stays in `subsets/old/`."""
    path = recipe_path(root, recipe.name)
    data = recipe.to_json()
    atomic.make_folder(path.parent)
    for leftover in path.parent.glob(f"{atomic.TEMPORARY}*.json"):  # of recipes: caches are written without a lock
        leftover.unlink(missing_ok=True)
    before = load(root, recipe.name)
    if before == recipe:
        return
    if before is not None and not _completes(before, recipe):
        old = path.parent / "old" / f"{recipe.name}-{before.sha256()[:12]}.json"
        atomic.make_folder(old.parent)
        if not old.exists():
            atomic.write_bytes(old, path.read_bytes())
    with atomic.replacing(path) as temporary:
        temporary.write_bytes(data)
        faults.point("recipe.before_replace")


def _completes(before: Recipe, after: Recipe) -> bool:
    """True where `after` only fills in fingerprints that `before` did not know yet."""
    known = {step.stage: step.fingerprint for step in after.steps}
    steps = tuple(
        replace(step, fingerprint=known.get(step.stage)) if step.fingerprint is None else step for step in before.steps
    )
    return replace(before, steps=steps) == after
