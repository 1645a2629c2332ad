"""manifests.decode: right colours, right way up, right size, whatever the file."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from encoding import FAITHFUL, Array, distance, encode, exif, over_white, png, psnr, scene
from PIL import Image

from manifests.decode import decode
from manifests.errors import InputError
from manifests.probe import probe


@pytest.mark.parametrize("kind", ["png", "tiff", "bmp", "webp"])
def test_lossless_rgb_comes_back_unchanged_and_owned(kind: str) -> None:
    pixels = decode(encode(scene(), kind, **({"lossless": True} if kind == "webp" else {})))
    assert distance(pixels, scene()) == 0
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}])
def test_jpegs_agree_with_pillow_to_the_level(options: dict[str, Any]) -> None:
    data = encode(scene(), "jpeg", quality=90, **options)
    assert distance(decode(data), np.asarray(Image.open(io.BytesIO(data)))) <= 1
    assert psnr(decode(data), scene()) > 30
    assert distance(decode(data + b"\0 bytes after the end"), decode(data)) == 0


def test_one_pixel() -> None:
    red = np.full((1, 1, 3), (255, 0, 0), np.uint8)
    for kind in ["png", "jpeg", "gif", "tiff", "bmp", "webp"]:
        for min_side in (None, 1, 256):
            assert distance(decode(encode(red, kind, **FAITHFUL.get(kind, {})), min_side), red) <= 2


def test_a_long_strip_is_a_good_picture() -> None:
    strip = np.tile(scene(3000, 40), (1, 10, 1))
    assert distance(decode(encode(strip, "png", compress_level=1)), strip) == 0
    assert psnr(decode(encode(strip, "jpeg", quality=95)), strip) > 30
    assert decode(encode(strip, "jpeg"), min_side=20).shape == (20, 15_000, 3)


@pytest.mark.slow
def test_pillows_own_pixel_limit_neither_warns_nor_fails() -> None:
    """Left alone it warns above 89 megapixels; ours, of probe(), is the one that counts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(encode(Image.new("1", (30_000, 3_000), 1), "png")).shape == (3_000, 30_000, 3)


@pytest.mark.slow
def test_182_megapixels_are_decoded() -> None:
    """Left alone Pillow refuses above 179."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode(encode(Image.new("1", (14_000, 13_000), 1), "png"))
    assert pixels.shape == (13_000, 14_000, 3)
    assert pixels.min() == 255


def test_what_probe_refuses_decode_refuses() -> None:
    frames = {"save_all": True, "append_images": [Image.new("RGB", (96, 64), "red")]}
    for data in [b"", b"text", encode(scene(), "gif", **frames), encode(scene(), "jpeg")[:-2]]:
        with pytest.raises(InputError) as by_probe:
            probe(data)
        with pytest.raises(InputError, match=f"^{by_probe.value}$"):
            decode(data)


def test_a_min_side_below_one_pixel_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        decode(encode(scene(), "png"), 0)


def oriented(upright: Array, orientation: int) -> Array:
    """The pixels to store so that this orientation shows them upright: EXIF's table of row 0 and column 0."""
    row0, column0 = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    image = upright
    if "bottom" in (row0, column0):
        image = image[::-1]
    if "right" in (row0, column0):
        image = image[:, ::-1]
    return np.ascontiguousarray(image.transpose(1, 0, 2) if row0 in ("left", "right") else image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_every_orientation_is_undone(kind: str, orientation: int) -> None:
    options = FAITHFUL.get(kind, {})
    data = encode(oriented(scene(), orientation), kind, exif=exif(orientation), **options)
    assert (probe(data).height, probe(data).width) == (64, 96)
    pixels = decode(data)
    assert pixels.flags.c_contiguous
    assert distance(pixels, scene()) <= (6 if kind == "jpeg" else 0)
    assert decode(data, min_side=32).shape == ((32, 48, 3) if kind == "jpeg" else (64, 96, 3))


def test_16_bit_grey_keeps_its_levels() -> None:
    wide = np.linspace(0, 65535, 96 * 64).astype(np.uint16).reshape(64, 96)
    expected = np.repeat(np.rint(wide / 257).astype(np.uint8)[..., None], 3, -1)
    for kind in ["png", "tiff"]:
        assert distance(decode(encode(wide, kind)), expected) == 0
    # TIFF's big-endian and 'white is zero' varieties
    for order, photometric, want in [(">", 1, expected), ("<", 0, 255 - expected), (">", 0, 255 - expected)]:
        data = tiff(wide.astype(order + "u2"), order, photometric)
        if (order, photometric) == (">", 0):  # of which Pillow knows no such thing
            with pytest.raises(InputError):
                decode(data)
        else:
            assert distance(decode(data), want) == 0


def tiff(values: Array, order: str, photometric: int) -> bytes:
    """A TIFF of one uncompressed strip of 16-bit grey."""
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height)]
    tags.append((279, values.nbytes))
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in tags)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(tags)) + entries + bytes(4)
    return magic + struct.pack(order + "I", 8 + values.nbytes) + values.tobytes() + directory


def test_16_bit_colour_is_right_to_one_level() -> None:
    wide = np.stack([np.linspace(a, b, 96 * 64).reshape(64, 96) for a, b in [(0, 65535), (65535, 0), (9e3, 5e4)]], -1)
    data = png(96, 64, 16, 2, wide.astype(">u2").reshape(64, -1))
    assert distance(decode(data), np.rint(wide / 257)) <= 1
    rgba = np.concatenate([wide, np.full((64, 96, 1), 32768)], -1).astype(">u2").reshape(64, -1)
    assert distance(decode(png(96, 64, 16, 6, rgba)), np.rint((wide + 65535) / 2 / 257)) <= 2


def test_float_and_32_bit_grey_run_from_black_to_white() -> None:
    ramp = np.linspace(0, 1, 96 * 64).reshape(64, 96)
    expected = np.repeat(np.rint(255 * ramp)[..., None], 3, -1)
    assert distance(decode(encode(ramp.astype(np.float32), "tiff")), expected) <= 1
    assert distance(decode(encode((ramp * (2**31 - 1)).astype(np.int32), "tiff")), expected) <= 1


@pytest.mark.parametrize("kind", ["png", "gif", "tiff", "bmp"])
def test_palettes_are_expanded(kind: str) -> None:
    image = Image.fromarray(scene()).quantize(64)
    assert distance(decode(encode(image, kind)), np.asarray(image.convert("RGB"))) == 0


@pytest.mark.parametrize("kind", ["png", "gif", "tiff", "bmp"])
def test_black_and_white_pictures(kind: str) -> None:
    image = Image.fromarray(scene()).convert("1")
    assert distance(decode(encode(image, kind)), np.asarray(image.convert("RGB"))) == 0


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
def test_alpha_is_laid_over_white(kind: str) -> None:
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "webp" else {}
    rgba = encode(np.dstack([scene(), alpha]), kind, **options)
    assert distance(decode(rgba), over_white(scene(), alpha)) <= 1
    grey = scene()[..., 0]
    la = encode(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]), kind, **options)
    assert distance(decode(la), over_white(np.dstack([grey] * 3), alpha)) <= 1


def test_a_transparent_palette_is_laid_over_white() -> None:
    indices = np.tile(np.arange(4, dtype=np.uint8), (8, 2))
    palette = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]], np.uint8)
    alpha = np.array([0, 128, 255, 255], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    expected = over_white(palette, alpha)[indices]
    assert distance(decode(encode(image, "png", transparency=alpha.tobytes())), expected) <= 1
    alpha[:] = [255, 255, 0, 255]
    assert distance(decode(encode(image, "gif", transparency=2)), over_white(palette, alpha)[indices]) == 0


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_turns_white(depth: int) -> None:
    white = (1 << depth) - 1
    values = np.array([0, white // 3, white // 3 * 2, white] * 4)
    bits = "".join(f"{v:0{depth}b}" for v in values)
    row = np.frombuffer(int(bits, 2).to_bytes(2 * depth, "big"), np.uint8)
    for key in set(values):
        data = png(16, 2, depth, 0, np.stack([row, row]), (b"tRNS", struct.pack(">H", key)))
        expected = np.where(values == key, 255, np.rint(values * 255 / white))
        assert distance(decode(data), np.broadcast_to(expected[None, :, None], (2, 16, 3))) == 0


@pytest.mark.parametrize("depth", [8, 16])
def test_the_transparent_colour_of_a_png_turns_white(depth: int) -> None:
    step = 257 if depth == 16 else 1
    rows = (scene(32, 16).astype(np.uint16) * step).astype(">u2" if depth == 16 else "u1").reshape(16, -1)
    key = scene(32, 16)[3, 5]
    data = png(32, 16, depth, 2, rows, (b"tRNS", struct.pack(">3H", *(int(v) * step for v in key))))
    expected = scene(32, 16)
    expected[(expected == key).all(-1)] = 255
    assert distance(decode(data), expected) == 0


@pytest.mark.parametrize(
    ("size", "min_side", "expected"),
    [
        ((1000, 800), 100, (125, 100)),
        ((1000, 800), 101, (250, 200)),
        ((1000, 801), 101, (125, 101)),  # sides round up
        ((1000, 800), 400, (500, 400)),
        ((1000, 800), 401, (1000, 800)),
        ((1000, 800), 4000, (1000, 800)),
        ((1000, 800), 1, (125, 100)),
        ((17, 900), 2, (3, 113)),
        ((5, 3), 2, (3, 2)),
    ],
)
def test_the_smallest_scale_that_keeps_the_short_side(
    size: tuple[int, int], min_side: int, expected: tuple[int, int]
) -> None:
    for image in [scene(*size), scene(*size)[..., 0]]:
        assert decode(encode(image, "jpeg"), min_side).shape == (expected[1], expected[0], 3)
    assert decode(encode(scene(*size), "png"), min_side).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_reduced_pictures_are_area_averages_of_the_full_ones(scale: int) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(scene(640, 480) + rng.normal(0, 8, (480, 640, 3)), 0, 255).astype(np.uint8)
    data = encode(noisy, "jpeg", quality=95)
    full = decode(data).reshape(480 // scale, scale, 640 // scale, scale, 3).mean((1, 3))
    assert psnr(decode(data, 480 // scale), full) > 38  # dB
