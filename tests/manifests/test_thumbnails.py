"""Thumbnails fit their box, are upright, cached in the dataset, and gone when their photo is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests import thumbnails
from manifests.dataset import Dataset
from manifests.errors import InputError
from manifests.thumbnails import HEIGHT, WIDEST, path_of, reduced, thumbnail


def jpeg(size: tuple[int, int], **more: object) -> bytes:
    image = Image.new("RGB", size, (200, 30, 30))
    image.paste((30, 30, 200), (0, size[1] // 2, *size))  # red above blue
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, **more)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1600, 1200), (341, 256)),
        ((1200, 1600), (192, 256)),
        ((6000, 300), (1024, 51)),
        ((100, 80), (100, 80)),
        ((8000, 4), (1024, 1)),
    ],
)
def test_it_fits_its_box_keeps_its_shape_and_is_never_enlarged(size, wanted):
    assert opened(reduced(jpeg(size), WIDEST, HEIGHT, 80)).size == wanted


def test_it_is_upright_and_carries_no_metadata():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "a secret description"
    made = opened(reduced(jpeg((800, 600), exif=exif.tobytes()), WIDEST, HEIGHT, 80))
    assert made.size == (192, 256)
    pixels = np.asarray(made, int)
    assert pixels[:, -20:, 0].mean() > 150, "red stood above and is on the right after the turn"
    assert pixels[:, :20, 2].mean() > 150
    assert not made.getexif()
    assert "icc_profile" not in made.info


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.open_or_create(tmp_path / "d", "test")


def stored(dataset: Dataset, data: bytes) -> tuple[str, str]:
    with dataset.store.batch() as batch:
        one = batch.add(data, "jpg")
    return one.sha256, one.path


def test_it_is_made_once_and_again_where_the_cache_is_cut(dataset):
    sha256, path = stored(dataset, jpeg((800, 600)))
    first = thumbnail(dataset.root, sha256, path)
    cache = path_of(dataset.root, sha256)
    assert cache.read_bytes() == first
    cache.write_bytes(b"\xff\xd8 another one \xff\xd9")
    assert thumbnail(dataset.root, sha256, path) == b"\xff\xd8 another one \xff\xd9", "read, not made"
    cache.write_bytes(first[:100])
    assert thumbnail(dataset.root, sha256, path) == first
    assert cache.read_bytes() == first
    assert [one.name for one in cache.parent.iterdir()] == [cache.name]


def test_where_the_cache_cannot_be_written_it_is_made_all_the_same(dataset):
    (dataset.root / thumbnails.FOLDER).write_text("a file where the folder should be")
    sha256, path = stored(dataset, jpeg((800, 600)))
    with pytest.raises(NotADirectoryError):
        path_of(dataset.root, sha256).read_bytes()
    assert opened(thumbnail(dataset.root, sha256, path)).size == (341, 256)


def test_a_photo_that_is_taken_down_meanwhile_leaves_no_thumbnail(dataset, monkeypatch):
    sha256, path = stored(dataset, jpeg((800, 600)))
    write = thumbnails._write

    def take_down_first(*arguments):
        (dataset.root / path).unlink()
        thumbnails.forget(dataset.root, [sha256])
        write(*arguments)

    monkeypatch.setattr(thumbnails, "_write", take_down_first)
    thumbnail(dataset.root, sha256, path)
    assert not path_of(dataset.root, sha256).exists()


def test_forgetting_takes_what_a_killed_writer_left_too_and_nothing_else(dataset):
    (one, path), (other, other_path) = (stored(dataset, jpeg((80, side))) for side in (60, 61))
    thumbnail(dataset.root, one, path)
    thumbnail(dataset.root, other, other_path)
    left = path_of(dataset.root, one).with_name(f".tmp-1-ab-{one}.jpg")
    left.write_bytes(b"half")
    thumbnails.forget(dataset.root, [one, "0" * 64])
    assert not path_of(dataset.root, one).exists()
    assert not left.exists()
    assert path_of(dataset.root, other).exists()


def test_a_damaged_picture_is_an_input_error_and_a_lost_one_is_missing(dataset):
    sha256, path = stored(dataset, jpeg((80, 60))[:300])
    with pytest.raises(InputError):
        thumbnail(dataset.root, sha256, path)
    (dataset.root / path).unlink()
    with pytest.raises(FileNotFoundError):
        thumbnail(dataset.root, sha256, path)
