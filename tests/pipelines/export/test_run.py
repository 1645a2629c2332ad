"""An export is what it says: square pictures, their rights, their sums; resumable, and never over other files."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from comparing import files_of
from exporting import SIZE, export
from matrices import mostly_long
from PIL import Image
from running import run_until_killed

from lhq_toolkit.commands.export import Format
from manifests.dataset import Dataset
from pipelines.export import FORMATS, picture


def test_every_picture_is_a_square_png_without_metadata_and_its_sum_is_right(lhq, dataset, tmp_path):
    out = tmp_path / "out"
    ran = lhq(*export(dataset, out, "--json"))
    assert ran.code == 0, ran.err
    assert (ran.json["photos"], ran.json["pictures"], ran.json["made"]) == (9, 9, 9)
    pictures = sorted((out / "images").iterdir())
    assert [path.name for path in pictures] == [f"{at:07d}.png" for at in range(9)]
    for path in pictures:
        with Image.open(path) as image:
            assert (image.size, image.mode, image.format, image.info) == ((SIZE, SIZE), "RGB", "PNG", {})
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == set(files_of(out)) - {"SHA256SUMS"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())


def test_the_rights_travel_with_the_pictures_and_no_cell_runs_as_a_formula(lhq, dataset, tmp_path):
    out = tmp_path / "out"
    assert lhq(*export(dataset, out)).code == 0
    rows = list(csv.DictReader((out / "ATTRIBUTION.csv").open(newline="")))
    assert len(rows) == 9
    assert {row["license"] for row in rows} == {"CC-BY-4.0"}
    assert all("A. Painter" in row["attribution"] and row["changes"] for row in rows)
    assert rows[0]["title"] == "'=HYPERLINK(1)"
    assert "CC-BY-4.0 | 9 | 9" in (out / "README.md").read_text()


@pytest.mark.slow
def test_the_same_export_again_is_done_at_once_and_equal_to_one_elsewhere(lhq, dataset, tmp_path):
    assert lhq(*export(dataset, tmp_path / "a")).code == 0
    before = files_of(tmp_path / "a")
    again = lhq(*export(dataset, tmp_path / "a", "--json"))
    assert again.json["made"] == 0
    assert files_of(tmp_path / "a") == before
    assert lhq(*export(dataset, tmp_path / "b")).code == 0
    assert files_of(tmp_path / "b") == before
    noted = [json.loads(line) for line in (dataset / "exports.jsonl").read_text().splitlines()]
    assert sum(line["out"] == str((tmp_path / "a").resolve()) for line in noted) == 1


@pytest.mark.slow
def test_another_export_in_the_same_folder_is_refused(lhq, dataset, tmp_path):
    out = tmp_path / "out"
    assert lhq(*export(dataset, out)).code == 0
    before = files_of(out)
    for other in (("--resolution", SIZE + 1), ("--crops", 2), ("--format", "zip")):
        ran = lhq(*export(dataset, out, *other))
        assert ran.code == 2
        assert "another export" in ran.err
        assert files_of(out) == before


@pytest.mark.slow
@pytest.mark.parametrize(("point", "placed"), [("export.placed", 27), ("export.picture:5", 5)])
def test_a_killed_export_goes_on_where_it_was_also_within_a_photo(lhq, dataset, tmp_path, point, placed):
    assert lhq(*export(dataset, tmp_path / "whole", "--crops", 3)).code == 0
    broken = export(dataset, tmp_path / "broken", "--crops", 3, "--json")
    assert run_until_killed(broken, {"LHQ_FAULT": point}) == -signal.SIGKILL
    assert not (tmp_path / "broken" / "SHA256SUMS").exists()
    assert len(list((tmp_path / "broken" / "images").glob("[0-9]*.png"))) == placed
    assert lhq(*broken).json["made"] == 27 - placed
    assert files_of(tmp_path / "broken") == files_of(tmp_path / "whole")


def test_every_crop_is_the_square_that_its_photo_and_number_name(lhq, dataset, originals, tmp_path):
    ran = lhq(*export(dataset, tmp_path / "out", "--crops", 3, "--json"))
    assert ran.code == 0, ran.err
    assert (ran.json["photos"], ran.json["pictures"]) == (9, 27)
    rows = list(csv.DictReader((tmp_path / "out" / "ATTRIBUTION.csv").open(newline="")))
    assert [row["file"] for row in rows] == [f"images/{at:07d}.png" for at in range(27)]
    for at, row in enumerate(rows):
        with Image.open(originals / row["photo_id"].rpartition("/")[2]) as photo:
            part = picture.square(row["photo_id"], at % 3, *photo.size, SIZE)
            box = (part.left, part.top, part.left + part.side, part.top + part.side)
            expected = photo.crop(box).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            with Image.open(tmp_path / "out" / row["file"]) as made:
                assert np.array_equal(np.asarray(made), np.asarray(expected)), row["file"]
        assert ("centre" in row["changes"]) == (at % 3 == 0)
    facts = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (facts["format"], facts["resolution"], facts["crops"]) == ("folder", SIZE, 3)


@pytest.mark.slow
@pytest.mark.parametrize("form", mostly_long(("folder", "zip"), ("folder",)))
def test_workers_make_the_same_crops_as_one_process(lhq, dataset, form, tmp_path):
    alone = export(dataset, tmp_path / "alone", "--crops", 3, form=form)
    assert lhq(*alone).code == 0
    together = lhq(*export(dataset, tmp_path / "together", "--crops", 3, "--workers", 2, form=form))
    assert together.code == 0, together.err
    assert files_of(tmp_path / "together") == files_of(tmp_path / "alone")


@pytest.mark.slow
def test_a_photo_damaged_between_two_runs_leaves_no_picture_without_rights(lhq, dataset, tmp_path):
    copy, out = shutil.copytree(dataset, tmp_path / "d"), tmp_path / "out"
    assert run_until_killed(export(copy, out, "--crops", 3), {"LHQ_FAULT": "export.picture:2"}) == -signal.SIGKILL
    first = next(path for path in (copy / "images").rglob("*.png") if is_first(copy, path))
    first.write_bytes(first.read_bytes()[:200])
    ran = lhq(*export(copy, out, "--crops", 3, "--json"))
    assert ran.code == 0, ran.err
    assert (ran.json["photos"], ran.json["pictures"], len(ran.json["errors"])) == (8, 24, 1)
    assert len(list((out / "images").iterdir())) == 24
    assert "because they cannot be decoded: 1 photo of the subset" in (out / "README.md").read_text()


def is_first(dataset: Path, path: Path) -> bool:
    """Is this the file of the photo whose pictures are made first?"""
    files = Dataset.open(dataset).photos_with_files().sort_by("photo_id")
    return files["path"][0].as_py() == path.relative_to(dataset).as_posix()


@pytest.mark.slow
def test_pictures_damaged_after_the_export_keep_their_sums(lhq, dataset, tmp_path):
    out = tmp_path / "out"
    assert lhq(*export(dataset, out)).code == 0
    before = (out / "SHA256SUMS").read_bytes()
    (out / "images" / "0000003.png").write_bytes(b"damaged")
    assert lhq(*export(dataset, out)).code == 0
    assert (out / "SHA256SUMS").read_bytes() == before


def test_an_export_of_missing_files_says_so_and_makes_nothing(lhq, dataset, tmp_path):
    damaged = shutil.copytree(dataset, tmp_path / "d")
    next((damaged / "images").rglob("*.png")).unlink()
    ran = lhq(*export(damaged, tmp_path / "out"))
    assert ran.code == 1
    assert "1 of 9 files of the subset are missing" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_small_photos_are_enlarged_and_counted(lhq, dataset, tmp_path):
    large = export(dataset, tmp_path / "out", "--json", size=80)
    assert lhq(*large).json["enlarged"] == 9
    assert "Enlarged, because smaller than the pictures: 9 photos" in (tmp_path / "out/README.md").read_text()
    assert lhq(*large).json["enlarged"] == 9


def test_an_export_into_the_dataset_itself_is_refused(lhq, dataset):
    ran = lhq(*export(dataset, dataset / "images" / "out"))
    assert ran.code == 2
    assert "inside the dataset" in ran.err


def test_the_command_offers_every_format():
    assert {one.value for one in Format} == set(FORMATS)
