"""`lhq heatmap` draws what tells, for the photos asked for, and refuses what it cannot draw."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lhq_toolkit.heat_sheet import MISLEADS, TELLS, heat_map

HERE = ("--workers", "0")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(painted, lhq, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("heat")
    (place / "pictures").mkdir()
    for at in range(24):
        shutil.copy(painted / f"{at:03d}.jpg", place / "pictures")
    crawl = ("crawl", place / "d", "--source", "folder", "--path", place / "pictures", "--label", "p", *HERE)
    assert lhq(*crawl).code == 0
    assert lhq("filter", place / "d", "--invariance", "--set", "invariance.folds=2", *HERE).code == 0
    return place / "d"


def test_a_sheet_of_photos_spread_over_all_scores(lhq, dataset, tmp_path):
    ran = lhq("heatmap", dataset, "-o", tmp_path / "a.png", "--photos", "5", "--json")
    assert ran.code == 0, ran.err
    assert len(set(ran.json["photos"])) == 5
    with Image.open(tmp_path / "a.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), np.int16)
    coloured = np.ptp(pixels, axis=2) > 30
    assert coloured.mean() > 0.05


def test_photos_by_id_are_drawn_in_the_order_given(lhq, dataset, tmp_path):
    ids = ["folder:p/007.jpg", "folder:p/003.jpg"]
    ran = lhq("heatmap", dataset, "-o", tmp_path / "a.png", "--id", ids[0], "--id", ids[1], "--json")
    assert ran.json["photos"] == ids
    first = (tmp_path / "a.png").read_bytes()
    assert lhq("heatmap", dataset, "-o", tmp_path / "a.png", "--id", ids[0], "--id", ids[1]).code == 0
    assert (tmp_path / "a.png").read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--id", "folder:p/nothing.jpg"), 2, "there is no photo with this id"),
        (("--subset", "other"), 2, "no subset is called"),
        (("-o", "nowhere/a.png"), 2, "there is no folder"),
        (("-o", "a.jpg"), 2, "ends in .png"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_line(lhq, dataset, tmp_path, arguments, code, says):
    ran = lhq("heatmap", dataset, "-o", "a.png", *arguments, cwd=tmp_path)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err


def test_without_the_stage_or_its_measurements_it_says_what_to_run(lhq, dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "d")
    lhq("filter", tmp_path / "d", "--subset", "plain", "--resolution", *HERE)
    ran = lhq("heatmap", tmp_path / "d", "-o", tmp_path / "a.png", "--subset", "plain")
    assert ran.code == 2
    assert "lhq filter --invariance" in ran.err
    shutil.rmtree(tmp_path / "d" / "fits")
    ran = lhq("heatmap", tmp_path / "d", "-o", tmp_path / "a.png")
    assert ran.code == 1
    assert f"run lhq filter {tmp_path / 'd'} --subset curated" in ran.err


def test_a_region_that_tells_is_red_and_one_that_misleads_is_blue():
    cells = np.zeros((8, 12), np.float32)
    cells[2:4, 1:3], cells[5:7, 9:11] = 3, -3
    drawn = np.asarray(heat_map(np.full((160, 240, 3), 128, np.uint8), cells, 2), np.int16)
    assert np.abs(drawn[60, 40] - (0.25 * 128 + 0.75 * np.array(TELLS))).max() < 8
    assert np.abs(drawn[120, 200] - (0.25 * 128 + 0.75 * np.array(MISLEADS))).max() < 8
    assert (drawn[:, 120] == 255).all()  # between the halves
    assert (drawn[10, 200] == 128).all()
