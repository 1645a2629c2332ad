"""JSON of files that anybody may have changed: whatever is none is a ValueError, also what nests without end."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """The value that a text stands for. Raises ValueError, and nothing else."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it nests too deep") from error


def mapping(text: str | bytes) -> dict[str, Any]:
    """The object that a text stands for. Raises ValueError, also for a value of another kind."""
    value = loads(text)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value
