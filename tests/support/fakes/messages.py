"""A request as the made-up sites see it, and what they answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """`target` is path and query as received; `form` the fields of a POST."""

    method: str
    target: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class Reply:
    """`note`: what is unusual about it without being a planned fault, for the log.

    `cut_after` sends only so many bytes of the body and hangs up; `length` states another length than it has;
    `over_seconds` takes so long to send it; `hang_up` sends nothing at all.
    """

    status: int = 200
    body: bytes = b""
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    note: str = ""
    cut_after: int | None = None
    length: int | None = None
    over_seconds: float = 0.0
    hang_up: bool = False


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON reply."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, json.dumps(value).encode(), headers=named)
