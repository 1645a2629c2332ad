"""Settings as people type them, checked against the model that declares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from manifests.errors import MisuseError

M = TypeVar("M", bound=BaseModel)


_MUST: Mapping[str, str] = {  # of pydantic's kinds of errors, to be filled from what it tells of each
    "greater_than": "it must be above {gt}",
    "greater_than_equal": "it must be at least {ge}",
    "less_than": "it must be below {lt}",
    "less_than_equal": "it must be at most {le}",
    "multiple_of": "it must be a multiple of {multiple_of}",
    "finite_number": "it must be a finite number",
    "literal_error": "it must be {expected}",
    "enum": "it must be {expected}",
    "extra_forbidden": "there is no such setting",
    "missing": "it is missing",
    "value_error": "{error}",
}
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "string": "text",
}


def validated(kind: type[M], given: Mapping[str, Any], prefix: str = "") -> M:
    """The settings; MisuseError names every one that does not fit, as `prefix` and its name."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        there = f"; there are: {', '.join(kind.model_fields) or 'none'}"
        unknown = any(one["type"] == "extra_forbidden" for one in error.errors())
        raise MisuseError(misfits(error, prefix) + (there if unknown else "")) from error


def misfits(error: ValidationError, prefix: str = "") -> str:
    """Everything that does not fit, in one line: what was said, and what it must be."""
    return "; ".join(f"{_name(one, prefix)}: {must(one)}" for one in error.errors())


def must(error: Mapping[str, Any]) -> str:
    """What a value that does not fit should be, in our words; `error` is one of pydantic's `errors()`."""
    if say := _MUST.get(error["type"]):
        facts = error.get("ctx", {})
        return say.format(**{name: f"{one:g}" if isinstance(one, float) else one for name, one in facts.items()})
    wanted = _KINDS.get(error["type"].split("_")[0])
    return f"it must be {wanted}" if wanted else str(error["msg"])


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


def shown(value: object) -> str:
    """What was given, short, and safe for a terminal."""
    text = str(value)[:80]
    return text if text.isprintable() else ascii(text)


def _name(error: Any, prefix: str) -> str:
    """Which setting it is and what was said of it; what all belong to where they do not fit each other."""
    if not error["loc"]:
        return prefix.rstrip(".") or "settings"
    name = prefix + shown(".".join(str(part) for part in error["loc"]))
    if error["type"] == "missing":
        return name
    return f"{name}={shown(error['input'])}"
