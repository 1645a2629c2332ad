"""Reading JSON and headers that others wrote: each reader takes anything and gives the value meant, or None."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from manifests import plain_json

_LARGEST = 2**31 - 1  # what the tables hold
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def stored(text: str | None) -> Any:
    """What a JSON text of a dataset's tables stands for, whoever wrote it there; None where it is none."""
    try:
        return plain_json.loads(text or "null")
    except ValueError:
        return None


def mapping(value: Any) -> dict[str, Any]:
    """A JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """A JSON array; an empty one for anything else."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A text that says something, without halves of characters, which no table could hold."""
    if not isinstance(value, str):
        return None
    return value.encode("utf-8", "replace").decode().strip() or None


def whole(value: Any) -> int | None:
    """A whole number from 0 to 2^31 - 1, written as a number or as text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _LARGEST else None


def length(value: str | None) -> int | None:
    """The bytes that a Content-Length header promises."""
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,18}", value) else None


def pixels(value: Any) -> int | None:
    """A width or height: a whole number above 0."""
    return whole(value) or None


def moment(value: Any) -> datetime | None:
    """A point in time as ISO 8601 tells it; without a zone it is taken for UTC."""
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
        if read is None:
            return None
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def unix_moment(value: Any) -> datetime | None:
    """A point in time in seconds since 1970; 0 is none."""
    seconds = whole(value)
    return _EPOCH + timedelta(seconds=seconds) if seconds else None
