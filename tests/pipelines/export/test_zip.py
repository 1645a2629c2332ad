"""A zip export is what the StyleGAN2 family reads; whole or absent, and the same bytes however often it was killed."""

from __future__ import annotations

import csv
import hashlib
import shutil
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
from comparing import files_of
from exporting import SIZE, export, read_as_stylegan
from PIL import Image
from running import run_until_killed

from pipelines.engine.pool import InProcess
from pipelines.export.format import Member
from pipelines.export.zip_ import Zip

CROPS = 3
BESIDE = {"ATTRIBUTION.csv", "ATTRIBUTION.md", "README.md", "SHA256SUMS", "croissant.json", "export.json"}
ZIP = Zip(".png")


def zipped(dataset: Path, out: Path, *more: object) -> tuple[object, ...]:
    return export(dataset, out, "--crops", CROPS, "--json", *more, form="zip")


@pytest.fixture(scope="module")
def whole(lhq, dataset, tmp_path_factory) -> Path:
    """An unbroken export."""
    out = tmp_path_factory.mktemp("zip") / "whole"
    ran = lhq(*zipped(dataset, out))
    assert ran.code == 0, ran.err
    assert (ran.json["photos"], ran.json["pictures"], ran.json["made"]) == (9, 27, 27)
    return out


def test_a_stylegan_reader_finds_the_pictures_of_the_folder_format_in_their_order(lhq, dataset, whole, tmp_path):
    assert lhq(*export(dataset, tmp_path / "folder", "--crops", CROPS)).code == 0
    pictures, names, labels = read_as_stylegan(whole / "dataset.zip")
    assert pictures.shape == (27, 3, SIZE, SIZE)
    assert labels is None
    assert names == [f"00000/img{at:08d}.png" for at in range(27)]
    files = sorted((tmp_path / "folder" / "images").iterdir())
    for ours, file in zip(pictures, files, strict=True):
        with Image.open(file) as image:
            assert np.array_equal(ours.transpose(1, 2, 0), np.asarray(image))


def test_what_stands_beside_the_zip_is_what_stands_beside_a_folder(whole):
    assert set(files_of(whole)) == {"dataset.zip", *BESIDE}
    assert sorted(path.name for path in whole.iterdir()) == sorted(files_of(whole)), "the workplace is gone"
    sums = dict(reversed(line.split("  ")) for line in (whole / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == set(files_of(whole)) - {"SHA256SUMS"}
    assert all(hashlib.sha256((whole / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    rows = list(csv.DictReader((whole / "ATTRIBUTION.csv").open(newline="")))
    with zipfile.ZipFile(whole / "dataset.zip") as archive:
        assert [row["file"] for row in rows] == [name for name in archive.namelist() if name != "dataset.json"]
    assert "27 pictures of 32x32 pixels (PNG, sRGB, 8 bit) from 9 photos, in `dataset.zip`" in (
        (whole / "README.md").read_text()
    )


def test_members_are_sorted_stored_and_carry_neither_time_nor_umask(whole):
    with zipfile.ZipFile(whole / "dataset.zip") as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
    assert [one.filename for one in entries] == sorted(one.filename for one in entries)
    assert {one.compress_type for one in entries} == {zipfile.ZIP_STORED}
    assert {one.date_time for one in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {one.external_attr >> 16 for one in entries} == {0o100644}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "made"),
    [("export.picture:5", 5), ("export.placed", 27), ("export.packing", 27), ("export.packing:20", 27)],
)
def test_a_killed_export_keeps_its_pictures_and_ends_as_an_unbroken_one(lhq, dataset, whole, tmp_path, point, made):
    broken = tmp_path / "broken"
    assert run_until_killed(zipped(dataset, broken), {"LHQ_FAULT": point}) == -signal.SIGKILL
    assert not (broken / "dataset.zip").exists()
    assert not (broken / "SHA256SUMS").exists()
    ran = lhq(*zipped(dataset, broken))
    assert ran.json["made"] == 27 - made
    assert files_of(broken) == files_of(whole)
    assert sorted(path.name for path in broken.iterdir()) == sorted(path.name for path in whole.iterdir())


@pytest.mark.slow
def test_one_killed_while_it_tidies_up_makes_nothing_again(lhq, dataset, whole, tmp_path):
    broken = tmp_path / "broken"
    assert run_until_killed(zipped(dataset, broken), {"LHQ_FAULT": "export.packed"}) == -signal.SIGKILL
    assert not (broken / "SHA256SUMS").exists()
    for placed in sorted((broken / "making").rglob("*.png"))[::2]:
        placed.unlink()
    assert lhq(*zipped(dataset, broken)).json["made"] == 0
    assert files_of(broken) == files_of(whole)
    assert not (broken / "making").exists()


def test_the_same_export_again_changes_nothing(lhq, dataset, whole):
    before, written = files_of(whole), (whole / "dataset.zip").stat().st_mtime_ns
    assert lhq(*zipped(dataset, whole)).json["made"] == 0
    assert files_of(whole) == before
    assert (whole / "dataset.zip").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_photo_that_can_be_decoded_again_is_packed_with_those_that_are_there(lhq, dataset, whole, tmp_path):
    copy, out = shutil.copytree(dataset, tmp_path / "d"), tmp_path / "out"
    one = sorted((copy / "images").rglob("*.png"))[4]
    good = one.read_bytes()
    one.write_bytes(good[:200])
    ran = lhq(*zipped(copy, out))
    assert ran.code == 0, ran.err
    assert (ran.json["photos"], ran.json["pictures"], len(ran.json["errors"])) == (8, 24, 1)
    assert len(read_as_stylegan(out / "dataset.zip")[1]) == 24
    assert len((out / "ATTRIBUTION.csv").read_text().splitlines()) == 1 + 24
    one.write_bytes(good)
    assert lhq(*zipped(copy, out)).json["made"] == CROPS
    assert files_of(out) == files_of(whole)


@pytest.mark.slow
def test_a_damaged_zip_is_named_and_left_alone(lhq, dataset, whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "out")
    (out / "dataset.zip").write_bytes((whole / "dataset.zip").read_bytes()[:-100])
    before = files_of(out)
    ran = lhq(*zipped(dataset, out))
    assert ran.code == 1
    assert "dataset.zip is damaged" in ran.err
    assert "Traceback" not in ran.err
    assert files_of(out) == before
    (out / "dataset.zip").unlink()
    assert lhq(*zipped(dataset, out)).json["made"] == 27
    assert files_of(out) == files_of(whole)


def test_names_go_on_in_order_from_folder_to_folder():
    names = [ZIP.file(number, "train") for number in (0, 999, 1000, 49_999, 99_999_999)]
    assert names == sorted(names)
    assert names[1:3] == ["00000/img00000999.png", "00001/img00001000.png"]
    assert names[3:] == ["00049/img00049999.png", "99999/img99999999.png"]


@pytest.mark.long
def test_a_zip_may_hold_more_than_4_gib_and_65535_pictures(tmp_path):
    content = np.random.default_rng(1).bytes(66_000)
    (tmp_path / "one.png").write_bytes(content)
    names = tuple(ZIP.file(number, "train") for number in range(66_000))
    for name in names:
        placed = ZIP.workplace(tmp_path) / name
        placed.parent.mkdir(parents=True, exist_ok=True)
        placed.symlink_to(tmp_path / "one.png")
    ZIP.pack(tmp_path, [Member({"photo_id": "p"}, names)], frozenset(), InProcess())
    assert (tmp_path / "dataset.zip").stat().st_size > 2**32
    assert {*names, "dataset.json"} == ZIP.packed(tmp_path, [Member({}, names)])
    with zipfile.ZipFile(tmp_path / "dataset.zip") as archive:
        assert archive.infolist()[-2].header_offset > 2**32
        assert archive.read(names[-1]) == archive.read(names[0]) == content
    (tmp_path / "dataset.zip").unlink()  # pytest would keep it
