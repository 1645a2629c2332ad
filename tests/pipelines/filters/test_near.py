"""The banded search finds exactly the pairs that comparing all with all finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.filters import near
from pipelines.filters.near import Hashes, close_pairs

FEW_BITS = st.lists(st.integers(0, 63), max_size=9).map(lambda bits: sum(1 << bit for bit in set(bits)))
HASHES = st.lists(FEW_BITS | st.integers(0, 2**64 - 1), max_size=30).map(lambda values: np.array(values, np.uint64))


def brute_force(left: Hashes, right: Hashes | None, radius: int) -> list[tuple[int, int]]:
    other = left if right is None else right
    close = np.bitwise_count(left[:, None] ^ other[None]) <= radius
    return sorted((a, b) for a, b in np.argwhere(close).tolist() if right is not None or a < b)


def found(left: Hashes, right: Hashes | None, radius: int) -> list[tuple[int, int]]:
    pairs = [
        pair for one, two in close_pairs(left, right, radius) for pair in zip(one.tolist(), two.tolist(), strict=True)
    ]
    return sorted(pairs if right is not None else [(min(pair), max(pair)) for pair in pairs])


@settings(deadline=None, max_examples=150)
@given(HASHES, st.none() | HASHES, st.integers(0, near.MAX_RADIUS))
def test_few_hashes_meet_as_all_with_all(left: Hashes, right: Hashes | None, radius: int) -> None:
    assert found(left, right, radius) == brute_force(left, right, radius)


@pytest.mark.parametrize("equal", [1, 2, 3, 4])
@pytest.mark.parametrize("radius", [0, 1, 6, 11])
def test_any_number_of_bands_finds_the_same(equal: int, radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "range", lambda *bounds: [equal] if bounds == (1, 5) else range(*bounds), raising=False)
    monkeypatch.setattr(near, "CANDIDATES", 100)
    rng = np.random.default_rng(radius)
    left = rng.integers(0, 2**64, 300, dtype=np.uint64)
    for bit in range(12):  # copies of half of them, with one bit after the other turned
        left[150:] ^= np.where(rng.random(150) < 0.6, np.uint64(1) << np.uint64(5 * bit), np.uint64(0))
        left[150:160] = left[:10] ^ np.uint64((1 << bit) - 1)
    right = np.concatenate([left[::3], rng.integers(0, 2**64, 50, dtype=np.uint64)])
    assert len(near._bands(300, 300, radius).chosen[0]) == equal
    assert found(left, None, radius) == brute_force(left, None, radius)
    assert found(left, right, radius) == brute_force(left, right, radius)


@pytest.mark.slow
def test_thousands_of_hashes_meet_as_all_with_all() -> None:
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, 6000, dtype=np.uint64)
    turned = rng.integers(0, 64, (8, 2000)).astype(np.uint64)
    hashes[:2000] = hashes[2000:4000] ^ np.bitwise_or.reduce(np.uint64(1) << turned, axis=0)
    pairs = brute_force(hashes, None, 6)
    assert len(pairs) > 100
    assert found(hashes, None, 6) == pairs


def test_a_radius_out_of_bounds_is_refused() -> None:
    for radius in (-1, near.MAX_RADIUS + 1):
        with pytest.raises(ValueError, match="radius"):
            next(close_pairs(np.zeros(2, np.uint64), None, radius))
