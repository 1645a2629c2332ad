"""manifests.probe: what is let in, what is given up on arrival, and that no bytes can do worse than that."""

import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from encoding import PNG, encode, exif, png_chunk
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manifests import probe as module
from manifests.errors import InputError
from manifests.probe import EXTENSIONS, MAX_BYTES, MAX_PIXELS, Format, Header, probe

REASONS = {module.EMPTY, module.UNKNOWN, module.TOO_MANY_PIXELS, module.NO_SIZE, module.ANIMATION, module.SEVERAL}
REASONS |= {module.CUT, module.BROKEN, ""}
FORMATS = ["jpeg", "png", "webp", "gif", "tiff", "bmp"]


def noise(width: int = 40, height: int = 30) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8))


def png_header(width: int, height: int) -> bytes:
    return PNG + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def refusal(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        probe(data)
    return str(caught.value)


SAMPLES = {
    **{kind: encode(noise(), kind) for kind in FORMATS},
    "progressive": encode(noise(), "jpeg", progressive=True),
    "jpeg exif": encode(noise(), "jpeg", exif=exif(6)),
    "png exif": encode(noise(), "png", exif=exif(6)),
    "lossless webp": encode(noise(), "webp", lossless=True, exif=exif(6)),
    "lzw tiff": encode(noise(), "tiff", compression="tiff_lzw"),
    "big tiff": encode(noise(), "tiff", big_tiff=True),
    "palette bmp": encode(noise().quantize(16), "bmp"),
}


# What is let in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_recognised_with_its_size(kind: Format) -> None:
    assert probe(SAMPLES[kind]) == Header(kind, 40, 30, 1)
    assert set(EXTENSIONS) == set(FORMATS)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_the_one_after_orientation(kind: Format, orientation: int) -> None:
    size = (30, 40) if orientation > 4 else (40, 30)
    assert probe(encode(noise(), kind, exif=exif(orientation))) == Header(kind, *size, orientation)


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_exif_does_not_know_is_none(value: int) -> None:
    assert probe(encode(noise(), "jpeg", exif=exif(value))).orientation == 1


def test_a_png_tells_its_orientation_after_the_pixels_too() -> None:
    plain, body = encode(noise(), "png"), exif(6).tobytes().removeprefix(b"Exif\0\0")
    assert probe(plain[:-12] + png_chunk(b"eXIf", body) + plain[-12:]).orientation == 6


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"optimize": True}])
def test_jpegs_of_every_make_are_complete(options: dict[str, Any]) -> None:
    data = encode(noise(200, 100), "jpeg", **options)
    assert probe(data) == probe(data + b"trailing bytes \xff\xd8\xff\xe0") == Header("jpeg", 200, 100, 1)


def test_fill_bytes_and_a_line_count_segment_are_taken() -> None:
    data = encode(noise(), "jpeg")
    assert probe(data[:-2] + b"\xff\xff\xff\xd9").width == 40
    assert probe(data[:-2] + b"\xff\xdc\x00\x04\x00\x1e\xff\xd9").width == 40


@pytest.mark.parametrize("kind", ["png", "gif", "webp", "bmp", "tiff"])
def test_bytes_after_a_complete_picture_are_taken(kind: Format) -> None:
    assert probe(SAMPLES[kind] + b"more").format == kind


def test_one_frame_of_an_animated_kind_is_a_still_picture() -> None:
    still = encode(noise(), "png")
    single = still[:33] + png_chunk(b"acTL", struct.pack(">II", 1, 0)) + still[33:]
    assert probe(single).format == "png"
    assert probe(encode(noise(), "webp", save_all=True)).format == "webp"


def test_a_tiff_may_carry_its_own_thumbnail() -> None:
    for new_subfile_type in [1, 4]:  # a smaller copy, a mask
        small = noise(8, 6)
        small.encoderinfo = {"tiffinfo": {254: new_subfile_type}}
        assert probe(encode(noise(), "tiff", save_all=True, append_images=[small])) == Header("tiff", 40, 30, 1)


# What is given up --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"just a few words, named .jpg",
        b"BMW is a car",
        bytes(99),
        encode(noise(), "ppm"),
        b"RIFF\x10\0\0\0WAVEfmt ",
        b"\xff\xd8",
    ],
)
def test_other_things_are_not_pictures(data: bytes) -> None:
    assert refusal(data) == module.UNKNOWN


def _media(brand: bytes, *compatible: bytes) -> bytes:
    return struct.pack(">I4s4sI", 16 + 4 * len(compatible), b"ftyp", brand, 0) + b"".join(compatible) + bytes(40)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (_media(b"heic", b"mif1"), "a HEIC file: convert it to JPEG or PNG"),
        (_media(b"mif1", b"heic"), "a HEIC file: convert it to JPEG or PNG"),
        (_media(b"mif1", b"miaf", b"avif"), "an AVIF file: convert it to JPEG or PNG"),
        (encode(noise(), "avif"), "an AVIF file: convert it to JPEG or PNG"),
        (encode(noise(), "jpeg2000"), "a JPEG 2000 file: convert it to JPEG or PNG"),
        (encode(noise(), "pdf"), "a PDF file: convert it to JPEG or PNG"),
        (_media(b"crx "), "a camera's raw file: convert it to JPEG or PNG"),
        (_media(b"isom", b"mp42"), "a video"),
        (b"\0\0\0\0ftyp", "a video"),
        (b"8BPS\0\1", "a Photoshop file: convert it to JPEG or PNG"),
        (b"\xff\x0a\0\0", "a JPEG XL file: convert it to JPEG or PNG"),
        (b"PK\x03\x04\x14\0", "a zip archive: unpack it"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"\xef\xbb\xbf\n <HTML>", "a web page"),
        (b"<?xml version='1.0'?>\n<!-- a drawing --><svg/>", "an SVG drawing: convert it to JPEG or PNG"),
    ],
)
def test_what_a_file_is_instead_is_told(data: bytes, told: str) -> None:
    assert refusal(data) == f"{module.UNKNOWN}, but {told}"


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"") == module.EMPTY


def test_the_limits_are_told_from_the_header_alone() -> None:
    tracemalloc.start()
    assert refusal(png_header(60_000, 60_000)) == module.TOO_MANY_PIXELS
    assert refusal(b"GIF89a" + bytes(7) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0)) == module.TOO_MANY_PIXELS
    assert refusal(webp_canvas(60_000, 60_000)) == module.TOO_MANY_PIXELS
    assert refusal(bmp_header(60_000, -60_000)) == module.TOO_MANY_PIXELS
    assert refusal(jpeg_header(60_000, 60_000)) == module.TOO_MANY_PIXELS
    assert refusal(tiff_header(60_000, 60_000)) == module.TOO_MANY_PIXELS
    assert refusal(png_header(MAX_PIXELS, 1)) == module.CUT  # within the limit, and nothing behind the header
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_file_over_the_byte_limit_is_refused() -> None:
    assert refusal(SAMPLES["jpeg"] + bytes(MAX_BYTES)) == module.TOO_BIG


def test_a_picture_without_width_or_height_is_refused() -> None:
    for width, height in [(0, 5), (5, 0), (0, 0)]:
        headers = [png_header, bmp_header, jpeg_header, tiff_header]
        assert {refusal(make(width, height)) for make in headers} == {module.NO_SIZE}
    assert refusal(bmp_header(-5, 5)) == module.NO_SIZE


def test_animations_are_refused() -> None:
    frames = {"save_all": True, "append_images": [Image.new("RGB", (40, 30), "red")], "duration": 100}
    for kind in ["gif", "png", "webp"]:
        assert refusal(encode(noise(), kind, **frames)) == module.ANIMATION
    assert refusal(encode(noise(), "tiff", save_all=True, append_images=[noise()])) == module.SEVERAL


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_cut_at_any_tenth_is_refused(name: str) -> None:
    data = SAMPLES[name]
    assert probe(data)
    for tenth in range(1, 10):
        assert refusal(data[: len(data) * tenth // 10]) == module.CUT
    if "tiff" not in name:  # whose last bytes may belong to a tag that does not matter
        assert refusal(data[:-1]) == module.CUT


def test_a_thumbnail_in_exif_does_not_make_a_cut_jpeg_complete() -> None:
    small = encode(noise(16, 12), "jpeg")
    segment = b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + small
    data = encode(noise(300, 200), "jpeg")
    whole = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert probe(whole) == Header("jpeg", 300, 200, 1)
    for tenth in range(1, 10):
        assert refusal(whole[: len(whole) * tenth // 10]) == module.CUT


def test_a_tiff_whose_strips_do_not_cover_it_is_refused() -> None:
    data = encode(noise(), "tiff")
    taller = data.replace(struct.pack("<HHII", 257, 4, 1, 30), struct.pack("<HHII", 257, 4, 1, 31))
    assert taller != data
    assert refusal(taller) == module.BROKEN


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encode(noise(), "jpeg")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    assert refusal(data[:-2] + scan * 1000 + b"\xff\xd9") == module.BROKEN


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5_000_000,
        png_header(5, 5) + png_chunk(b"tEXt", b"") * 2_000_000,
        b"GIF89a" + bytes(7) + b"!\xfe" + b"\x01a" * 10_000_000,
        b"RIFF" + struct.pack("<I", 15_999_992) + b"WEBPVP8X\x0a\0\0\0" + bytes(10) + b"abcd\0\0\0\0" * 2_000_000,
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + struct.pack("<Q", 900_000) + bytes(20_000_000),
    ],
    ids=["segments", "chunks", "sub-blocks", "riff chunks", "directory"],
)
def test_files_of_millions_of_tiny_pieces_are_not_walked_to_their_end(data: bytes) -> None:
    assert refusal(data) == module.BROKEN  # at its end it would be cut short


def test_millions_of_fill_bytes_are_one_step() -> None:
    assert refusal(b"\xff\xd8\xff" + b"\xff" * 20_000_000) == module.CUT


# Anything at all ---------------------------------------------------------------------------------------------


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A good file with bytes changed, inserted, removed or cut off, mostly near the front where the structure is."""
    data = bytearray(draw(st.sampled_from(sorted(SAMPLES.values()))))
    for _ in range(draw(st.integers(1, 6))):
        reach = draw(st.sampled_from([32, 200, len(data)]))
        at = draw(st.integers(0, min(reach, len(data))))
        patch = draw(st.sampled_from([b"\xff", b"\0", b"\xff\xff\xff\xff", b"\0\0\0\0"]) | st.binary(max_size=9))
        drop = draw(st.sampled_from([len(patch), len(patch), 0, 40]))
        data[at : at + drop] = patch
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


@settings(max_examples=600, deadline=1000)
@given(mutations() | st.binary(max_size=64))
def test_any_bytes_give_a_header_or_an_input_error_with_a_fixed_text(data: bytes) -> None:
    try:
        header = probe(data)
    except InputError as error:
        reason = str(error)
    else:
        reason = ""
        assert 0 < header.width * header.height <= MAX_PIXELS
        assert 1 <= header.orientation <= 8
    assert reason.partition(", but ")[0] in REASONS  # our own words, nothing of the file


# Bare headers ------------------------------------------------------------------------------------------------


def jpeg_header(width: int, height: int) -> bytes:
    return b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(10)


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def webp_canvas(width: int, height: int) -> bytes:
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


def tiff_header(width: int, height: int) -> bytes:
    return b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHIII", 256, 4, 1, width, 257, 4, 1, height, 0)
