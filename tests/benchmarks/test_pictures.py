"""Training pictures: an export, a plain folder and a zip read alike; what does not fit is named."""

import json
import zipfile

import pytest
import tiny
import torch
from PIL import Image

from benchmarks import exports, pictures
from manifests.errors import SetupError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def folder(tmp_path):
    return tiny.write(tmp_path / "pictures", tiny.images(12))


def zipped(folder, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"00000/{file.name}")
        archive.writestr("dataset.json", json.dumps({"labels": None}))
    return path


def test_folder_and_zip_give_the_same_pictures_and_the_same_hash(folder, tmp_path):
    plain, packed = pictures.read(folder), pictures.read(zipped(folder, tmp_path / "pictures.zip"))
    assert torch.equal(plain.images, tiny.images(12))
    assert torch.equal(plain.images, packed.images)
    assert (plain.dataset, plain.subset_hash) == ("pictures", packed.subset_hash)


def test_another_picture_gives_another_hash(folder):
    before = pictures.read(folder).subset_hash
    Image.new("RGB", (16, 16)).save(folder / "0003.png")
    assert pictures.read(folder).subset_hash != before


@pytest.mark.parametrize("format_", ["folder", "zip"])
@pytest.mark.slow
def test_an_export_brings_its_names_and_its_hash(painted, lhq, tmp_path, format_):
    (tmp_path / "some").mkdir()
    for path in sorted(painted.glob("*.jpg"))[:5]:
        (tmp_path / "some" / path.name).write_bytes(path.read_bytes())
    assert lhq("crawl", tmp_path / "d", "--source", "folder", "--path", tmp_path / "some", "--workers", 0).code == 0
    assert lhq("filter", tmp_path / "d", "--tags", "--workers", 0).code == 0
    out = tmp_path / "out"
    exported = lhq(
        *("export", tmp_path / "d", out, "--format", format_, "--resolution", 32, "--crops", 3),
        *("--workers", 0, "--json"),
    ).json
    read = pictures.read(out)
    assert read.images.shape == (15, 3, 32, 32)
    assert (read.dataset, read.subset, read.subset_hash) == ("d", "curated", exported["subset_hash"])
    if format_ == "zip":
        assert torch.equal(pictures.read(out / "dataset.zip").images, read.images)
        assert pictures.read(out / "dataset.zip").facts() == read.facts()
    victim = out / "dataset.zip" if format_ == "zip" else sorted((out / "images").iterdir())[4]
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(SetupError, match=victim.name):
        pictures.read(out)
    victim.unlink()
    with pytest.raises(SetupError, match=r"not whole|does not exist"):
        pictures.read(out)
    victim.write_bytes(whole)
    (out / "SHA256SUMS").unlink()
    with pytest.raises(SetupError, match="not whole"):
        pictures.read(out)


def test_what_is_no_training_picture_is_named(folder, tmp_path):
    with pytest.raises(SetupError, match="does not exist"):
        pictures.read(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SetupError, match="holds 0 pictures"):
        pictures.read(tmp_path / "empty")
    with pytest.raises(SetupError, match="holds 1 picture;"):
        pictures.read(tiny.write(tmp_path / "one", tiny.images(1)))
    (tmp_path / "not.zip").write_bytes(b"PK but no zip")
    with pytest.raises(SetupError, match="not a zip"):
        pictures.read(tmp_path / "not.zip")
    (folder / "0005.png").write_bytes((folder / "0005.png").read_bytes()[:-20])
    with pytest.raises(SetupError, match=r"0005\.png"):
        pictures.read(folder)


@pytest.mark.parametrize("size", [(16, 8), (20, 20), (8, 8), (32, 32)])
def test_pictures_of_odd_sizes_are_refused(folder, size):
    Image.new("RGB", size).save(folder / "odd.png")
    with pytest.raises(SetupError, match=r"odd\.png is"):
        pictures.read(folder)


def test_a_member_that_would_unpack_to_too_much_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(exports.LARGEST_FILE + 1))
    with pytest.raises(SetupError, match=r"a\.png would be"):
        pictures.read(tmp_path / "bomb.zip")


def test_a_damaged_member_is_named(folder, tmp_path):
    path = zipped(folder, tmp_path / "damaged.zip")
    content = bytearray(path.read_bytes())
    at = content.index(b"IDAT") + 8
    content[at : at + 20] = bytes(20)
    path.write_bytes(bytes(content))
    with pytest.raises(SetupError, match=r"00\d\d\.png"):
        pictures.read(path)
