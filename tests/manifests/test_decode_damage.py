"""Damage met while decoding is an InputError, whatever the bytes; what is whole comes out, and always the same."""

from __future__ import annotations

import random
import struct
import zlib
from unittest import mock

import numpy as np
import pytest
import simplejpeg
from colours import ADOBE, grey_profile, ink_profile, matrix_profile
from encoding import distance, encode, exif, png, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manifests import decode as module
from manifests.decode import decode
from manifests.errors import InputError


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_at_any_tenth_and_closed_again_is_damaged(mode: str, progressive: bool) -> None:
    data = encode(Image.fromarray(scene(200, 150)).convert(mode), "jpeg", progressive=progressive)
    start = data.index(b"\xff\xda") + 14
    for tenth in range(10):
        cut = data[: start + (len(data) - start - 60) * tenth // 10].rstrip(b"\xff") + b"\xff\xd9"
        for min_side in (None, 20):
            with pytest.raises(InputError):
                decode(cut, min_side)


def test_a_little_padding_before_the_end_of_a_jpeg_is_not_damage() -> None:
    data = encode(scene(), "jpeg")
    assert distance(decode(data[:-2] + bytes(3) + b"\xff\xd9"), decode(data)) == 0
    with pytest.raises(InputError):
        decode(data[:-2] + bytes(50) + b"\xff\xd9")


@pytest.mark.parametrize("min_side", [None, 32, 9])
def test_a_jpeg_that_simplejpeg_does_not_take_goes_through_pillow(min_side: int | None) -> None:
    data = encode(scene(), "jpeg", icc_profile=matrix_profile(ADOBE, 563 / 256))
    at = data.index(b"\xff\xdb")
    odd = data[:at] + b"\0\0\0" + data[at:]  # stray bytes between segments
    with pytest.raises(ValueError, match="extraneous"):
        simplejpeg.decode_jpeg_header(odd)
    assert distance(decode(odd, min_side), decode(data, min_side)) <= 1


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 63])
def test_a_png_whose_data_ends_early_is_damaged(interlaced: bool, rows: int) -> None:
    data = bytearray(png(96, 64, 8, 2, scene().reshape(64, -1)[:rows]))
    data[28] = interlaced
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(InputError):
        decode(bytes(data))


def test_a_png_that_ends_in_black_is_whole() -> None:
    black = scene()
    black[40:] = 0
    assert distance(decode(encode(black, "png")), black) == 0
    adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for width, height in [(96, 64), (3, 2), (1, 1), (5, 9)]:
        picture = black[:height, :width]
        lines = [b"\0" + row.tobytes() for x, y, dx, dy in adam7 for row in picture[y::dy, x::dx] if x < width]
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
        parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"".join(lines))), (b"IEND", b"")]
        body = b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in parts)
        assert distance(decode(b"\x89PNG\r\n\x1a\n" + body), picture) == 0


def test_a_flipped_byte_in_a_png_is_damage() -> None:
    data = bytearray(encode(scene(), "png"))
    data[data.index(b"IDAT") + 300] ^= 1
    with pytest.raises(InputError):
        decode(bytes(data))


SAMPLES = [
    *(encode(scene(40, 30), kind) for kind in ["jpeg", "png", "webp", "gif", "tiff", "bmp"]),
    encode(scene(40, 30), "jpeg", progressive=True, exif=exif(6), icc_profile=matrix_profile(ADOBE, 563 / 256)),
    encode(Image.fromarray(scene(40, 30)).convert("CMYK"), "jpeg", icc_profile=ink_profile()),
    encode(scene(40, 30)[..., 0], "jpeg", icc_profile=grey_profile(1.8)),
    encode(Image.fromarray(scene(40, 30)).quantize(16), "png", transparency=b"\x10\x20", exif=exif(5)),
    encode(np.dstack([scene(40, 30), scene(40, 30)[..., 0]]), "webp", lossless=True, exif=exif(3)),
    *(encode(scene(40, 30), "tiff", compression=how) for how in ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"]),
    encode(scene(40, 30).astype(np.uint16)[..., 0] * 257, "tiff"),
    encode(scene(40, 30).astype(np.uint16)[..., 0] * 257, "png", transparency=257),
]


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, min(draw(st.sampled_from([40, 250, len(data)])), len(data))))
        patch = draw(st.binary(min_size=1, max_size=6))
        data[at : at + draw(st.sampled_from([len(patch), len(patch), len(patch), 0, 20]))] = patch
    return bytes(data)


@settings(max_examples=600)
@given(mutations(), st.sampled_from([None, 8]))
def test_any_bytes_give_pixels_or_an_input_error(data: bytes, min_side: int | None) -> None:
    with mock.patch("manifests.probe.MAX_PIXELS", 1_000_000):  # forged sizes cost time, not safety
        try:
            pixels = decode(data, min_side)
        except InputError as error:
            reason = str(error)
        else:
            reason = ""
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3
            assert pixels.flags.c_contiguous
    assert len(reason) < 120
    assert reason.isascii()


def test_the_same_bytes_give_the_same_pixels_in_any_order() -> None:
    first = [decode(data) for data in SAMPLES]
    order = list(range(len(SAMPLES)))
    random.Random(0).shuffle(order)
    module._transform.cache_clear()
    assert all(np.array_equal(decode(SAMPLES[i]), first[i]) for i in order)
