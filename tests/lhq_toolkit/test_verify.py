"""`lhq verify` finds what is wrong and says where; `--repair` mends what is safe and loses nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from running import run_until_killed

from manifests import schema
from manifests.dataset import Dataset
from manifests.tables import Table
from pipelines.repair import repair

pytestmark = pytest.mark.slow  # each runs the program several times

PHOTOS = 6


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("p")
    for at in range(PHOTOS):
        noise = np.random.default_rng(at).integers(0, 255, (40, 60, 3)).astype(np.uint8)
        Image.fromarray(noise).save(folder / f"{at}.png")
    return folder


def crawl(dataset: Path, pictures: Path) -> tuple[object, ...]:
    return ("crawl", dataset, "--source", "folder", "--path", pictures, "--workers", "0", "--json")


@pytest.fixture(scope="module")
def sound(lhq, pictures, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("set") / "d"
    assert lhq(*crawl(place, pictures)).code == 0
    settings = ("--set", "resolution.min_side=50")
    assert lhq("filter", place, "--tags", "--resolution", *settings, "--workers", "0").code == 0
    assert lhq("manifest", place, "-o", place.parent / "all.parquet").code == 0
    return place


@pytest.fixture
def dataset(sound, tmp_path) -> Path:
    return shutil.copytree(sound, tmp_path / "d")


def images(dataset: Path) -> list[Path]:
    return sorted((dataset / "images").rglob("*.png"))


def found(lhq, dataset: Path, *more: str) -> tuple[int, dict[tuple[str, str], str]]:
    """The exit code, and what was said by kind and place."""
    ran = lhq("verify", dataset, "--json", *more)
    assert ran.err == "" or ran.code < 2, ran.err
    return ran.code, {(one["kind"], one["where"]): one["what"] for one in ran.json["findings"]}


def test_a_sound_dataset_is_said_to_be_and_is_not_changed(lhq, dataset):
    before = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file() and "locks" not in path.parts}
    ran = lhq("verify", dataset)
    assert (ran.code, ran.err) == (0, "")
    assert f"{PHOTOS} files" in ran.out
    after = {path: path.read_bytes() for path in dataset.rglob("*") if path.is_file() and "locks" not in path.parts}
    assert after == before


def test_missing_and_damaged_files_are_named_repaired_and_fetched_again(lhq, dataset, pictures):
    gone, longer, changed = images(dataset)[:3]
    gone.unlink()
    longer.write_bytes(longer.read_bytes() + b"x")
    content = bytearray(changed.read_bytes())
    content[-20] ^= 1
    changed.write_bytes(content)
    code, said = found(lhq, dataset)
    names = [path.relative_to(dataset).as_posix() for path in (gone, longer, changed)]
    assert code == 1
    assert set(said) == {("missing file", names[0]), ("damaged file", names[1]), ("damaged file", names[2])}
    ran = lhq("verify", dataset, "--repair", "--json")
    assert (ran.code, ran.json["findings"], len(ran.json["repaired"])) == (0, [], 3)
    assert (dataset / "damaged" / changed.name).read_bytes() == bytes(content)
    assert lhq("status", dataset, "--json").json["files"] == {"ok": 3, "failed": 3}
    assert lhq(*crawl(dataset, pictures)).json["fetched"] == 3
    assert found(lhq, dataset) == (0, {})
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in images(dataset)] == [
        path.stem for path in images(dataset)
    ]


def test_leftovers_strays_and_damaged_caches_are_removed(lhq, dataset):
    stray = hashlib.sha256(b"stray").hexdigest()
    (dataset / "images" / stray[:2]).mkdir(exist_ok=True)
    (dataset / "images" / stray[:2] / f"{stray}.png").write_bytes(b"stray")
    (dataset / "images" / ".tmp-1-a.png").write_bytes(b"half")
    (dataset / "tables" / "files" / "7").mkdir()
    (dataset / "subsets" / "curated.parquet").write_bytes(b"damaged")
    code, said = found(lhq, dataset)
    assert code == 1
    assert set(said) == {
        ("file without a row", f"images/{stray[:2]}/{stray}.png"),
        ("leftover", "images/.tmp-1-a.png"),
        ("leftover", "tables/files/7"),
        ("damaged cache", "subsets/curated.parquet"),
    }
    ran = lhq("verify", dataset, "--repair", "--json")
    assert (ran.code, ran.json["findings"], len(ran.json["repaired"])) == (0, [], 4)
    assert len(images(dataset)) == PHOTOS
    assert found(lhq, dataset) == (0, {})


def test_what_a_killed_crawl_left_is_a_leftover_and_goes(lhq, pictures, tmp_path):
    place = tmp_path / "d"
    assert run_until_killed(crawl(place, pictures), {"LHQ_FAULT": "crawl.placed"}) == -signal.SIGKILL
    code, said = found(lhq, place)
    assert code == 1
    assert {kind for kind, _ in said} == {"file without a row"}
    assert lhq("verify", place, "--repair").code == 0
    assert lhq(*crawl(place, pictures)).json["fetched"] == PHOTOS
    assert found(lhq, place) == (0, {})


def test_a_damaged_table_is_told_and_nothing_is_taken_for_a_stray(lhq, dataset):
    part = next((dataset / "tables" / "files" / "1").glob("part-*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 3] ^= 255
    part.write_bytes(content)
    code, said = found(lhq, dataset, "--repair")
    assert code == 1
    assert {kind for kind, _ in said} == {"damaged table"}
    assert len(images(dataset)) == PHOTOS


def test_rows_that_point_nowhere_are_told(lhq, dataset):
    opened = Dataset.open(dataset)
    row = opened.sightings_table.read().slice(0, 1).to_pylist()[0]
    lost = pa.Table.from_pylist([{**row, "photo_id": "folder:p/lost.png"}], schema=schema.SIGHTINGS)
    opened.sightings_table.append(lost)
    code, said = found(lhq, dataset)
    assert code == 1
    assert "folder:p/lost.png" in said["row that points nowhere", "sightings"]


def test_recipes_fits_databases_and_records_are_looked_at(lhq, dataset):
    (dataset / "subsets" / "other.json").write_text("{")
    (dataset / "fits" / "invariance" / "0abc").mkdir(parents=True)
    (dataset / "fits" / "invariance" / "0abc" / "fit.json").write_text("{")
    (dataset / "exports.jsonl").write_text('{"out": "/x"}\n{"out"\n')
    with sqlite3.connect(dataset / "reviews.sqlite") as database:
        database.execute("CREATE TABLE decisions (photo_id TEXT)")
        database.execute("INSERT INTO decisions VALUES ('folder:p/lost.png'), (NULL), (7), (x'ff')")
    database.close()
    code, said = found(lhq, dataset)
    assert code == 1
    assert set(said) == {
        ("damaged recipe", "subsets/other.json"),
        ("missing or damaged fit", "fits/invariance/0abc/fit.json"),
        ("damaged record", "exports.jsonl"),
        ("row that points nowhere", "reviews.sqlite"),
    }
    assert "7, None, b'\\xff', folder:p/lost.png" in said["row that points nowhere", "reviews.sqlite"]
    (dataset / "reviews.sqlite").write_bytes(b"SQLite format 3\0 and then nothing" * 50)
    assert ("damaged database", "reviews.sqlite") in found(lhq, dataset, "--repair")[1]


def test_a_repair_that_died_between_file_and_row_is_gone_on_with(lhq, dataset, pictures, monkeypatch):
    changed = images(dataset)[0]
    whole = changed.read_bytes()
    changed.write_bytes(whole[:-1] + b"x")  # of the right size

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Table, "append", die)
        with pytest.raises(KeyboardInterrupt):
            repair(Dataset.open(dataset))
    assert lhq("verify", dataset, "--repair").code == 0
    failed = [row["error"] for row in Dataset.open(dataset).files().to_pylist() if row["status"] == schema.FAILED]
    assert failed == ["lhq verify: its damaged file"]
    assert (dataset / "damaged" / changed.name).read_bytes() == whole[:-1] + b"x"
    assert lhq(*crawl(dataset, pictures)).code == 0
    assert changed.read_bytes() == whole


def test_while_somebody_writes_leftovers_are_not_looked_for(lhq, dataset):
    (dataset / "images" / ".tmp-1-a.png").write_bytes(b"half")
    with Dataset.open(dataset).lock("crawl"):
        ran = lhq("verify", dataset, "--json")
        assert (ran.code, ran.json["findings"]) == (0, [])
        assert "leftovers were not looked for" in ran.json["notes"][0]
        assert lhq("verify", dataset, "--repair").code == 0
    assert lhq("verify", dataset).code == 1


def test_json_says_whether_all_is_well(lhq, dataset):
    assert json.loads(lhq("verify", dataset, "--json").out)["ok"] is True
