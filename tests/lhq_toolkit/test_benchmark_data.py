"""Where a benchmark's data is looked for, what is said where it is not, and what becomes of it."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import lmdb
import numpy as np
import pytest
import tiny
from PIL import Image
from running import run_until_killed

from benchmarks import exports
from benchmarks.leaderboard import read
from lhq_toolkit import benchmark, benchmark_data
from lhq_toolkit.benchmark_data import KNOWN, find
from manifests.errors import MisuseError, SetupError

pytestmark = pytest.mark.usefixtures("own_cache")
SAMPLES = Path(__file__).parents[2] / "samples"
COUNT = 24


@pytest.fixture(autouse=True)
def no_home(monkeypatch):
    monkeypatch.delenv("LHQ_DATA", raising=False)


@pytest.fixture(scope="module")
def lsun(tmp_path_factory) -> Path:
    """`tower`, as it lies in LHQ_DATA: an LMDB of squares of the sample photographs, as WebP; two are too small."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "tower" / "tower_train_lmdb"
    folder.mkdir(parents=True)
    environment = lmdb.open(str(folder), map_size=1 << 26)
    random = np.random.default_rng(0)
    photographs = [Image.open(path).convert("RGB").reduce(2) for path in sorted(SAMPLES.glob("*.jpg"))]
    with environment.begin(write=True) as transaction:
        for at in range(COUNT):
            photograph = photographs[at % len(photographs)]
            left, top = (int(random.integers(0, side - 256)) for side in photograph.size)
            size = 256 if at >= 2 else 200
            out = io.BytesIO()
            photograph.crop((left, top, left + size, top + size)).save(out, "WEBP", quality=60)
            transaction.put(f"{at:040x}".encode(), out.getvalue())
    environment.close()
    return home


@pytest.mark.parametrize("name", ["tower", "bridge", "lhq", "lhq1024"])
def test_without_data_one_screen_tells_what_to_download_its_size_and_where_it_goes(name, tmp_path, monkeypatch):
    known = KNOWN[name]
    with pytest.raises(SetupError) as told:
        find(name, None)
    monkeypatch.setenv("LHQ_DATA", str(tmp_path))
    with pytest.raises(SetupError) as at_home:
        find(name, None)
    for text in (str(told.value), str(at_home.value)):
        assert len(text.splitlines()) <= 20
        assert max(len(line) for line in text.replace(str(tmp_path), "/data").splitlines()) <= 160
        assert f"{known.gigabytes:g} GB" in text
        assert f"{known.pictures:,} pictures" in text
        assert "http" in text
    assert "LHQ_DATA is not set" in str(told.value)
    assert str(tmp_path / name) in str(at_home.value)


def test_data_is_taken_from_where_it_was_said_then_from_home(lsun, tmp_path, monkeypatch):
    monkeypatch.setenv("LHQ_DATA", str(lsun))
    assert find("tower", None) == benchmark_data.Found("tower", lsun / "tower", KNOWN["tower"])
    here = tiny.write(tmp_path / "squares", tiny.images(4))
    assert find("tower", here) == benchmark_data.Found("tower", here, None)  # training pictures: taken as they are
    assert find(str(here), None) == benchmark_data.Found("squares", here, None)
    assert find("sample", None).known == KNOWN["sample"]


@pytest.mark.parametrize("name", ["../tower", "=tower", "a\nb", "@x"])
def test_a_name_is_a_plain_one(name):
    with pytest.raises(MisuseError, match="plain name"):
        find(name, None)


def test_sets_are_curated_as_the_paper_did():
    assert {name: (one.resolution, one.min_side) for name, one in KNOWN.items() if one.pictures} == {
        "tower": (256, 256),
        "bridge": (256, 256),
        "lhq": (256, 256),
        "lhq1024": (1024, 1024),
    }
    assert all(one.stages == ("resolution", "invariance") for one in KNOWN.values() if one.pictures)


def test_what_was_made_is_used_again_until_its_sources_change(lsun, tmp_path):
    found = benchmark_data.Found("tower", lsun / "tower", KNOWN["tower"])
    export = tiny.write(tmp_path / "pictures-16-x", tiny.images(4))
    key = (found, tmp_path, 16, "smoke", 1)
    assert benchmark_data.prepared(*key) is None
    benchmark_data.note(*key, export)
    assert benchmark_data.prepared(*key) == export
    assert benchmark_data.prepared(found, tmp_path, 32, "smoke", 1) is None
    other = dataclasses.replace(found, known=dataclasses.replace(KNOWN["tower"], min_side=300))
    assert benchmark_data.prepared(other, *key[1:]) is None
    for path in sorted(export.iterdir())[1:]:
        path.unlink()
    assert benchmark_data.prepared(*key) is None, "an export that is not whole"


def road(place: Path) -> list[object]:
    """The whole road of `tower`, as small as it can be."""
    command = ["benchmark", "--dataset", "tower", "-o", place / "out", "--leaderboard", place / "tower.csv", "--json"]
    command += ["--models", "alis", "--resolution", 16, "--workers", 0, "--threads", 1, *tiny.OPTIONS]
    return [*command, "--set", "images=16", "--set", "batch=8"]


@pytest.mark.slow
def test_an_lmdb_of_lsun_goes_the_whole_road_and_again_in_no_time(lsun, lhq, tmp_path):
    place, command = tmp_path / "out", road(tmp_path)
    home = {"LHQ_DATA": str(lsun)}
    assert run_until_killed(command, {**home, "LHQ_FAULT": "export.picture:3"}) == -9
    first = lhq(*command, env=home)
    assert first.code == 0, first.err
    (row,) = read(tmp_path / "tower.csv")
    assert (row.model, row.dataset, row.images_seen) == ("alis", "tower", 16)
    assert row.fd is not None
    assert row.infinity_fd is not None
    (export,) = place.glob("pictures-16-*")
    told = json.loads((export / exports.STATE).read_text())
    assert told["subset"] == "curated"
    assert len(list((export / "images").iterdir())) <= COUNT - 2, "what is smaller than 256 pixels is out"
    assert "resolution" in first.err
    seen = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file() and "locks" not in path.parts}
    again = lhq(*command, env=home)
    assert again.json == first.json
    now = {path: path.stat().st_mtime_ns for path in place.rglob("*") if path.is_file() and "locks" not in path.parts}
    assert now == seen
    assert "train" not in again.err


@pytest.mark.slow
def test_the_plan_tells_steps_hours_and_disk_and_starts_nothing(lsun, lhq, tmp_path):
    command = ["benchmark", "--dataset", "tower", "-o", tmp_path / "out", "--plan", "--budget", "paper"]
    told = lhq(*command, "--ablation", "distance", env={"LHQ_DATA": str(lsun)})
    assert told.code == 0, told.err
    assert "alis d=8: 25,000,000 images, 390,625 steps" in told.out
    assert "at the paper's speed, V100" in told.out
    assert "1,680 h" in told.out or "1.68e+03 h" in told.out
    assert not (tmp_path / "out").exists()
    hours = lhq(*command, "--until", "time", "--json", env={"LHQ_DATA": str(lsun)}).json
    trainings = [step for step in hours if step["step"] == "train"]
    assert [step["hours"] for step in trainings] == [60.0] * 4
    assert all(step["gigabytes"] > 1 for step in trainings)


@pytest.mark.slow
@pytest.mark.parametrize("as_export", [False, True])
def test_pictures_that_are_there_are_planned_for_at_their_own_size(as_export, lhq, tmp_path):
    place = tiny.write(tmp_path / "data", tiny.images(4, 32))
    if as_export:
        (place / exports.STATE).write_text(
            json.dumps({"dataset": "d", "subset": "s", "subset_hash": "h", "format": "folder", "resolution": 32})
        )
        (place / "SHA256SUMS").write_text("".join(f"{'0' * 64}  {path.name}\n" for path in place.glob("*.png")))
    told = lhq("benchmark", "--dataset", place, "-o", tmp_path / "out", "--plan")
    assert told.code == 0, told.err
    assert told.out.splitlines()[0].endswith("32x32")


def test_the_ablation_trains_each_distance_once():
    asked = benchmark.Asked(["alis", "stylegan2"], "smoke", 3, ["images=64"], distances=True)
    recipes = asked.recipes("sample", 64)
    assert [(one.model, one.anchor_distance) for one in recipes if one.model == "alis"] == [
        ("alis", 2),
        ("alis", 1),
        ("alis", 4),
        ("alis", 8),
    ]
    assert len(recipes) == 5
    assert {one.seed for one in recipes} == {3}


@pytest.mark.slow
@pytest.mark.long
def test_killed_anywhere_the_road_goes_on_to_the_same_row(lsun, lhq, tmp_path):
    points = ("crawl.placed", "part.write.inside:2", "fit.before_store", "measure.returned", "export.placed")
    points += ("pictures.inside:2", "checkpoint.before_rename", "train.step:2", "train.judged")
    home = {"LHQ_DATA": str(lsun)}
    for point in points:
        assert run_until_killed(road(tmp_path), {**home, "LHQ_FAULT": point}) == -9, point
    assert lhq(*road(tmp_path), env=home).code == 0
    whole = tmp_path / "whole"
    assert lhq(*road(whole), env={**home, "LHQ_CACHE": str(tmp_path / "cache")}).code == 0
    (ours,), (theirs,) = (read(place / "tower.csv") for place in (tmp_path, whole))
    for name in ("subset_hash", "recipe_hash", "images_seen", "fd", "infinity_fd", "n_real"):
        assert getattr(ours, name) == getattr(theirs, name), name
