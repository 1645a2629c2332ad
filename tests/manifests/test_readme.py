"""The README of the package names its modules, and nothing that is not there."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "manifests"


def test_every_module_has_its_place_in_the_table():
    table = [line.partition(" | ")[0] for line in (PACKAGE / "README.md").read_text().splitlines() if line[:3] == "| `"]
    named = [name for cell in table for name in re.findall(r"`([a-z_]+\.[a-z]+)`", cell)]
    there = {path.name for path in PACKAGE.iterdir() if path.suffix in (".py", ".txt")} - {"__init__.py"}
    assert sorted(named) == sorted(there)
