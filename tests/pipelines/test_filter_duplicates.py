"""The duplicates stage through the command line: planted copies go, thresholds decide again, both modes agree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from comparing import assert_equal_datasets
from PIL import Image

from pipelines.sources.painter import describe
from pipelines.sources.painting.copies import KINDS, copy_of

pytestmark = pytest.mark.slow  # each runs the program several times

SEED, SCENES = 84, 56
HERE, TWO_WORKERS = ("--workers", "0", "--json"), ("--workers", "2", "--json")
CRAWL = ("--source", "synthetic", "--seed", SEED, "--limit", SCENES, "--copies")
COPIES = {f"synthetic:{SEED}/{at:06d}-{kind}": kind for at in range(SCENES) if (kind := copy_of(SEED, at))}


@pytest.fixture(scope="module")
def filtered(lhq, tmp_path_factory) -> Path:
    """A dataset with planted copies, filtered; copy it before changing it."""
    dataset = tmp_path_factory.mktemp("filtered") / "d"
    assert lhq("crawl", dataset, *CRAWL, *HERE).code == 0
    ran = lhq("filter", dataset, "--duplicates", *HERE)
    assert ran.code == 0, ran.err
    return dataset


@pytest.fixture
def dataset(filtered, tmp_path) -> Path:
    return Path(shutil.copytree(filtered, tmp_path / "d"))


def manifest(lhq, dataset: Path, *options: object) -> dict[str, dict]:
    out = dataset.parent / "manifest.parquet"
    ran = lhq("manifest", dataset, "-o", out, *options)
    assert ran.code == 0, ran.err
    return {row["photo_id"]: row for row in pq.read_table(out).to_pylist()}


def test_planted_copies_go_for_their_scenes_and_the_reasons_name_them(lhq, filtered):
    rows = manifest(lhq, filtered)
    assert set(COPIES.values()) == set(KINDS)
    assert len(rows) == SCENES + len(COPIES)
    for photo_id, row in rows.items():
        if photo_id not in COPIES:
            continue
        scene, kind = photo_id.partition("-")[::2]
        assert json.loads(row["extra"])["copy_of"] == scene
        how = {"same": "same bytes", "mirror": "same picture, mirrored"}.get(kind, "same picture")
        assert row["duplicates_reason"] == f"{how}: {scene}", "each copy is smaller or later than its scene"
        assert row["reason"] == f"duplicates: {how}: {scene}"
        assert (row["keep"], row["duplicates_keep"]) == (False, False)
        assert 0 <= row["duplicates_value"] <= 6
    kept = [photo_id for photo_id, row in rows.items() if row["keep"]]
    assert kept == [f"synthetic:{SEED}/{at:06d}" for at in range(SCENES)], "no scene is another's duplicate"


def test_the_status_counts_the_reasons_without_naming_keepers(lhq, filtered):
    stage = lhq("status", filtered, "--json").json["stages"]["duplicates"]
    assert (stage["rejected"], stage["kept"]) == (len(COPIES), SCENES)
    assert set(stage["reasons"]) == {"same bytes", "same picture", "same picture, mirrored"}
    text = lhq("status", filtered).out
    assert "duplicates: radius=6, correlation=0.95, mirrored=True" in text


@pytest.mark.long  # of all stages together: test_kill_and_resume.py
def test_both_engine_modes_give_equal_tables_and_verdicts(lhq, filtered, tmp_path):
    for command in (("crawl", tmp_path / "d", *CRAWL), ("filter", tmp_path / "d", "--duplicates")):
        ran = lhq(*command, *TWO_WORKERS)
        assert ran.code == 0, ran.err
    assert_equal_datasets(tmp_path / "d", filtered)
    columns = ("keep", "reason", "duplicates_value")
    here, there = (manifest(lhq, root) for root in (filtered, tmp_path / "d"))
    assert {key: [row[name] for name in columns] for key, row in here.items()} == {
        key: [row[name] for name in columns] for key, row in there.items()
    }


def test_a_new_threshold_decides_again_and_measures_nothing(lhq, dataset):
    table = dataset / "tables" / "measurements_duplicates" / "1"
    before = pq.read_table(table).to_pylist()
    gone = []
    for settings in (
        ("radius=0", "correlation=1", "mirrored=false"),
        ("radius=6", "correlation=0.95", "mirrored=true"),
    ):
        options = [word for one in settings for word in ("--set", f"duplicates.{one}")]
        ran = lhq("filter", dataset, *options, *HERE).json
        assert ran["measured"]["duplicates"]["images"] == 0
        gone.append(ran["stages"]["duplicates"]["rejected"])
    assert gone[0] == list(COPIES.values()).count("same"), "nothing but the same bytes has the same thumbnail"
    assert gone[1] == len(COPIES)
    assert pq.read_table(table).to_pylist() == before


def test_the_keeper_is_chosen_among_those_that_every_other_stage_keeps(lhq, dataset):
    """The tags reject a scene; its copy, which has the tags too, goes with it: neither is anyone's duplicate."""
    ran = lhq("filter", dataset, "--tags", "--resolution", "--set", "resolution.min_side=256", *HERE)
    assert list(ran.json["stages"]) == ["tags", "resolution", "duplicates"]
    rows = manifest(lhq, dataset)
    for at in range(SCENES):
        photo_id = f"synthetic:{SEED}/{at:06d}"
        scene = describe(SEED, at)
        out = scene.plants["blacklisted_tag"] is not None or min(scene.width, scene.height) < 256
        assert rows[photo_id]["keep"] is not out
        copy = rows.get(f"{photo_id}-{copy_of(SEED, at)}")
        assert copy is None or not copy["keep"]
        if copy is not None and out:
            assert not copy["reason"].startswith("duplicates")


def test_late_photos_are_measured_alone_and_may_take_a_keepers_place(lhq, dataset, tmp_path):
    (tmp_path / "late").mkdir()
    path = next(dataset.glob("images/*/*.jpg"))
    with Image.open(path) as image:
        image.resize((2 * image.width, 2 * image.height), Image.Resampling.LANCZOS).save(tmp_path / "late" / "big.png")
    assert lhq("crawl", dataset, "--source", "folder", "--path", tmp_path / "late", *HERE).code == 0
    ran = lhq("filter", dataset, *HERE).json
    assert ran["measured"]["duplicates"]["images"] == 1
    (big,) = [row for photo_id, row in manifest(lhq, dataset).items() if photo_id.startswith("folder:")]
    assert big["keep"], "the largest of its group"
    assert ran["stages"]["duplicates"]["kept"] == SCENES


def test_damaged_files_are_errors_and_the_rest_is_grouped(lhq, dataset, tmp_path):
    shutil.rmtree(dataset / "tables" / "measurements_duplicates")
    paths = sorted(dataset.glob("images/*/*.jpg"))
    paths[0].unlink()
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    paths[2].write_bytes(b"")
    ran = lhq("filter", dataset, *HERE)
    assert ran.code == 0, ran.err
    assert ran.json["measured"]["duplicates"]["errors"] == 3
    stage = ran.json["stages"]["duplicates"]
    assert stage["errors"] >= 3
    assert stage["kept"] + stage["rejected"] + stage["errors"] == SCENES + len(COPIES)
    assert ran.json["curated"] == stage["kept"]
