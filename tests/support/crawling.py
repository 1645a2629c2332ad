"""Crawls of folders of pictures, and what stands in the tables after them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

HERE = ("--workers", "0")


def crawl_folder(dataset: Path, folder: Path, *more: object) -> tuple[object, ...]:
    return ("crawl", dataset, "--source", "folder", "--path", folder, *HERE, "--json", *more)


def rows_of(dataset: Path, table: str) -> list[dict]:
    """What a plain reader of all parts sees, in order of number."""
    parts = sorted((dataset / "tables" / table / "1").glob("part-*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def parts_of(dataset: Path) -> list[Path]:
    return sorted((dataset / "tables").rglob("*.parquet"))


def scene(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A sky over a ground with some noise, uint8 [height, width, 3]."""
    down = np.linspace(0, 1, height)[:, None, None]
    image = 255 * ((1 - down) * (0.4, 0.6, 0.9) + down * (0.3, 0.5, 0.2)) * np.ones((1, width, 1))
    noise = np.random.default_rng(seed).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def write_all(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
