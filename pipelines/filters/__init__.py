"""The stages, ours and those of other packages, in the order in which they stand in every recipe: cheap before dear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from manifests.errors import SetupError
from manifests.plugins import Group, Plugin
from manifests.recipes import Step, Used
from manifests.settings import validated
from pipelines.engine.stage import Stage
from pipelines.filters.duplicates import Duplicates
from pipelines.filters.invariance import Invariance
from pipelines.filters.likelihood import Likelihood
from pipelines.filters.objects import Objects
from pipelines.filters.objects_detectors import DETECTORS
from pipelines.filters.resolution import Resolution
from pipelines.filters.tags import Tags

OURS: Mapping[str, type[Stage[Any]]] = {
    stage.name: stage for stage in (Tags, Resolution, Duplicates, Objects, Likelihood, Invariance)
}
STAGES: Group[Stage[Any]] = Group("stage", "lhq.filters", "pipelines.engine.stage:Stage", tuple(OURS))


def stage_type(name: str, package: str | None = None) -> type[Stage[Any]]:
    """The class of a stage; `package` brings it, where that is known. Raises as `Group.load` does."""
    return OURS[name] if name in OURS and package is None else STAGES.load(name, package)


def make_stage(name: str, settings: Mapping[str, Any], package: str | None = None) -> Stage[Any]:
    """A stage with these settings; MisuseError names every setting that does not fit."""
    kind = stage_type(name, package)
    return kind(validated(kind.settings_type, settings, f"{name}."))


def brought_by(name: str) -> Plugin | None:
    """The plug-in that is a stage; None for ours."""
    return None if name in OURS else STAGES.plugin(name)


def used_by(stage: Stage[Any], before: Step | None) -> tuple[Used, ...]:
    """What of other packages the stage measures with, of the packages that its step named `before`.

    Raises as `Group.plugin` does.
    """
    known = {(one.kind, one.name): one for one in (before.uses if before else ())}
    found = []
    for group, name in stage.uses():
        old = known.get((group.word, name))
        plugin = group.plugin(name, old.package, old.version) if old else group.plugin(name)
        found.append(Used(group.word, name, plugin.package, plugin.version))
    return tuple(found)


def absent_from(step: Step) -> str | None:
    """Why a step cannot be measured or decided here, as far as packages go; None where nothing is seen to be wrong."""
    try:
        if step.package is not None:
            STAGES.plugin(step.stage, step.package, step.package_version)
        for one in step.uses:
            if one.kind == DETECTORS.word:
                DETECTORS.plugin(one.name, one.package, one.version)
    except SetupError as error:
        return str(error)
    return None


def in_order(names: Iterable[str]) -> list[str]:
    """The stages as every recipe has them.

    Those that only decide come first, then those that look at pictures, then those that want a graphics card for it,
    then those that learn from the set, which see what the others left. Among equals ours come first, in their order,
    then those of other packages by name.
    """
    known = list(OURS)

    def place(name: str) -> tuple[int, int, str]:
        kind = stage_type(name)
        dear = 3 if kind.fit_needs is not None else 2 if kind.resources.gpus else 1 if kind.columns else 0
        return dear, known.index(name) if name in OURS else len(known), name

    return sorted(names, key=place)
