"""What tests of the web share: a made-up one, of whatever world the module has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fakes import FakeWeb, World


@pytest.fixture
def web(world: World) -> Iterator[FakeWeb]:
    """It serves the photos of the module's `world`, and keeps a log of who asked for what."""
    from fakes import FakeWeb

    with FakeWeb(world) as web:
        yield web
