"""A dataset under review, and people's browsers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reviewing import DESKTOP, PHOTOS, browsing, dataset_of

from manifests import recipes
from manifests.recipes import Recipe, Step


@pytest.fixture
def root(tmp_path: Path) -> Path:
    photos = [
        {"title": f"photo {at}", "author": f"author {at % 3}", "size": (300 + 10 * (at % 7), 200 + at)}
        for at in range(PHOTOS)
    ]
    made = dataset_of(tmp_path / "d", photos).root
    recipes.save(made, Recipe("curated", (Step("resolution", {"min_side": 206}),)))
    return made


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def browser(chromium) -> Iterator[Any]:
    """One person's browser at a desk, with cookies of its own."""
    context = chromium.new_context(viewport=DESKTOP)
    yield context
    context.close()
