"""What the page on extending shows is the code of the examples, which their tests run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from lhq_toolkit.doctor import PLUGINS

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "examples" / "plugins"
PAGE = (ROOT / "docs" / "extending.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_block_of_code_stands_in_an_example():
    modules = [path.read_text() for path in PLACE.rglob("*.py")]
    shown = blocks("python")
    assert len(shown) >= len(PLUGINS)
    for block in shown:
        assert any(block in module for module in modules), block


def test_what_it_declares_is_what_the_package_declares():
    (shown,) = blocks("toml")
    declared = (PLACE / "pyproject.toml").read_text()
    assert shown in declared
    points = tomllib.loads(declared)["project"]["entry-points"]
    assert points.keys() == PLUGINS.keys()
    for group, names in points.items():
        row = next(line for line in PAGE.splitlines() if f"| `{group}` |" in line)
        for name in names:
            assert f"`{name}`" in row


def test_files_that_it_names_are_there():
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).is_file(), link
