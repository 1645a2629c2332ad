"""Random numbers by counter: the published vectors, numpy's Philox, and what Box-Muller makes of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from models import counter_random
from models.counter_random import Kind, philox

WORD = st.integers(0, 2**64 - 1)

# Random123, kat_vectors, philox4x64 with 10 rounds: counter, key, result
VECTORS = [
    (
        [0] * 4,
        [0] * 2,
        [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B],
    ),
    (
        [2**64 - 1] * 4,
        [2**64 - 1] * 2,
        [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
    ),
    (
        [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89],
        [0x452821E638D01377, 0xBE5466CF34E90C6C],
        [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
    ),
]


def _words(values: list[int]) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(counter_random._signed(value)) for value in values)


def _philox(counter: list[int], key: list[int]) -> list[int]:
    return [int(word) % 2**64 for word in philox(_words(counter), _words(key))]  # type: ignore[arg-type]


@pytest.mark.parametrize(("counter", "key", "result"), VECTORS)
def test_the_published_vectors(counter: list[int], key: list[int], result: list[int]) -> None:
    assert _philox(counter, key) == result


@given(st.lists(WORD, min_size=4, max_size=4), st.lists(WORD, min_size=2, max_size=2))
def test_words_are_those_of_numpy(counter: list[int], key: list[int]) -> None:
    whole = sum(word << 64 * place for place, word in enumerate(counter))
    before = (whole - 1) % 2**256  # numpy steps the counter first
    theirs = np.random.Philox(counter=before, key=sum(word << 64 * place for place, word in enumerate(key)))
    assert _philox(counter, key) == theirs.random_raw(4).tolist()


@given(WORD, st.integers(0, 20), st.integers(-(2**62), 2**62), st.integers(1, 21))
def test_normal_numbers_are_box_muller_of_numpys_words(seed: int, layer: int, index: int, count: int) -> None:
    ours = counter_random.normal(seed, Kind.NOISE, layer, torch.tensor([7, index]), count)[1]
    key = seed + (int(Kind.NOISE) << 96) + (layer << 64)
    theirs: list[float] = []
    for block in range(-(-count // 4)):
        counter = (block + (index % 2**64 << 64) - 1) % 2**256
        u = (np.random.Philox(counter=counter, key=key).random_raw(4) >> np.uint64(11)) * 2.0**-53
        for a, b in (u[:2], u[2:]):
            radius = np.sqrt(-2 * np.log(1 - a))
            theirs += [radius * np.cos(2 * np.pi * b), radius * np.sin(2 * np.pi * b)]
    np.testing.assert_allclose(ours.numpy(), np.array(theirs[:count]), rtol=1e-6, atol=1e-7)


def test_an_item_is_the_same_alone_and_among_others() -> None:
    index = torch.tensor([5, -3, 0, 2**40, 5])
    together = counter_random.normal(1, Kind.ANCHOR, 0, index, 11)
    for row, item in zip(together, index, strict=True):
        assert torch.equal(row, counter_random.normal(1, Kind.ANCHOR, 0, item[None], 11)[0])
    assert torch.equal(together, counter_random.normal(1, Kind.ANCHOR, 0, index, 64)[:, :11])


def test_numbers_are_normal_and_seeds_kinds_layers_and_items_are_independent() -> None:
    index = torch.arange(-500, 500)
    sets = [
        counter_random.normal(seed, kind, layer, index, 100).flatten()
        for seed, kind, layer in ((0, Kind.ANCHOR, 0), (1, Kind.ANCHOR, 0), (0, Kind.NOISE, 0), (0, Kind.ANCHOR, 1))
    ]
    for numbers in sets:  # 100,000 numbers: standard errors 0.003, 0.0045, 0.0155 (of the fourth moment, 0.03)
        assert abs(float(numbers.mean())) < 0.015
        assert abs(float(numbers.square().mean()) - 1) < 0.02
        assert abs(float(numbers.double().pow(4).mean()) - 3) < 0.15
    correlation = torch.corrcoef(torch.stack(sets)) - torch.eye(len(sets))
    assert float(correlation.abs().max()) < 0.015
    rows = torch.corrcoef(sets[0].view(1000, 100).T[:20])
    assert float((rows - torch.eye(20)).abs().max()) < 0.16  # 1 / sqrt(1000) each, five of them


def test_whole_numbers_reach_every_value_and_no_other() -> None:
    numbers = counter_random.integers(3, Kind.FRAME_SHIFT, torch.arange(4900), 49)
    share = torch.bincount(numbers, minlength=49)
    assert len(share) == 49
    assert 50 < int(share.min()) <= int(share.max()) < 160


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_beyond_64_bits_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        counter_random.normal(seed, Kind.ANCHOR, 0, torch.arange(1), 4)
