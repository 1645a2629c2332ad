"""Planted things: known boxes and masks, scenes otherwise as they were, ids that tell them apart."""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
import pytest
from listing import Unread
from PIL import Image

from models.detectors.example import CLASSES
from pipelines.filters import objects_thresholds
from pipelines.sources.base import Wanted
from pipelines.sources.painter import describe, paint, paint_planted, plans
from pipelines.sources.painting.canvas import RIM
from pipelines.sources.painting.planting import FAR_BIRDS_SHARE, HOLDING_SHARE
from pipelines.sources.synthetic import Synthetic

SEED = 23


def first(wanted, count: int) -> list[int]:
    """The first scenes whose plans are as wanted."""
    found: list[int] = []
    index = 0
    while len(found) < count:
        if wanted(plans(describe(SEED, index))):
            found.append(index)
        index += 1
    return found


def test_without_the_option_nothing_changes_and_an_empty_plan_paints_the_same_scene():
    for index in first(lambda planned: not planned, 2):
        pixels, planted = paint_planted(SEED, index)
        assert planted == []
        assert np.array_equal(pixels, paint(SEED, index))
    ids = [one.photo.photo_id for page in Synthetic(3, SEED).pages(Unread()) for one in page.found]
    assert ids == [f"synthetic:{SEED}/{index:06d}" for index in range(3)]
    assert all(
        "objects" not in json.loads(one.photo.extra)
        for page in Synthetic(3, SEED).pages(Unread())
        for one in page.found
    )


def test_the_same_scene_is_planted_the_same_way_each_time():
    (index,) = first(lambda planned: len(planned) > 1, 1)
    one, other = paint_planted(SEED, index), paint_planted(SEED, index)
    assert np.array_equal(one[0], other[0])
    assert [(thing.kind, thing.box, thing.area) for thing in one[1]] == [
        (thing.kind, thing.box, thing.area) for thing in other[1]
    ]


def test_things_are_where_the_truth_says_and_nothing_else_changes():
    """In scenes with birds only the land is painted alike: what differs lies around the masks."""
    for index in first(lambda planned: planned and all(plan.kind == "bird" for plan in planned), 3):
        pixels, planted = paint_planted(SEED, index)
        changed = np.abs(pixels.astype(int) - paint(SEED, index)).max(axis=2) > 12
        around = np.zeros(changed.shape, bool)
        for thing in planted:
            assert thing.area == pytest.approx(thing.mask.mean())
            rows, columns = np.flatnonzero(thing.mask.any(1)), np.flatnonzero(thing.mask.any(0))
            box = np.array(thing.box) * [*changed.shape[::-1], *changed.shape[::-1]]
            np.testing.assert_allclose(box, [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
            around[max(rows[0] - RIM, 0) : rows[-1] + RIM, max(columns[0] - RIM, 0) : columns[-1] + RIM] = True
            assert changed[thing.mask].mean() > 0.3, "it can be seen"
        assert not changed[~around].any()


@pytest.mark.slow
def test_what_is_planted_clearly_counts_or_clearly_does_not():
    """No thing lies near its threshold, so that a scene holds one or holds none."""
    thresholds = objects_thresholds.read(objects_thresholds.DEFAULTS)
    seen = set()
    for index in first(bool, 60):
        _, planted = paint_planted(SEED, index)
        for thing in planted:
            seen.add(thing.kind)
            least = thresholds[thing.kind].area
            assert thing.area > 1.2 * least or thing.area < 0.7 * least, (index, thing.kind, thing.area)
    assert seen == set(CLASSES)


def test_shares_are_as_stated_and_the_source_tells_what_it_planted():
    found = [one.photo for page in Synthetic(2000, SEED, objects=True).pages(Unread()) for one in page.found]
    assert found[7].photo_id == f"synthetic:{SEED}/000007-objects"
    told = [json.loads(photo.extra)["objects"] for photo in found]
    assert told[:50] == [[plan.kind for plan in plans(describe(SEED, index))] for index in range(50)]
    share = np.mean([bool(kinds) for kinds in told])
    assert share == pytest.approx(HOLDING_SHARE + FAR_BIRDS_SHARE, abs=0.045)  # four standard deviations
    assert {kind for kinds in told for kind in kinds} == set(CLASSES)


def test_the_fetcher_paints_by_the_id_alone():
    (index,) = first(bool, 1)
    fetcher = Synthetic(1).fetcher()
    planted = fetcher.fetch(Wanted(f"synthetic:{SEED}/{index:06d}-objects")).data
    plain = fetcher.fetch(Wanted(f"synthetic:{SEED}/{index:06d}")).data
    assert hashlib.sha256(planted).digest() != hashlib.sha256(plain).digest()
    near = np.asarray(Image.open(io.BytesIO(planted)), int) - paint_planted(SEED, index)[0]
    assert np.abs(near).mean() < 5


@pytest.mark.slow
def test_the_command_line_plants_on_request_only(lhq, tmp_path):
    said = ("--source", "synthetic", "--limit", 2, "--seed", SEED, "--metadata-only", "--workers", 0)
    assert lhq("crawl", tmp_path / "d", *said, "--objects").code == 0
    refused = lhq("crawl", tmp_path / "e", "--source", "folder", "--path", tmp_path, "--objects")
    assert refused.code == 2
    assert "--objects is for --source synthetic" in refused.err
