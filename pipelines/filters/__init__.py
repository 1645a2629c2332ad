"""The stages, ours and those of other packages, in the order in which they stand in every recipe: cheap before dear."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from manifests.plugins import Group
from manifests.settings import validated
from pipelines.engine.stage import Stage
from pipelines.filters.duplicates import Duplicates
from pipelines.filters.invariance import Invariance
from pipelines.filters.likelihood import Likelihood
from pipelines.filters.objects import Objects
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


def package_of(name: str) -> str | None:
    """The package that brings a stage; None for ours."""
    return None if name in OURS else STAGES.plugin(name).package


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
