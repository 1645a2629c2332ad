"""Settings as people type them, checked against the model that declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from manifests.errors import MisuseError

M = TypeVar("M", bound=BaseModel)


def validated(kind: type[M], given: Mapping[str, Any], prefix: str = "") -> M:
    """The settings; MisuseError names every one that does not fit, as `prefix` and its name."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        wrong = [
            f"{prefix}{'.'.join(str(part) for part in one['loc'])}: {_say(one, kind)} (given: {one['input']!r})"
            for one in error.errors()
        ]
        raise MisuseError("; ".join(wrong)) from error


def parse(texts: Sequence[str], example: str) -> dict[str, dict[str, str]]:
    """`--set whose.name=value` texts, by whose they are."""
    settings: dict[str, dict[str, str]] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        whose, dot, name = path.partition(".")
        if not (equals and dot and whose and name):
            raise MisuseError(f"--set {text}: write it as {example}")
        settings.setdefault(whose, {})[name] = value
    return settings


def _say(error: Any, kind: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        there = ", ".join(kind.model_fields) or "none"
        return f"there is no such setting; there are: {there}"
    return str(error["msg"])
