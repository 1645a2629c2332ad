"""A reduced decode keeps twice the pixels of a picture and looks like a full one; `exact` and `lhq` decode in full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from storing import stored

from manifests.decode import decode
from manifests.probe import probe
from pipelines.engine.share import Share
from pipelines.export import picture
from pipelines.export.picture import Making, Square
from pipelines.export.worker import ExportWorker, Item

LEAST = 45.0  # dB


def psnr(one, other) -> float:
    error = np.mean((np.asarray(one, float) - np.asarray(other, float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def made(path: Path, root: Path, making: Making, crops: int = 1) -> list[np.ndarray]:
    """The pictures that the worker makes of a photo, in the dataset at `root`."""
    header = probe(path.read_bytes())
    _, place = stored(root, path.read_bytes(), path.suffix[1:])
    item = Item("p", place, header.width, header.height, tuple((crop, f"{crop}.png") for crop in range(crops)))
    worker = ExportWorker(root, root, making)
    worker.setup(Share())
    return worker._pictures(item)


@given(st.integers(1, 600), st.integers(20, 9000), st.integers(20, 9000), st.integers(0, 5))
def test_a_reduced_decode_leaves_every_square_twice_its_pictures_pixels(resolution, width, height, crop):
    making = Making(resolution)
    (part,) = picture.squares("p", [crop], width, height, making)
    side = picture.decoded_side([part], width, height, making)
    scale = next((one for one in (8, 4, 2) if -(-min(width, height) // one) >= side), 1)  # as manifests.decode has it
    assert scale == 1 or part.side / scale >= 2 * resolution - 1


@pytest.mark.slow
def test_twenty_photographs_decoded_reduced_are_within_45_db_of_full_ones(tmp_path, photographs):
    found = {}
    for path in sorted((photographs / "landscapes").glob("*.jpg")):
        header = probe(path.read_bytes())
        if min(header.width, header.height) >= 4 * 256:  # smaller ones are decoded in full anyway
            (reduced,), (full,) = made(path, tmp_path, Making(256)), made(path, tmp_path, Making(256, exact=True))
            found[path.name] = psnr(reduced, full)
    assert len(found) >= 20
    assert min(found.values()) >= LEAST, sorted(found.items(), key=lambda one: one[1])[:3]
    assert min(found.values()) < 90, "nothing was decoded at a reduced scale"


def test_a_cut_of_a_reduced_photo_shows_the_same_place():
    ramps = np.mgrid[0:800, 0:1200]
    whole = np.stack([ramps[0] / 800 * 255, ramps[1] / 1200 * 255, np.full(ramps[0].shape, 90)], -1).astype(np.uint8)
    half = np.asarray(Image.fromarray(whole).reduce(2))
    for part in (Square(200, 0, 800), Square(333, 101, 401)):
        assert psnr(picture.cut(half, part, 100, 2), picture.cut(whole, part, 100)) > 45


def test_no_pixel_outside_the_square_shows():
    image = np.zeros((90, 90, 3), np.uint8)
    image[30:60, 30:60] = 200
    assert (picture.cut(image, Square(30, 30, 30), 10) == 200).all()
    assert (picture.cut(image, Square(60, 60, 60), 10, 2) == 200).all()


def test_lhq_brings_the_short_side_to_1024_first(tmp_path):
    noise = np.random.default_rng(3).integers(0, 255, (1300, 1700, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (ours,) = made(tmp_path / "a.png", tmp_path, Making(256, lhq=True))
    short = Image.fromarray(noise).resize((1339, 1024), Image.Resampling.LANCZOS)
    box = ((1339 - 1024) // 2, 0, (1339 - 1024) // 2 + 1024, 1024)
    theirs = short.crop(box).resize((256, 256), Image.Resampling.LANCZOS)
    assert np.array_equal(ours, np.asarray(theirs))


def test_exact_is_the_full_decode(tmp_path):
    noise = np.random.default_rng(4).integers(0, 255, (256, 384, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", quality=95)
    whole = decode((tmp_path / "a.jpg").read_bytes())
    theirs = Image.fromarray(whole).crop((64, 0, 320, 256)).resize((32, 32), Image.Resampling.LANCZOS)
    (exact,), (reduced,) = (
        made(tmp_path / "a.jpg", tmp_path, Making(32, exact=True)),
        made(tmp_path / "a.jpg", tmp_path, Making(32)),
    )
    assert np.array_equal(exact, np.asarray(theirs))
    assert not np.array_equal(exact, reduced)


def test_a_seed_draws_other_squares_and_leaves_the_centre():
    assert picture.square("p", 2, 900, 700, 64, 0) == picture.square("p", 2, 900, 700, 64)
    assert picture.square("p", 2, 900, 700, 64, 1) != picture.square("p", 2, 900, 700, 64)
    assert picture.square("p", 0, 900, 700, 64, 1) == picture.square("p", 0, 900, 700, 64)


def test_jpeg_pictures_carry_no_metadata_and_full_colour():
    import io

    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2] = (255, 0, 0)
    with Image.open(io.BytesIO(picture.encode(image, 95))) as made_picture:
        assert (made_picture.format, made_picture.getexif(), made_picture.info.get("icc_profile")) == ("JPEG", {}, None)
        assert np.abs(np.asarray(made_picture).astype(int) - image).max() < 40, "colours in half resolution"
