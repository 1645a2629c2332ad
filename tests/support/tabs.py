"""Pages of ours in a real browser: how one is come into, and pictures of what a test saw."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SHOTS = os.environ.get("LHQ_TEST_SCREENSHOTS")  # a folder: keeps pictures of what the tests saw


def came_in(context: Any, address: str, ready: str) -> Any:
    """A page that came in by an address, once `ready` is there; what goes wrong in it is collected in `troubles`."""
    page = context.new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda said: page.troubles.append(said.text) if said.type == "error" else None)
    page.goto(address)
    page.wait_for_selector(ready)
    return page


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")
