"""Drawing codes: what a cache, windows kept for later and many rows at once must not change."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import token_sampling
from models.gpt import GPT, Cache, Sizes, in_format
from models.token_sampling import Choice

SMALL = Sizes(codes=11, places=20, layers=2, heads=2, width=16)


def transformer(sizes: Sizes = SMALL, seed: int = 0) -> GPT:
    """With weights large enough that every code changes what comes next."""
    torch.manual_seed(seed)
    gpt = GPT(sizes).eval()
    for parameter in gpt.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.3)
    return gpt


def naive(gpt: GPT, side: int, numbers: Tensor, choice: Choice) -> Tensor:
    """The published rule, written plainly: row by row, a full pass over the window for each code."""
    batch, height, width = numbers.shape
    codes = torch.zeros(numbers.shape, dtype=torch.int64)
    half = side // 2

    def local(at: int, length: int) -> int:
        if at <= half:
            return at
        return side - (length - at) if length - at < side - half else half

    for i, j in itertools.product(range(height), range(width)):
        li, lj = local(i, height), local(j, width)
        window = codes[:, i - li : i - li + side, j - lj : j - lj + side].flatten(1)
        begun = torch.cat([torch.zeros(batch, 1, dtype=torch.int64), window], 1)[:, :-1]
        with torch.no_grad():
            logits = gpt(begun)[:, li * side + lj]
        codes[:, i, j] = token_sampling.pick(logits, numbers[:, i, j], choice)
    return codes


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_logits_with_a_cache_are_those_without_in_whatever_pieces_the_codes_come():
    gpt = transformer(Sizes(codes=50, places=64, layers=4, heads=4, width=64))
    codes = torch.randint(50, (3, 64), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = gpt(codes)
        cache, at = Cache(gpt, 3, 64), 0
        for piece in (1, 1, 5, 1, 30, 1, 25):
            (logits,) = gpt.advance([(codes[:, at : at + piece], cache)])
            at += piece
            assert float((logits - whole[:, at - 1]).abs().max()) < 1e-4
    assert at == 64
    assert float(whole.std()) > 0.1


def test_several_sequences_at_once_are_each_as_if_alone():
    gpt = transformer()
    some = torch.randint(11, (2, 3, 9), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        caches = [Cache(gpt, 2, 4), Cache(gpt, 2, 20)]
        gpt.advance([(some[:, 0, :4], caches[0])])
        caches[0].reserve(9)
        first, second = gpt.advance([(some[:, 0, 4:], caches[0]), (some[:, 1, :6], caches[1])])
        torch.testing.assert_close(first, gpt(some[:, 0])[:, -1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(second, gpt(some[:, 1, :6])[:, -1], rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    side=st.integers(2, 4),
    more=st.tuples(st.integers(0, 3), st.integers(0, 9)),
    batch=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_the_sliding_window_draws_code_by_code_what_full_passes_draw(side, more, batch, seed):
    gpt = transformer(seed=seed)
    given_numbers = numbers(batch, side + more[0], side + more[1], seed=seed)
    choice = Choice(top_k=5 + seed % 7)
    assert torch.equal(token_sampling.wide(gpt, side, given_numbers, choice), naive(gpt, side, given_numbers, choice))


def test_the_sliding_window_keeps_no_more_windows_however_wide_the_picture_is(monkeypatch):
    made, most = [], [0]

    class Counted(Cache):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            made.append(1)
            most[0] = max(most[0], len(made))

        def __del__(self) -> None:
            made.pop()

    monkeypatch.setattr(token_sampling, "Cache", Counted)
    gpt, highest = transformer(), {}
    for columns in (30, 60):
        most[0] = 0
        token_sampling.wide(gpt, 3, numbers(1, 3, columns))
        highest[columns] = most[0]
    assert highest[60] <= highest[30] <= 3 * 3 + 1


def test_frames_are_drawn_as_by_full_passes_and_each_hangs_on_its_own_numbers():
    gpt = transformer()
    given_numbers = numbers(4, 4, 4)
    drawn = token_sampling.frames(gpt, given_numbers)
    assert torch.equal(drawn, naive(gpt, 4, given_numbers, token_sampling.ALL))
    assert torch.equal(token_sampling.frames(gpt, given_numbers[2:3]), drawn[2:3])
    assert len(drawn.unique()) > 5


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_stream_draws_each_new_column_from_the_window_that_ends_with_it(stride):
    """Held to full passes over that window; and two requests give the same codes."""
    gpt, side = transformer(), 4
    every = numbers(2, side, 12)
    stream = token_sampling.streamed(gpt, side, lambda first, count: every[:, :, first : first + count], stride=stride)
    codes = torch.cat(list(itertools.islice(stream, 1 + 8 // stride)), 2)
    assert codes.shape == (2, side, 12)
    for left in range(stride, 9, stride):
        window = codes[:, :, left : left + side]
        with torch.no_grad():
            logits = gpt(torch.cat([torch.zeros(2, 1, dtype=torch.int64), window.flatten(1)], 1)[:, :-1])
        for row, column in itertools.product(range(side), range(side - stride, side)):
            found = token_sampling.pick(logits[:, row * side + column], every[:, row, left + column])
            assert torch.equal(found, window[:, row, column])


def test_codes_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(20_000, -1)
    drawn = token_sampling.pick(logits, numbers(20_000), Choice(temperature=0.5))
    shares = torch.bincount(drawn, minlength=4) / 20_000
    assert torch.allclose(shares, (logits[0] / 0.5).softmax(0), atol=0.01)


def test_top_k_and_top_p_leave_the_likeliest():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()[None].expand(1000, -1)
    drawn = numbers(1000)
    assert set(token_sampling.pick(logits, drawn, Choice(top_k=2)).tolist()) == {0, 1}
    assert set(token_sampling.pick(logits, drawn, Choice(top_p=0.69)).tolist()) == {0, 1}
    assert set(token_sampling.pick(logits, drawn, Choice(top_p=0.71)).tolist()) == {0, 1, 2}
    assert set(token_sampling.pick(logits, drawn, Choice(top_p=1e-9)).tolist()) == {0}
    assert set(token_sampling.pick(logits, drawn, Choice(top_k=3, temperature=2.0)).tolist()) == {0, 1, 2}
    edges = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    assert token_sampling.pick(logits[:2], edges).tolist() == [0, 3]


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_a_choice_that_means_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Choice(**wrong)


def test_windows_that_the_transformer_has_no_places_for_are_refused():
    with pytest.raises(ValueError, match="25 places"):
        token_sampling.frames(transformer(), numbers(1, 5, 5))
    with pytest.raises(ValueError, match="less than a window"):
        token_sampling.wide(transformer(), 4, numbers(1, 4, 3))


def test_matrices_in_bfloat16_change_logits_by_their_rounding_only():
    gpt = transformer(Sizes(codes=50, places=64, layers=4, heads=4, width=64))
    half = in_format(gpt, torch.bfloat16)
    codes = torch.randint(50, (2, 64), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        exact, rounded = gpt(codes), half(codes)
    assert rounded.dtype == torch.float32
    assert 1e-5 < float((rounded - exact).norm() / exact.norm()) < 0.03
    assert gpt.head.weight.dtype == torch.float32
