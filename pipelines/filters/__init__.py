"""The stages, in the order they stand in every recipe: cheap before dear."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from manifests.errors import MisuseError
from pipelines.engine.stage import Stage
from pipelines.filters.duplicates import Duplicates
from pipelines.filters.invariance import Invariance
from pipelines.filters.likelihood import Likelihood
from pipelines.filters.objects import Objects
from pipelines.filters.resolution import Resolution
from pipelines.filters.tags import Tags

STAGES: Mapping[str, type[Stage[Any]]] = {
    stage.name: stage for stage in (Tags, Resolution, Duplicates, Objects, Likelihood, Invariance)
}


def make_stage(name: str, settings: Mapping[str, Any]) -> Stage[Any]:
    """A stage with these settings; MisuseError names every setting that does not fit."""
    if name not in STAGES:
        raise MisuseError(f"no stage is called {name!r}; there are: {', '.join(STAGES)}")
    kind = STAGES[name]
    try:
        return kind(kind.settings_type.model_validate(settings))
    except ValidationError as error:
        wrong = [
            f"{name}.{'.'.join(str(part) for part in one['loc'])}: {_say(one, kind)} (given: {one['input']!r})"
            for one in error.errors()
        ]
        raise MisuseError("; ".join(wrong)) from error


def _say(error: Any, kind: type[Stage[Any]]) -> str:
    if error["type"] == "extra_forbidden":
        return f"there is no such setting; there are: {', '.join(kind.settings_type.model_fields)}"
    return str(error["msg"])
