"""Groups are the connected components that comparing all pictures with all gives, also of crowds."""

import itertools
import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.filters import lookalikes
from pipelines.filters.lookalikes import Pictures, Rules, components, distinct

RULES = Rules(radius=6, correlation=0.95, mirrored=True)


def correlation(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8], mirrored: bool) -> float:
    """By numpy's own hand."""
    other = right.reshape(16, 16)[:, ::-1].ravel() if mirrored else right
    return 0.0 if left.std() == 0 or other.std() == 0 else float(np.corrcoef(left, other)[0, 1])


def alike(pictures: Pictures, a: int, b: int, rules: Rules) -> bool:
    """The definition, written out."""
    if all((part[a] == part[b]).all() for part in (pictures.hash, pictures.mirror, pictures.thumb)):
        return True
    near = [(int(pictures.hash[a] ^ pictures.hash[b]).bit_count(), False)]
    if rules.mirrored:
        near.append((int(pictures.hash[a] ^ pictures.mirror[b]).bit_count(), True))
        near.append((int(pictures.mirror[a] ^ pictures.hash[b]).bit_count(), True))
    return any(
        bits <= rules.radius and correlation(pictures.thumb[a], pictures.thumb[b], mirrored) >= rules.correlation
        for bits, mirrored in near
    )


def brute_force(pictures: Pictures, rules: Rules) -> list[frozenset[int]]:
    groups = [{one} for one in range(len(pictures))]
    for a, b in itertools.combinations(range(len(pictures)), 2):
        if groups[a] is not groups[b] and alike(pictures, a, b, rules):
            groups[a] |= groups[b]
            for member in groups[b]:
                groups[member] = groups[a]
    return sorted({frozenset(group) for group in groups}, key=min)


def grouped(pictures: Pictures, rules: Rules) -> list[frozenset[int]]:
    labels = components(pictures, rules).tolist()
    return sorted((frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)), key=min)


def related(seed: int, count: int, families: int, noise: int) -> Pictures:
    """Pictures of a few families: hashes some bits apart, thumbnails about as alike as the threshold, some turned."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, families, count)
    bits = np.uint64(1) << rng.integers(0, 64, (4, count)).astype(np.uint64)
    bits[rng.random(bits.shape) < 0.5] = 0
    hashes = rng.integers(0, 2**64, families, dtype=np.uint64)[of] ^ np.bitwise_or.reduce(bits, axis=0)
    mirror = hashes ^ np.uint64(0x5555555555555555)
    thumbs = rng.integers(60, 196, (families, 16, 16))[of] + rng.integers(-noise, noise + 1, (count, 16, 16))
    turned = rng.random(count) < 0.3
    hashes[turned], mirror[turned] = mirror[turned], hashes[turned]
    thumbs[turned] = thumbs[turned][:, :, ::-1]
    thumbs[rng.random(count) < 0.1] = 7  # of a single grey
    again = rng.integers(0, count, count // 4)
    hashes[: len(again)], mirror[: len(again)] = hashes[again], mirror[again]
    thumbs[: len(again)] = thumbs[again]
    return Pictures(hashes, mirror, np.ascontiguousarray(thumbs.reshape(count, 256).astype(np.uint8)))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6), st.integers(0, 25), st.booleans())
@pytest.mark.parametrize("crowd", [1, 64])
def test_groups_are_those_of_comparing_all_with_all(
    crowd: int, seed: int, count: int, families: int, noise: int, mirrored: bool
) -> None:
    pictures = related(seed, count, families, noise)
    rules = Rules(6, 0.95, mirrored)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"CROWD": crowd, "PIVOTS": 1, "FRONT": 3, "BLOCK": 7, "GATHERED": 5}.items():
            patch.setattr(lookalikes, name, value)
        assert grouped(pictures, rules) == brute_force(pictures, rules)


def test_the_test_pictures_stand_on_both_sides_of_the_threshold() -> None:
    for noise, low, high in ((15, 0.95, 0.96), (17, 0.93, 0.95)):
        pictures = related(0, 200, 4, noise)
        pairs = [correlation(pictures.thumb[0], pictures.thumb[at], False) for at in range(1, 200)]
        assert any(low < one < high for one in pairs)


def test_correlations_are_numpys() -> None:
    pictures = related(1, 50, 3, 20)
    left, right = np.arange(50), np.arange(50)[::-1]
    for mirrored in (False, True):
        expected = [
            correlation(pictures.thumb[a], pictures.thumb[b], mirrored) for a, b in zip(left, right, strict=True)
        ]
        assert pictures.correlations(left, right, mirrored) == pytest.approx(expected, abs=1e-12)


def test_two_plain_pictures_of_different_grey_are_not_the_same() -> None:
    thumbs = np.repeat(np.array([[3], [4], [3]], np.uint8), 256, axis=1)
    pictures = Pictures(np.zeros(3, np.uint64), np.zeros(3, np.uint64), thumbs)
    assert grouped(pictures, RULES) == [{0, 2}, {1}]


def test_distinct_pictures_stand_for_their_equals() -> None:
    pictures = related(2, 60, 3, 5)
    one_each, of = distinct(pictures)
    for part in (pictures.hash, pictures.mirror, pictures.thumb):
        assert (part[one_each][of] == part).all()
    parts = zip(pictures.hash.tolist(), pictures.mirror.tolist(), pictures.thumb, strict=True)
    assert len(one_each) == len({(one, two, thumb.tobytes()) for one, two, thumb in parts})


def crowd(kind: str) -> Pictures:
    """50,000 pictures of one hash."""
    count = 50_000
    rng = np.random.default_rng(0)
    same = np.zeros(count, np.uint64)
    if kind == "black":
        return Pictures(same, same, np.zeros((count, 256), np.uint8))
    thumbs = (np.arange(256) // 2 + rng.integers(0, 5, (count, 256))).astype(np.uint8)
    if kind == "alike, and one that is not":
        thumbs[1] = rng.integers(0, 256, 256)
    return Pictures(same, same, thumbs)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "groups"), [("black", 1), ("alike", 1), ("alike, and one that is not", 2)])
def test_a_crowd_of_one_hash_is_grouped_in_linear_time(kind: str, groups: int) -> None:
    pictures = crowd(kind)
    started = time.process_time()
    assert len(np.unique(components(pictures, RULES))) == groups
    assert time.process_time() - started < 10  # seconds; all pairs would take minutes
