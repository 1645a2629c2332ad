"""A small dataset to export, and its originals."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PHOTOS = 9


@pytest.fixture(scope="session")
def originals(tmp_path_factory) -> Path:
    """Nine pictures of noise over ramps, of unlike sizes, upright and lying, with meta.csv."""
    folder = tmp_path_factory.mktemp("originals")
    random = np.random.default_rng(7)
    for at in range(PHOTOS):
        height, width = (60, 90 + at) if at % 2 else (90 + at, 60)
        ramps = np.mgrid[0:height, 0:width]
        image = np.stack([ramps[0] * 2, ramps[1] * 2, random.integers(0, 255, (height, width))], axis=-1)
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{at}.png")
    with (folder / "meta.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "title", "author", "license", "page_url"])
        for at in range(PHOTOS):
            writer.writerow([f"{at}.png", "=HYPERLINK(1)" if at == 0 else f"Ramp {at}", "A. Painter", "CC BY 4.0", ""])
    return folder


@pytest.fixture(scope="session")
def dataset(lhq, originals, tmp_path_factory) -> Path:
    """A dataset of the originals; tests that change it take a copy."""
    place = tmp_path_factory.mktemp("export") / "d"
    source = ("--source", "folder", "--path", originals, "--metadata", originals / "meta.csv")
    assert lhq("crawl", place, *source, "--workers", "0").code == 0
    return place
