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
from PIL import Image
from running import run_until_killed

from pipelines.export import picture, rights

SIZE = 32


@pytest.fixture(scope="module")
def dataset(lhq, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("export")
    folder = place / "pictures"
    folder.mkdir()
    for at in range(9):
        ramp = np.linspace(0, 255, 90 + at, dtype=np.uint8)
        image = np.stack([np.broadcast_to(ramp, (60, 90 + at))] * 3, axis=-1)
        Image.fromarray(np.ascontiguousarray(image)).save(folder / f"{at}.png")
    with (folder / "meta.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "title", "author", "license", "page_url"])
        for at in range(9):
            writer.writerow([f"{at}.png", "=HYPERLINK(1)" if at == 0 else f"Ramp {at}", "A. Painter", "CC BY 4.0", ""])
    source = ("--source", "folder", "--path", folder, "--metadata", folder / "meta.csv")
    assert lhq("crawl", place / "d", *source, "--workers", "0").code == 0
    return place / "d"


def export(dataset: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("export", dataset, out, "--format", "folder", "--resolution", SIZE, "--workers", "0", *more)


def test_every_picture_is_a_square_png_without_metadata_and_its_sum_is_right(lhq, dataset, tmp_path):
    out = tmp_path / "out"
    ran = lhq(*export(dataset, out, "--json"))
    assert ran.code == 0, ran.err
    assert ran.json["pictures"] == 9
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
    assert "CC-BY-4.0 | 9" in (out / "README.md").read_text()


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


def test_another_export_in_the_same_folder_is_refused(lhq, dataset, tmp_path):
    out = tmp_path / "out"
    assert lhq(*export(dataset, out)).code == 0
    before = files_of(out)
    ran = lhq("export", dataset, out, "--format", "folder", "--resolution", SIZE + 1, "--workers", "0")
    assert ran.code == 1
    assert "another export" in ran.err
    assert files_of(out) == before


def test_a_killed_export_goes_on(lhq, dataset, tmp_path):
    assert lhq(*export(dataset, tmp_path / "whole")).code == 0
    broken = tmp_path / "broken"
    assert run_until_killed(export(dataset, broken), {"LHQ_FAULT": "export.placed"}) == -signal.SIGKILL
    assert not (broken / "SHA256SUMS").exists()
    assert lhq(*export(dataset, broken)).code == 0
    assert files_of(broken) == files_of(tmp_path / "whole")


def test_an_export_of_missing_files_says_so_and_makes_nothing(lhq, dataset, tmp_path):
    damaged = shutil.copytree(dataset, tmp_path / "d")
    next((damaged / "images").rglob("*.png")).unlink()
    ran = lhq(*export(damaged, tmp_path / "out"))
    assert ran.code == 1
    assert "1 of 9 files of the subset are missing" in ran.err
    assert not (tmp_path / "out").exists()


def test_the_centre_is_kept_and_resized_by_lanczos():
    image = np.zeros((40, 100, 3), np.uint8)
    image[:, 30:70] = (10, 200, 30)
    assert (picture.square(image, 20) == (10, 200, 30)).all()
    upright = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert (picture.square(upright, 20) == (10, 200, 30)).all()
    ramp = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (64, 64, 3))
    ours = picture.square(np.ascontiguousarray(ramp), 16)
    theirs = Image.fromarray(np.ascontiguousarray(ramp)).resize((16, 16), Image.Resampling.LANCZOS)
    assert (ours == np.asarray(theirs)).all()


def test_small_photos_are_enlarged_and_counted(lhq, dataset, tmp_path):
    ran = lhq("export", dataset, tmp_path / "out", "--format", "folder", "--resolution", 80, "--workers", "0", "--json")
    assert ran.json["enlarged"] == 9
    assert "9 of them were enlarged" in (tmp_path / "out" / "README.md").read_text()
    again = lhq(
        "export", dataset, tmp_path / "out", "--format", "folder", "--resolution", 80, "--workers", "0", "--json"
    )
    assert again.json["enlarged"] == 9


def test_an_export_into_the_dataset_itself_is_refused(lhq, dataset):
    ran = lhq(*export(dataset, dataset / "images" / "out"))
    assert ran.code == 2
    assert "inside the dataset" in ran.err


def test_a_card_counts_unknown_licences_aloud():
    facts = {"dataset": "d", "subset": "s", "resolution": 8, "toolkit": "0", "subset_hash": "h"}
    card = rights.card(
        facts, [{"license": "LicenseRef-unknown"}, {"license": "CC0-1.0"}], enlarged=0, left_out=0
    ).decode()
    assert "1 pictures have no known licence" in card
