"""The hash follows the picture, not its file: what changes it, what turns it over, and what must leave it as it is."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.filters.perceptual import BITS, SIDE, THUMB, look, picture_hash

Grey = npt.NDArray[np.uint8]


def hills(seed: int, height: int = SIDE, width: int = SIDE) -> Grey:
    """A smooth picture of some waves, greys 0 to 255."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [
        rng.normal() / (1 + row + column) * np.cos(np.pi * (row * y + column * x) + rng.uniform(0, 6))
        for row in range(8)
        for column in range(8)
    ]
    field = np.sum(waves, axis=0)
    return ((field - field.min()) / np.ptp(field) * 255).astype(np.uint8)


def as_rgb(grey: Grey) -> npt.NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def lowest() -> list[tuple[int, int]]:
    """The 64 lowest pairs of frequencies, down and across, constant one left out."""
    pairs = [(u, v) for u in range(16) for v in range(16) if u + v]
    return sorted(pairs, key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))[:BITS]


def naive_hash(grey: Grey) -> list[bool]:
    """The same in floating point, one coefficient after the other, the lowest first."""
    sine = np.sin(np.pi * (np.arange(SIDE) + 0.5) / SIDE)
    ranks = np.array([[(grey < one).sum() + (grey == one).sum() / 2 for one in row] for row in grey])
    window = np.outer(sine, sine)
    faded = (ranks - (ranks * window).sum() / window.sum()) * window
    at = np.arange(SIDE) + 0.5
    waves = [np.cos(np.pi * k * at / SIDE) for k in range(16)]
    return [bool((faded * np.outer(waves[u], waves[v])).sum() > 0) for u, v in lowest()]


@pytest.mark.parametrize("seed", range(6))
def test_the_bits_are_the_signs_of_the_lowest_frequencies(seed: int) -> None:
    bits = f"{picture_hash(hills(seed)):064b}"
    in_order = [bits[int(f"{number:06b}"[::-1], 2)] == "1" for number in range(BITS)]
    expected = naive_hash(hills(seed))
    assert sum(one != other for one, other in zip(in_order, expected, strict=True)) <= 1  # rounding next to zero


def test_every_bit_says_something() -> None:
    hashes = [picture_hash(hills(seed)) for seed in range(200)]
    ones = np.array([sum(one >> bit & 1 for one in hashes) for bit in range(BITS)])
    assert (ones > 30).all()
    assert (ones < 170).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.lists(st.integers(0, 255), min_size=256, max_size=256, unique=True))
def test_only_the_order_of_the_greys_counts(seed: int, greys: list[int]) -> None:
    levels = np.minimum(hills(seed), 199)  # 200 levels, put where it may be, in the same order
    elsewhere = np.sort(np.array(greys[:200], np.uint8))[levels]
    assert picture_hash(elsewhere) == picture_hash(levels)


@pytest.mark.parametrize(("height", "width", "apart"), [(128, 192, 0), (96, 145, 2)])
def test_a_mirror_image_has_the_mirror_hash(height: int, width: int, apart: int) -> None:
    """Exactly where every pixel of the small picture is a mean of whole ones."""
    for seed in range(20):
        rgb = as_rgb(hills(seed, height, width))
        one, turned, thumbnail = look(rgb)
        other, back, mirrored = look(rgb[:, ::-1])
        assert (turned ^ other).bit_count() <= apart
        assert (one ^ back).bit_count() <= apart
        assert (one ^ turned).bit_count() > 6
        there = np.frombuffer(mirrored, np.uint8).reshape(THUMB, THUMB).astype(int)
        here = np.frombuffer(thumbnail, np.uint8).reshape(THUMB, THUMB).astype(int)
        assert np.abs(there[:, ::-1] - here).max() <= 1


def test_a_symmetric_picture_is_its_own_mirror_image() -> None:
    half = hills(3)[:, : SIDE // 2]
    one, turned, _ = look(as_rgb(np.hstack([half, half[:, ::-1]])))
    assert one == turned
    assert one != 0


@pytest.mark.parametrize("grey", [0, 1, 128, 255])
def test_a_picture_of_a_single_grey_has_no_signs(grey: int) -> None:
    one, turned, thumbnail = look(np.full((70, 90, 3), grey, np.uint8))
    assert (one, turned) == (0, 0)
    assert thumbnail == bytes([grey]) * THUMB * THUMB


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 2), (64, 64), (65, 4000)])
def test_any_shape_has_a_hash_and_a_thumbnail(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    one, turned, thumbnail = look(image)
    assert 0 <= one < 2**BITS
    assert 0 <= turned < 2**BITS
    assert len(thumbnail) == THUMB * THUMB


def test_the_most_contrast_there_can_be_overflows_nothing() -> None:
    """Black and white in the pattern of each coefficient: its bit is 1, and 0 for the negative."""
    at = np.arange(SIDE) + 0.5
    for u, v in [(0, 1), (1, 0), (1, 1), (4, 3), (0, 8), (8, 0)]:
        pattern = np.outer(np.cos(np.pi * u * at / SIDE), np.cos(np.pi * v * at / SIDE)) > 0
        one = picture_hash(np.where(pattern, 255, 0).astype(np.uint8))
        other = picture_hash(np.where(pattern, 0, 255).astype(np.uint8))
        number = lowest().index((u, v))
        bit = BITS - 1 - int(f"{number:06b}"[::-1], 2)
        assert (one >> bit & 1, other >> bit & 1) == (1, 0)
