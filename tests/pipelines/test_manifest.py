"""The flat manifest is made anew when anything it says has changed, and read from its cache otherwise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flattening import flat_table
from PIL import Image

from manifests.dataset import Dataset
from pipelines import manifest as manifests
from pipelines.filter import existing
from pipelines.funnel import walk

pytestmark = pytest.mark.slow  # each runs the program several times

HERE = ("--workers", "0")


def picture(path: Path, shade: int, size: tuple[int, int] = (40, 30)) -> None:
    Image.new("RGB", size, (shade, 0, 0)).save(path)


def crawl(lhq, dataset: Path, folder: Path, *more: object):
    ran = lhq("crawl", dataset, "--source", "folder", "--path", folder, "--label", "p", *HERE, *more)
    assert ran.code == 0, ran.err


@pytest.fixture(scope="module")
def made(lhq, tmp_path_factory) -> Path:
    """Six photos: one tagged, one small, one broken; filtered by tags and resolution. Copy it before changing it."""
    place = tmp_path_factory.mktemp("manifest")
    folder = place / "pictures"
    folder.mkdir()
    for at in range(4):
        picture(folder / f"{at}.png", at)
    picture(folder / "small.png", 9, (9, 9))
    (folder / "broken.png").write_bytes(b"")
    (place / "meta.csv").write_text("file,tags\n0.png,hill;wedding\n1.png,lake\n")
    crawl(lhq, place / "d", folder, "--metadata", place / "meta.csv")
    ran = lhq("filter", place / "d", "--tags", "--resolution", "--set", "resolution.min_side=20", *HERE)
    assert ran.code == 0, ran.err
    return place


@pytest.fixture
def place(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "m"))


def write(place: Path, subset: str = "curated") -> pa.Table:
    """Write the manifest and hold that it is what the tables say now; returns what a plain reader reads."""
    dataset = Dataset.open(place / "d")
    recipe = existing(dataset, subset)
    out = place / "out.parquet"
    told = manifests.write(dataset, recipe, out)
    fresh = flat_table(walk(dataset, recipe))
    assert pq.read_table(out).equals(fresh)
    assert told == manifests.Written(fresh.num_rows, sum(fresh["keep"].to_pylist()), fresh.column_names)
    return fresh


def stamp(place: Path, subset: str = "curated") -> tuple[int, int]:
    """Which file the cache is: it changes whenever the cache is written."""
    facts = (place / "d" / "subsets" / f"{subset}.parquet").stat()
    return facts.st_ino, facts.st_mtime_ns


def test_every_photo_has_a_row_and_whoever_is_out_the_first_reason(made):
    dataset = Dataset.open(made / "d")
    rows = {row["source_id"]: row for row in flat_table(walk(dataset, existing(dataset, "curated"))).to_pylist()}
    assert {name: row["reason"] for name, row in rows.items()} == {
        "p/0.png": "tags: tag: wedding",
        "p/1.png": None,
        "p/2.png": None,
        "p/3.png": None,
        "p/small.png": "resolution: short side below 20",
        "p/broken.png": "file: the file is empty",
    }
    assert [name for name, row in rows.items() if row["keep"]] == ["p/1.png", "p/2.png", "p/3.png"]
    assert (rows["p/0.png"]["tags_keep"], rows["p/0.png"]["resolution_keep"]) == (False, None)
    assert rows["p/broken.png"]["file_status"] == "given_up"
    assert rows["p/broken.png"]["sha256"] is None
    assert {row["resolution_value"] for row in rows.values()} == {None, 9.0, 30.0}


def test_what_did_not_change_is_read_from_the_cache(place):
    first = write(place)
    before = stamp(place)
    assert write(place).equals(first)
    assert stamp(place) == before


@pytest.mark.parametrize("harm", ["cut", "garbage", "older"])
def test_a_damaged_or_foreign_cache_is_made_anew(place, harm):
    first = write(place)
    cache = place / "d" / "subsets" / "curated.parquet"
    whole = cache.read_bytes()
    if harm == "cut":
        cache.write_bytes(whole[: len(whole) // 2])
    elif harm == "garbage":
        cache.write_bytes(os.urandom(200))
    else:
        pq.write_table(pa.table({"photo_id": ["x"]}), cache)
    assert write(place).equals(first)


def test_a_new_photo_a_new_threshold_and_another_list_each_change_it(lhq, place):
    assert sum(write(place)["keep"].to_pylist()) == 3
    picture(place / "pictures" / "4.png", 4)
    crawl(lhq, place / "d", place / "pictures", "--metadata", place / "meta.csv")
    assert sum(write(place)["keep"].to_pylist()) == 4
    blacklist = place / "list.txt"
    blacklist.write_text("lake\n")
    assert lhq("filter", place / "d", "--set", f"tags.blacklist={blacklist}", *HERE).code == 0
    assert "tags: tag: lake" in write(place)["reason"].to_pylist()
    blacklist.write_text("hill\n")
    reasons = write(place)["reason"].to_pylist()
    assert "tags: tag: lake" not in reasons
    assert "tags: tag: hill" in reasons, "the list's content counts, under the same recipe"
    assert lhq("filter", place / "d", "--set", "resolution.min_side=31", *HERE).code == 0
    assert sum(write(place)["keep"].to_pylist()) == 0


def test_each_subset_has_its_own_columns_and_cache(lhq, place):
    write(place)
    before = stamp(place)
    assert lhq("filter", place / "d", "--subset", "large", "--resolution", *HERE).code == 0
    rows = write(place, "large")
    assert "tags_keep" not in rows.column_names
    assert not any(rows["keep"].to_pylist())
    assert stamp(place) == before
    assert rows.schema.field("resolution_value").type == pa.float64()
    assert rows.schema.field("queries").type == pa.list_(pa.string())


def test_the_cache_of_a_kill_in_its_middle_is_no_cache(place):
    leftover = place / "d" / "subsets" / ".tmp-1-abcd-curated.parquet"
    leftover.write_bytes(b"PAR1")
    assert np.sum(write(place)["keep"].to_pylist()) == 3


# A recipe that does not fit, told by name.


def test_a_recipe_of_another_toolkit_is_refused_by_name_and_never_cut(lhq, place):
    recipe = place / "d" / "subsets" / "curated.json"
    steps = '"steps": [\n    {"stage": "moonlight", "settings": {}, "fingerprint": null},'
    text = recipe.read_text().replace('"steps": [', steps)
    recipe.write_text(text)
    for command in (
        ("status", place / "d"),
        ("manifest", place / "d", "-o", place / "m.parquet"),
        ("filter", place / "d", "--resolution", *HERE),
        ("export", place / "d", place / "e", "--format", "folder", "--resolution", 8, *HERE),
    ):
        ran = lhq(*command)
        assert ran.code == 1, command
        assert "moonlight" in ran.err
        assert "curated" in ran.err
        assert "--drop moonlight" in ran.err
    assert recipe.read_text() == text
    assert lhq("filter", place / "d", "--drop", "moonlight", *HERE).code == 0
    assert lhq("status", place / "d").code == 0


def test_a_list_that_is_missing_is_told_before_the_recipe_names_it(lhq, place):
    recipe = place / "d" / "subsets" / "curated.json"
    before = recipe.read_text()
    ran = lhq("filter", place / "d", "--set", f"tags.blacklist={place / 'nowhere.txt'}", *HERE)
    assert ran.code == 2
    assert "nowhere.txt" in ran.err
    assert recipe.read_text() == before
    assert lhq("status", place / "d").code == 0
