"""manifests.decode: right colours, right way up, right size, whatever the file; damage is an InputError."""

import io
import random
import struct
import warnings
import zlib
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from manifests import decode as module
from manifests.decode import decode
from manifests.errors import InputError
from manifests.probe import probe

Array = npt.NDArray[Any]
FAITHFUL: dict[str, dict[str, Any]] = {"webp": {"lossless": True}, "jpeg": {"quality": 100, "subsampling": 0}}


def encode(image: Image.Image | Array, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width: int = 96, height: int = 64) -> Array:
    """A smooth picture without symmetry [height, width, 3]: every corner has its own colour."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * x / width, 255 * y / height, 255 * (1 - (x + y) / (width + height))
    return np.stack([red, green, blue], -1).astype(np.uint8)


def distance(a: Array, b: Array) -> int:
    """The largest difference in levels; the shapes must agree."""
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def psnr(a: Array, b: Array) -> float:
    """Peak signal-to-noise ratio in dB of two 8-bit pictures."""
    assert a.shape == b.shape
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def png(width: int, height: int, depth: int, colour: int, rows: Array, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG from the raw bytes of its rows [height, bytes], as Pillow cannot write all kinds."""
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in parts)
    return b"\x89PNG\r\n\x1a\n" + body


# Profiles, made by hand, and their mathematics in float (ICC.1:2022; IEC 61966-2-1) -------------------------------

D50 = np.array([0.9642, 1.0, 0.8249])
D65 = np.array([0.95047, 1.0, 1.08883])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ADOBE = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
P3 = [(0.68, 0.32), (0.265, 0.69), (0.15, 0.06)]
SRGB = [(0.64, 0.33), (0.30, 0.60), (0.15, 0.06)]


def to_d50(primaries: list[tuple[float, float]]) -> Array:
    """Matrix [3, 3] from linear RGB with a D65 white to XYZ at D50."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    xyz = xyz * np.linalg.solve(xyz, D65)
    adapt = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ D65)) @ BRADFORD
    return np.asarray(adapt @ xyz)


def srgb_decode(v: Array) -> Array:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def srgb_encode(v: Array) -> Array:
    v = np.clip(v, 0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)


def in_srgb(levels: Array, primaries: list[tuple[float, float]], gamma: float | None) -> Array:
    """sRGB levels (float) of levels [..., 3] in an RGB space with this gamma (None: sRGB's own curve)."""
    v = levels / 255.0
    linear = srgb_decode(v) if gamma is None else v**gamma
    return 255 * srgb_encode(linear @ (np.linalg.inv(to_d50(SRGB)) @ to_d50(primaries)).T)


def fixed(values: Array | list[float]) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(v) * 65536) for v in values))


def profile(space: bytes, pcs: bytes, kind: bytes, version: int, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile: 128 bytes of header, the tag table, the tags, each padded to 4 bytes."""
    about = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(4 + 4 + 2 + 1 + 67)
    tags = {b"desc": about, b"wtpt": b"XYZ " + bytes(4) + fixed(D50), **tags}
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"\0\0\0\0", version << 24, kind, space, pcs)
    head += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + fixed(D50)
    return head.ljust(128, b"\0") + table + body


def matrix_profile(primaries: list[tuple[float, float]], gamma: float | None) -> bytes:
    columns = to_d50(primaries).T
    if gamma is None:
        curve = b"para" + bytes(4) + b"\0\3\0\0" + fixed([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045])
    else:
        curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags = {name: b"XYZ " + bytes(4) + fixed(c) for name, c in zip([b"rXYZ", b"gXYZ", b"bXYZ"], columns, strict=True)}
    tags |= dict.fromkeys([b"rTRC", b"gTRC", b"bTRC"], curve)
    return profile(b"RGB ", b"XYZ ", b"mntr", 2 if gamma else 4, tags)


def grey_profile(gamma: float) -> bytes:
    return profile(
        b"GRAY", b"XYZ ", b"mntr", 2, {b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))}
    )


def ink_lab(c: int, m: int, y: int, k: int) -> tuple[int, int, int]:
    """An invented press: the Lab colour of full (1) or no (0) ink of each kind."""
    if k:
        return 0, 0, 0
    return 100 - 25 * c - 25 * m - 10 * y, 24 * m - 20 * c, 40 * y - 20 * c


def ink_profile() -> bytes:
    """A CMYK profile of one table (lut8, 2 points a side) that holds ink_lab."""
    nodes = [ink_lab(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    clut = b"".join(bytes([round(L * 2.55), a + 128, b + 128]) for L, a, b in nodes)
    identity = bytes(range(256))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(np.eye(3).ravel()) + identity * 4 + clut + identity * 3
    return profile(b"CMYK", b"Lab ", b"prtr", 2, {b"A2B0": lut, b"A2B1": lut})


def lab_to_srgb(lab: Array) -> Array:
    """sRGB levels (float) of CIELAB colours [..., 3] relative to D50."""
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return 255 * srgb_encode(xyz @ np.linalg.inv(to_d50(SRGB)).T)


# Plain pictures --------------------------------------------------------------------------------------------------


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


# Orientation -----------------------------------------------------------------------------------------------------


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


# Depths, palettes, transparency ----------------------------------------------------------------------------------


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


def over_white(colours: Array, alpha: Array) -> Array:
    return np.rint((colours * (alpha / 255.0)[..., None]) + 255 * (1 - alpha / 255.0)[..., None])


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


# Colour ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("primaries", "gamma"), [(ADOBE, 563 / 256), (P3, None)], ids=["AdobeRGB", "Display P3"])
@pytest.mark.parametrize("kind", ["png", "tiff", "webp", "jpeg"])
def test_wide_gamut_pictures_become_srgb(kind: str, primaries: list[tuple[float, float]], gamma: float | None) -> None:
    options = FAITHFUL.get(kind, {})
    data = encode(scene(), kind, icc_profile=matrix_profile(primaries, gamma), **options)
    stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    expected = in_srgb(stored, primaries, gamma)
    assert np.abs(expected - stored).max() > 30  # the profile matters
    assert np.abs(decode(data) - expected).max() <= 2


def test_a_profile_applies_to_the_colours_before_alpha_mixes_them() -> None:
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (64, 1))
    data = encode(np.dstack([scene(), alpha]), "png", icc_profile=matrix_profile(ADOBE, 563 / 256))
    assert distance(decode(data), over_white(in_srgb(scene(), ADOBE, 563 / 256), alpha)) <= 2
    image = Image.fromarray(scene()).quantize(32)
    data = encode(image, "png", icc_profile=matrix_profile(ADOBE, 563 / 256))
    assert distance(decode(data), np.rint(in_srgb(np.asarray(image.convert("RGB")), ADOBE, 563 / 256))) <= 2


def test_an_srgb_profile_costs_no_conversion() -> None:
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in [own, matrix_profile(SRGB, None)]:
        data = encode(scene(), "jpeg", icc_profile=icc)
        decode(data)  # the profile is looked at once
        with mock.patch.object(ImageCms, "applyTransform", side_effect=AssertionError):
            assert distance(decode(data), decode(encode(scene(), "jpeg"))) == 0


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_grey_profiles_apply_to_grey_and_colour_profiles_too(kind: str) -> None:
    grey = scene()[..., 0]
    options = {"quality": 100} if kind == "jpeg" else {}
    expected = np.repeat(255 * srgb_encode((grey / 255.0) ** 1.8)[..., None], 3, -1)
    assert np.abs(decode(encode(grey, kind, icc_profile=grey_profile(1.8), **options)) - expected).max() <= 3
    expected = in_srgb(np.repeat(grey[..., None], 3, -1), ADOBE, 563 / 256)
    icc = matrix_profile(ADOBE, 563 / 256)
    assert np.abs(decode(encode(grey, kind, icc_profile=icc, **options)) - expected).max() <= 3


def test_broken_and_unfitting_profiles_are_ignored() -> None:
    good = matrix_profile(ADOBE, 563 / 256)
    for icc in [
        b"nonsense",
        good[:200],
        good[:16] + b"Lab " + good[20:],
        grey_profile(1.8),
        ink_profile(),
        b"x" * 9000,
    ]:
        for kind in ["png", "jpeg", "webp", "tiff"]:
            options = {"lossless": True} if kind == "webp" else {}
            plain = decode(encode(scene(), kind, **options))
            assert distance(decode(encode(scene(), kind, icc_profile=icc, **options)), plain) == 0


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_cmyk_without_a_profile(kind: str) -> None:
    inks = np.dstack([scene(), scene()[::-1, ::-1, 0] // 2])
    options = {"quality": 100, "subsampling": 0} if kind == "jpeg" else {}
    c, k = inks[..., :3] / 255.0, inks[..., 3:] / 255.0
    data = encode(Image.fromarray(inks, "CMYK"), kind, **options)
    assert np.abs(decode(data) - 255 * (1 - c) * (1 - k)).max() <= 4
    reduced = decode(data, min_side=32)
    assert reduced.shape == ((32, 48, 3) if kind == "jpeg" else (64, 96, 3))


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_cmyk_goes_through_its_profile(kind: str) -> None:
    corners = np.array([[c, m, y, k] for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)])
    blocks = np.repeat(np.repeat(255 * corners.astype(np.uint8)[None], 8, 0), 8, 1)  # [8, 128, 4]: 16 inks
    options = {"quality": 100, "subsampling": 0} if kind == "jpeg" else {}
    data = encode(Image.fromarray(blocks, "CMYK"), kind, icc_profile=ink_profile(), **options)
    expected = lab_to_srgb(np.array([ink_lab(*ink) for ink in corners.tolist()], float))
    pixels = decode(data)
    assert np.abs(pixels[4, 4::8] - expected).max() <= 3
    assert distance(pixels[:, :8], np.full((8, 8, 3), 255, np.uint8)) <= 1  # paper is white


def test_lab_pictures() -> None:
    lab = np.dstack([np.tile(np.linspace(0, 255, 96), (64, 1)), np.full((64, 96), 138), np.full((64, 96), 108)])
    image = Image.merge("LAB", [Image.fromarray(plane.astype(np.uint8)) for plane in np.moveaxis(lab, -1, 0)])
    expected = lab_to_srgb(np.dstack([lab[..., 0].astype(np.uint8) / 2.55, lab[..., 1] - 128, lab[..., 2] - 128]))
    assert np.abs(decode(encode(image, "tiff")) - expected).max() <= 3


# Reduced scale ---------------------------------------------------------------------------------------------------


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


# Damage ----------------------------------------------------------------------------------------------------------


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


@settings(max_examples=600, deadline=2000)
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
    assert len(reason) < 80
    assert reason.isascii()


def test_the_same_bytes_give_the_same_pixels_in_any_order() -> None:
    first = [decode(data) for data in SAMPLES]
    order = list(range(len(SAMPLES)))
    random.Random(0).shuffle(order)
    module._transform.cache_clear()
    assert all(np.array_equal(decode(SAMPLES[i]), first[i]) for i in order)
