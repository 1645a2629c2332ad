"""Colours come out as their profile, their inks or their LAB numbers say."""

from __future__ import annotations

import io
from unittest import mock

import numpy as np
import pytest
from colours import (
    ADOBE,
    P3,
    SRGB,
    grey_profile,
    in_srgb,
    ink_lab,
    ink_profile,
    lab_to_srgb,
    matrix_profile,
    srgb_encode,
)
from encoding import FAITHFUL, distance, encode, over_white, scene
from PIL import Image, ImageCms

from manifests.decode import decode


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
