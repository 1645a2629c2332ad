"""Training pictures are the squares that the docstring says, resized by Lanczos."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.export import picture
from pipelines.export.picture import Square

sizes = st.integers(1, 6000)


def centre(image, resolution):
    height, width = image.shape[:2]
    return picture.cut(image, picture.square("a", 0, width, height, resolution), resolution)


def test_crop_number_0_keeps_the_centre_and_is_resized_by_lanczos():
    image = np.zeros((40, 100, 3), np.uint8)
    image[:, 30:70] = (10, 200, 30)
    assert (centre(image, 20) == (10, 200, 30)).all()
    upright = np.ascontiguousarray(image.transpose(1, 0, 2))
    assert (centre(upright, 20) == (10, 200, 30)).all()
    ramp = np.ascontiguousarray(np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None], (64, 64, 3)))
    theirs = Image.fromarray(ramp).resize((16, 16), Image.Resampling.LANCZOS)
    assert (centre(ramp, 16) == np.asarray(theirs)).all()


@given(st.text(), st.integers(1, 1000), sizes, sizes, st.integers(1, 2000))
def test_a_drawn_square_lies_in_the_photo_and_is_no_smaller_than_it_may_be(photo_id, crop, width, height, resolution):
    part = picture.square(photo_id, crop, width, height, resolution)
    short = min(width, height)
    assert min(part.left, part.top) >= 0
    assert part.left + part.side <= width
    assert part.top + part.side <= height
    assert 2 * part.side >= short
    assert part.side <= short
    assert part.side >= min(short, resolution), "enlarged although the photo is large enough"


def test_a_drawn_square_is_the_one_that_the_hash_names():
    digest = hashlib.sha256(b"unsplash:NqkTxxK_2ZY/3").hexdigest()
    side = 600 + int(digest[:16], 16) % 601
    expected = Square(int(digest[16:32], 16) % (1800 - side + 1), int(digest[32:48], 16) % (1200 - side + 1), side)
    assert picture.square("unsplash:NqkTxxK_2ZY", 3, 1800, 1200, 256) == expected


def test_drawn_squares_reach_every_side_and_place():
    parts = [picture.square(f"p{at}", 1, 30, 20, 5) for at in range(4000)]
    assert {part.side for part in parts} == set(range(10, 21))
    assert {part.left for part in parts} == set(range(21))
    assert {part.top for part in parts} == set(range(11))
    assert len({picture.square("p", crop, 3000, 2000, 256) for crop in range(100)}) == 100
