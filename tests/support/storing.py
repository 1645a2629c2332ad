"""Pictures in an image store, as stages and exports are given them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from manifests.store import ImageStore


def stored(root: Path, data: bytes, extension: str = "png") -> tuple[str, str]:
    """The sha256 and the path of bytes that now lie in the store of the dataset at `root`."""
    with ImageStore(root).batch() as placing:
        placed = placing.add(data, extension)
    return placed.sha256, placed.path


def stored_greys(root: Path, sizes: list[tuple[int, int]]) -> list[tuple[str, str]]:
    """Stored PNG files of these sizes, the first of level 0, the second of level 1 and so on."""
    found = []
    for level, size in enumerate(sizes):
        out = io.BytesIO()
        Image.new("RGB", size, (level, level, level)).save(out, "png")
        found.append(stored(root, out.getvalue()))
    return found
