"""Packages that are installed, as far as Python can tell: metadata with entry points, and modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def package(site: Path, name: str, points: Mapping[str, Mapping[str, str]], modules: Mapping[str, str]) -> None:
    """Put version 1.2 of a package into a folder on the path: entry points by group, and modules by name."""
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    groups = (
        f"[{group}]\n" + "".join(f"{key} = {to}\n" for key, to in those.items()) for group, those in points.items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    for module, code in modules.items():
        (site / f"{module}.py").write_text(code)
