"""Long matrices: a few cases of each run always, the rest in `make test-long`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest


def mostly_long(cases: Sequence[Any], always: Collection[Any]) -> list[Any]:
    """Values of one parameter of a test: those in `always` as they are, the others marked long."""
    assert set(always) <= set(cases)
    return [case if case in always else pytest.param(case, marks=pytest.mark.long) for case in cases]
