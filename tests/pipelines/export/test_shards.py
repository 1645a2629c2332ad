"""WebDataset and Parquet exports: read by those they are for, and the same bytes however they were made."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import signal
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from comparing import files_of
from exporting import SIZE, export
from matrices import mostly_long
from PIL import Image
from running import run_until_killed

from manifests.errors import SetupError
from pipelines.engine.pool import InProcess
from pipelines.export import shards
from pipelines.export.format import Member
from pipelines.export.parquet import HuggingFace
from pipelines.export.webdataset import WebDataset

FORMS = ("webdataset", "parquet")
CROPS = 3


def sharded(dataset: Path, out: Path, form: str, *more: object) -> tuple[object, ...]:
    return export(dataset, out, "--crops", CROPS, "--json", "--validation", 0.4, *more, form=form)


@pytest.fixture(scope="module")
def whole(lhq, dataset, tmp_path_factory) -> dict[str, Path]:
    """An unbroken export of each format, and one as a folder."""
    place = tmp_path_factory.mktemp("shards")
    for form in (*FORMS, "folder"):
        ran = lhq(*sharded(dataset, place / form, form))
        assert ran.code == 0, ran.err
        assert (ran.json["photos"], ran.json["pictures"], ran.json["made"]) == (9, 27, 27)
    return {form: place / form for form in (*FORMS, "folder")}


def pixels_of(folder: Path, part: str) -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / part).iterdir())]


def same(ours, theirs) -> None:
    assert len(ours) == len(theirs)
    assert all(np.array_equal(np.asarray(one), other) for one, other in zip(ours, theirs, strict=True))


def test_tars_are_sorted_and_carry_neither_times_nor_owners_nor_pickles(whole):
    paths = sorted(whole["webdataset"].glob("*.tar"))
    assert [path.name for path in paths] == ["shard-00000.tar", "validation-00000.tar"]
    for path in paths:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
        assert [one.name for one in members] == sorted(one.name for one in members)
        assert {(one.mtime, one.uid, one.gid, one.uname, one.gname, one.mode) for one in members} == {
            (0, 0, 0, "", "", 0o644)
        }
        assert {Path(one.name).suffix for one in members} == {".png", ".json"}


@pytest.mark.slow
def test_the_webdataset_library_reads_pictures_and_rights(whole):
    import webdataset

    for name, part in (("shard-00000.tar", "images"), ("validation-00000.tar", "validation")):
        examples = list(webdataset.WebDataset(str(whole["webdataset"] / name), shardshuffle=False).decode("rgb8"))
        same([one["png"] for one in examples], pixels_of(whole["folder"], part))
        assert all("A. Painter" in one["json"]["attribution"] for one in examples)


@pytest.mark.slow
def test_torchs_loader_gives_batches_of_a_webdataset(whole):
    import torch
    import webdataset

    read = webdataset.WebDataset(str(whole["webdataset"] / "shard-00000.tar"), shardshuffle=False)
    loader = torch.utils.data.DataLoader(read.decode("torchrgb8").to_tuple("png", "json"), batch_size=None)
    pictures = torch.stack([image for image, _ in loader])
    assert pictures.shape[1:] == (3, SIZE, SIZE)
    theirs = np.stack(pixels_of(whole["folder"], "images"))
    assert np.array_equal(pictures.permute(0, 2, 3, 1).numpy(), theirs)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_the_datasets_library_reads_both_splits_by_the_card(whole, form, tmp_path):
    import datasets

    loaded = datasets.load_dataset(str(whole[form]), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "validation"}
    column = "image" if form == "parquet" else "png"
    for split, part in (("train", "images"), ("validation", "validation")):
        assert isinstance(loaded[split].features[column], datasets.Image)
        same(loaded[split][column], pixels_of(whole["folder"], part))
    if form == "parquet":
        assert set(loaded["train"]["license"]) == {"CC-BY-4.0"}
        assert set(loaded["train"]["crop"]) == {0, 1, 2}


def test_no_photo_has_pictures_on_both_sides_of_the_split(whole):
    import csv

    sides: dict[str, set[str]] = {}
    for row in csv.DictReader((whole["parquet"] / "ATTRIBUTION.csv").open(newline="")):
        sides.setdefault(row["photo_id"], set()).add(row["split"])
    assert all(len(one) == 1 for one in sides.values())
    assert set.union(*sides.values()) == {"train", "validation"}


@pytest.mark.parametrize("form", FORMS)
def test_sums_are_those_of_the_files_and_the_versions_are_recorded(whole, form):
    sums = dict(reversed(line.split("  ")) for line in (whole[form] / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == set(files_of(whole[form])) - {"SHA256SUMS"}
    assert all(hashlib.sha256((whole[form] / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    assert {"pillow", "simplejpeg", "numpy"} <= set(json.loads((whole[form] / "export.json").read_text())["versions"])


def test_a_shard_is_known_again_so_that_the_deaths_of_its_workers_can_be_counted():
    member = Member({"photo_id": "a", "title": None}, ("00000/00000000.png",))
    shard = shards.Shard("shard-00000.tar", "train", (member,))
    assert Counter([shard, pickle.loads(pickle.dumps(shard))]) == {shard: 2}
    assert shard != shards.Shard("shard-00000.tar", "train", ())


@pytest.mark.slow
@pytest.mark.parametrize("form", mostly_long(FORMS, ("webdataset",)))
@pytest.mark.parametrize("workers", mostly_long((1, 2), (2,)))
def test_one_worker_and_two_make_the_same_bytes(lhq, dataset, whole, form, workers, tmp_path):
    ran = lhq(*sharded(dataset, tmp_path / "out", form, "--workers", workers))
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / "SHA256SUMS").read_bytes() == (whole[form] / "SHA256SUMS").read_bytes()
    assert files_of(tmp_path / "out") == files_of(whole[form])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("point", "made"), [("export.picture:5", 5), ("export.placed", 27), ("export.packing:2", 27), ("export.packed", 27)]
)
def test_a_killed_export_ends_as_an_unbroken_one(lhq, dataset, whole, form, tmp_path, point, made):
    broken = tmp_path / "broken"
    assert run_until_killed(sharded(dataset, broken, form), {"LHQ_FAULT": point}) == -signal.SIGKILL
    assert not (broken / "SHA256SUMS").exists()
    ran = lhq(*sharded(dataset, broken, form))
    assert ran.json["made"] == 27 - made
    assert files_of(broken) == files_of(whole[form])
    assert sorted(path.name for path in broken.iterdir()) == sorted(path.name for path in whole[form].iterdir())


# Many shards: in small, with the formats themselves.


def members(count: int) -> list[Member]:
    known = dict.fromkeys(("title", "author", "license_url", "page_url", "attribution"))
    rows = [{**known, "photo_id": f"p{at:03d}", "license": "CC0-1.0"} for at in range(count)]
    return [Member(row, (f"00000/{2 * at:08d}.png", f"00000/{2 * at + 1:08d}.png")) for at, row in enumerate(rows)]


def place(form, out: Path, photos: list[Member]) -> dict[str, bytes]:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (9, 9, 9)).save(buffer, "PNG")
    pictures = {name: buffer.getvalue() + name.encode() for one in photos for name in one.files}
    (form.workplace(out) / "00000").mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        (form.workplace(out) / name).write_bytes(content)
    return pictures


@pytest.mark.parametrize("kind", [WebDataset, HuggingFace])
def test_shards_hold_all_pictures_in_order_and_one_without_some_is_mended(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", 3 * 4 * 4 * 5)  # 5 pictures: 2 photos
    form, photos = kind(".png", 4, 2), members(7)
    pictures = place(form, tmp_path, photos)
    form.pack(tmp_path, photos, frozenset({"p003"}), InProcess())
    names = list(form.holders(photos, frozenset()))
    assert len(names) == 4
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert form.packed(tmp_path, photos) == set(pictures) - set(photos[3].files)
    untouched = (tmp_path / names[0]).read_bytes()
    place(form, tmp_path, [photos[3]])
    form.pack(tmp_path, photos, frozenset(), InProcess())
    found = {}
    for name in names:
        found |= form.read(tmp_path / name)
    assert list(found) == sorted(pictures)
    assert found == pictures
    assert (tmp_path / names[0]).read_bytes() == untouched


@pytest.mark.parametrize("kind", [WebDataset, HuggingFace])
def test_a_damaged_shard_is_named(kind, tmp_path):
    form, photos = kind(".png", 4, 2), members(2)
    place(form, tmp_path, photos)
    form.pack(tmp_path, photos, frozenset(), InProcess())
    (name,) = form.holders(photos, frozenset())
    (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(SetupError, match=f"{name} is damaged"):
        form.packed(tmp_path, photos)
