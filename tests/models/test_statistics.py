"""Streamed Gaussians are those of the whole, and their Frechet distance is the one others compute."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from scipy import linalg
from torch import Tensor

from models.statistics import BLOCKS, CHUNK, Blocks, Gaussian, frechet, frechet_error


def _features(n: int, dims: int, seed: int, mean: float = 0.0) -> Tensor:
    """Correlated float64 features whose covariance has eigenvalues from about 0.01 to 4."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(dims, dims, generator=generator, dtype=torch.float64)).Q
    scales = torch.logspace(-1, 0.3, dims, dtype=torch.float64)
    return torch.randn(n, dims, generator=generator, dtype=torch.float64) * scales @ mixing + mean


def _gaussian(features: Tensor) -> Gaussian:
    gaussian = Gaussian(features.shape[1])
    gaussian.add(features)
    return gaussian


def _numpy_distance(a: Tensor, b: Tensor) -> float:
    """From all features at once, with scipy's matrix square root."""
    x, y = a.numpy(), b.numpy()
    s, c = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(s @ c).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s) + np.trace(c) - 2 * np.trace(root))


def _cleanfid_distance(a: Gaussian, b: Gaussian) -> float:
    from cleanfid.fid import frechet_distance  # brings torchvision: seconds that other tests need not wait

    moments = [moment.numpy() for moment in (a.mean, a.covariance, b.mean, b.covariance)]
    return float(frechet_distance(*moments))


def _same(a: Gaussian, b: Gaussian, tolerance: float = 1e-12) -> bool:
    """Equal up to rounding, relative to the largest entry."""
    pairs = [(a.mean, b.mean), (a.covariance, b.covariance)]
    return a.n == b.n and all((x - y).abs().max() <= tolerance * x.abs().max() for x, y in pairs)


@pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")
@pytest.mark.parametrize("dims", [7, 200])
def test_the_distance_is_that_of_scipy_and_of_clean_fid(dims: int) -> None:
    x, y = _features(3 * dims, dims, 1), _features(4 * dims, dims, 2, mean=0.1)
    a, b = _gaussian(x), _gaussian(y)
    ours = frechet(a, b)
    assert ours > 1
    assert ours == pytest.approx(_cleanfid_distance(a, b), rel=1e-6)
    assert ours == pytest.approx(_numpy_distance(x, y), rel=1e-6)
    assert ours == pytest.approx(frechet(b, a), rel=1e-12)


@pytest.mark.parametrize("dims", [30, pytest.param(2048, marks=pytest.mark.long)])
def test_the_distance_to_a_transported_gaussian_is_the_cost_of_the_transport(dims: int) -> None:
    """A symmetric positive map T of x is optimal: the distance is the mean of |x - (T x + m)|^2 (Brenier 1991)."""
    x = _features(dims + 500, dims, 1)
    mixing = _features(dims, dims, 2) / 4
    y = x + x @ (mixing @ mixing.T) + 0.1
    cost = (x - y - (x - y).mean(0)).square().sum() / (len(x) - 1) + (x - y).mean(0).square().sum()
    assert frechet(_gaussian(x), _gaussian(y)) == pytest.approx(float(cost), rel=1e-9)


def test_the_distance_of_known_gaussians_is_the_closed_form() -> None:
    """Diagonal covariances: the sum of (m_a - m_b)^2 + (s_a - s_b)^2; two points each give a mean and a deviation."""
    signs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64) * (3 / 4) ** 0.5  # variance 1
    a, b = _gaussian(signs * torch.tensor([2, 5]) + 7), _gaussian(signs * torch.tensor([3, 1]) + torch.tensor([6, 10]))
    assert frechet(a, b) == pytest.approx(1 + 9 + 1 + 16, rel=1e-14)


@pytest.mark.parametrize(("n", "m"), [(40, 60), (40, 500), (40, 40), (500, 40)])
def test_with_fewer_features_than_dims_the_distance_is_exact(n: int, m: int) -> None:
    """tr((S C)^(1/2)) is the nuclear norm of the centred features' products, which needs no root of a covariance."""
    x, y = _features(n, 128, 1), _features(m, 128, 2, mean=0.3)
    centred = [(z - z.mean(0)) / (len(z) - 1) ** 0.5 for z in (x, y)]
    overlap = torch.linalg.svdvals(centred[0] @ centred[1].T).sum()
    spread = centred[0].square().sum() + centred[1].square().sum() - 2 * overlap
    expected = (x.mean(0) - y.mean(0)).square().sum() + spread
    assert frechet(_gaussian(x), _gaussian(y)) == pytest.approx(float(expected), rel=1e-12)


def test_features_that_depend_on_each_other_add_nothing() -> None:
    x, y = _features(400, 16, 1), _features(500, 16, 2, mean=0.3)
    repeated = frechet(_gaussian(torch.cat([x, x], 1)), _gaussian(torch.cat([y, y], 1)))
    assert repeated == pytest.approx(2 * frechet(_gaussian(x), _gaussian(y)), rel=1e-12)


@pytest.mark.parametrize("n", [2, 30, 400])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_equal_gaussians_are_at_distance_0(n: int, mean: float) -> None:
    x = _features(n, 64, 3, mean)
    a = _gaussian(x)
    assert frechet(a, a) == 0.0
    assert frechet(a, Gaussian.from_state(a.state())) == 0.0
    backwards = frechet(a, _gaussian(x.flip(0)))  # other rounding
    assert 0.0 <= backwards < 1e-12 * float(a.covariance.trace())


def test_features_that_do_not_vary_have_a_distance() -> None:
    zeros, ones = _gaussian(torch.zeros(5, 8)), _gaussian(torch.ones(3, 8))
    assert frechet(zeros, zeros) == 0.0
    assert frechet(zeros, ones) == frechet(ones, zeros) == 8.0
    varied = _gaussian(_features(50, 8, 1))
    to_mean = float(varied.mean.square().sum() + varied.covariance.trace())
    assert frechet(zeros, varied) == pytest.approx(to_mean, rel=1e-14)


def test_a_larger_shift_or_spread_is_a_larger_distance() -> None:
    x = _features(400, 32, 4)
    for steps in ([x + s for s in (0, 0.1, 0.5, 2)], [x * s for s in (1, 1.1, 1.5, 3)]):
        distances = [frechet(_gaussian(x), _gaussian(step)) for step in steps]
        assert distances == sorted(set(distances))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_pieces_in_any_order_give_the_whole(data: st.DataObject) -> None:
    """Added or merged, on top of each other or apart, empty pieces too."""
    mean = data.draw(st.sampled_from([0.0, -3.0, 1e4]))
    x = _features(data.draw(st.integers(2, 60)), 5, 5, mean=mean)
    cuts = sorted([0, *data.draw(st.lists(st.integers(0, len(x)), max_size=5)), len(x)])
    pieces = data.draw(st.permutations([x[i:j] for i, j in itertools.pairwise(cuts)]))
    streamed, merged = Gaussian(5), Gaussian(5)
    for piece in pieces:
        streamed.add(piece)
        merged.merge(_gaussian(piece))
    whole = _gaussian(x)
    tolerance = 1e-12 + 1e-15 * abs(mean)  # what is left of a difference from the mean has so many digits fewer
    assert _same(streamed, whole, tolerance)
    assert _same(merged, whole, tolerance)


def test_chunks_of_one_call_are_the_whole() -> None:
    x = _features(2 * CHUNK + 17, 6, 6)
    expected = np.cov(x.numpy(), rowvar=False)
    assert np.abs(_gaussian(x).covariance.numpy() - expected).max() < 1e-13 * np.abs(expected).max()


@pytest.mark.parametrize("mean", [0.0, 1e4, -1e6])
def test_a_mean_far_from_0_costs_nothing(mean: float) -> None:
    """Small steps around a large value, which the features hold exactly: the covariance is that of the steps."""
    steps = torch.randint(-8, 9, (1000, 12), generator=torch.Generator().manual_seed(7)).double() / 8
    gaussian = Gaussian(12)
    for piece in (steps + mean).split(64):
        gaussian.add(piece)
    rounding = 4 * 2**-52 * max(abs(mean), 10)
    assert np.abs(gaussian.covariance.numpy() - np.cov(steps.numpy(), rowvar=False)).max() < rounding
    assert (gaussian.mean - mean - steps.mean(0)).abs().max() < rounding


def test_a_first_piece_unlike_the_others_costs_nothing() -> None:
    x = _features(1000, 12, 8)
    x[:10] += 1e6
    gaussian = _gaussian(x[:10])
    gaussian.add(x[10:])
    assert _same(gaussian, _gaussian(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_features_of_any_floating_type_are_summed_in_float64(dtype: torch.dtype) -> None:
    x = _features(500, 9, 9).to(dtype)
    assert _same(_gaussian(x), _gaussian(x.double()), tolerance=0)


def test_the_state_has_one_size_and_survives_safetensors() -> None:
    few, many = _gaussian(_features(3, 10, 1)), _gaussian(_features(9000, 10, 1))
    sizes = [len(save(gaussian.state())) for gaussian in (few, many)]
    assert abs(sizes[0] - sizes[1]) < 64
    back = Gaussian.from_state(load(save(many.state())))
    assert _same(back, many, tolerance=0)
    more = _features(100, 10, 2)
    back.add(more)
    many.add(more)
    assert _same(back, many, tolerance=0)


def test_states_and_moments_are_copies() -> None:
    gaussian = _gaussian(_features(10, 4, 1))
    state = gaussian.state()
    back = Gaussian.from_state(state)
    for tensor in (*state.values(), gaussian.mean, gaussian.covariance):
        tensor.zero_()
    assert _same(back, gaussian, tolerance=0)
    assert gaussian.n == 10


@pytest.mark.parametrize(
    "changes",
    [
        {"n": torch.tensor([-1])},
        {"n": torch.tensor(3)},
        {"mean": torch.zeros(5, dtype=torch.float64)},
        {"scatter": torch.zeros(4, 4)},
        {"scatter": torch.full((4, 4), torch.nan, dtype=torch.float64)},
        {"more": torch.zeros(1)},
    ],
)
def test_tensors_that_are_no_statistics_are_refused(changes: dict[str, Tensor]) -> None:
    state = _gaussian(_features(10, 4, 1)).state()
    with pytest.raises(ValueError, match="statistics"):
        Gaussian.from_state({**state, **changes})


def test_too_few_features_are_refused() -> None:
    for n in (0, 1):
        few = _gaussian(torch.zeros(n, 3))
        enough = _gaussian(torch.zeros(2, 3))
        for use in (lambda few=few: few.mean, lambda few=few: few.covariance):
            with pytest.raises(ValueError, match=f"{n} features: .* at least 2"):
                use()
        for pair in ((few, enough), (enough, few)):
            with pytest.raises(ValueError, match=f"{n} features"):
                frechet(*pair)


def test_features_of_another_length_are_refused() -> None:
    a, b = _gaussian(torch.zeros(4, 3)), _gaussian(torch.zeros(4, 5))
    for use in (lambda: frechet(a, b), lambda: a.merge(b)):
        with pytest.raises(ValueError, match="3 and of 5"):
            use()
    for wrong in (torch.zeros(4, 5), torch.zeros(3), torch.zeros(4, 3, dtype=torch.int64)):
        with pytest.raises(ValueError, match="not floating features"):
            a.add(wrong)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_features_that_are_not_finite_are_refused_and_not_counted(bad: float) -> None:
    gaussian = _gaussian(_features(10, 3, 1))
    before = gaussian.state()
    features = torch.zeros(CHUNK + 2, 3)
    features[-1, 1] = bad  # in the second chunk
    with pytest.raises(ValueError, match="not finite"):
        gaussian.add(features)
    assert all(torch.equal(tensor, before[key]) for key, tensor in gaussian.state().items())


def test_sums_that_overflow_are_refused() -> None:
    huge = _gaussian(_features(10, 3, 1) * 1e200)
    with pytest.raises(ValueError, match="too large"):
        frechet(huge, _gaussian(_features(10, 3, 2)))


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_split_over_workers_gives_the_same_distance_and_the_same_error(data: st.DataObject) -> None:
    """Stretches of features in any order, added to the blocks of any worker, merged in any order: to 1e-10."""
    n, other = data.draw(st.integers(6, 90)), _gaussian(_features(50, 5, 2))
    x = _features(n, 5, 1, mean=0.2)
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, n), max_size=6)), n})
    workers = [Blocks(5, n) for _ in range(data.draw(st.integers(1, 3)))]
    for start, end in data.draw(st.permutations(list(itertools.pairwise(cuts)))):
        data.draw(st.sampled_from(workers)).add(x[start:end], start)
    merged, whole = Blocks(5, n), Blocks(5, n)
    for worker in data.draw(st.permutations(workers)):
        merged.merge(worker)
    whole.add(x, 0)
    assert frechet(merged.whole, other) == pytest.approx(frechet(_gaussian(x), other), rel=1e-10)
    ours, theirs = (frechet_error(blocks, other, replicates=5) for blocks in (merged, whole))
    assert ours == pytest.approx(theirs, rel=1e-10)


def test_blocks_are_consecutive_equally_long_and_refuse_what_does_not_fit() -> None:
    x = _features(10 * BLOCKS + 3, 4, 1)
    blocks = Blocks(4, len(x))
    for first in range(0, len(x), 7):
        blocks.add(x[first : first + 7], first)
    assert {part.n for part in blocks.parts} == {10, 11}
    start = 0
    for part in blocks.parts:
        assert _same(part, _gaussian(x[start : start + part.n]))
        start += part.n
    assert [part.n for part in Blocks(4, 3).parts] == [0, 0, 0]
    with pytest.raises(ValueError, match="163"):
        blocks.add(x[:2], len(x) - 1)
    with pytest.raises(ValueError, match="163 and of 5"):
        blocks.merge(Blocks(4, 5))
    with pytest.raises(ValueError, match="0 blocks"):
        frechet_error(Blocks(4, 9), _gaussian(x))


def test_the_standard_error_is_the_scatter_of_distances_of_other_draws() -> None:
    """200 draws of 320 features tell the true scatter; the mean of 20 errors lies within a fifth of it."""
    reference = _gaussian(_features(2000, 6, 1))
    draws = _features(200 * 320, 6, 2, mean=0.3).split(320)
    true = np.std([frechet(_gaussian(draw), reference) for draw in draws], ddof=1)
    errors = []
    for draw in draws[:20]:
        blocks = Blocks(6, len(draw))
        blocks.add(draw, 0)
        errors.append(frechet_error(blocks, reference))
    assert np.mean(errors) == pytest.approx(true, rel=0.2)


def test_neighbours_that_are_alike_widen_the_error() -> None:
    """Each feature ten times in a row tells no more than once: the error is not that of ten times as many."""
    reference, x = _gaussian(_features(900, 6, 1)), _features(320, 6, 3, mean=0.5)
    errors = []
    for features in (x, x.repeat_interleave(10, 0)):
        blocks = Blocks(6, len(features))
        blocks.add(features, 0)
        errors.append(frechet_error(blocks, reference))
    assert errors[1] == pytest.approx(errors[0], rel=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_numbers_of_the_cpu() -> None:
    x, y = _features(900, 128, 1), _features(1000, 128, 2, mean=0.1)
    here = frechet(_gaussian(x), _gaussian(y))
    a, b = Gaussian(128, "cuda"), Gaussian(128, "cuda")
    a.add(x.cuda())
    b.add(y)
    for pair in ((a, b), (a, _gaussian(y)), (_gaussian(x), b)):
        assert frechet(*pair) == pytest.approx(here, rel=1e-10)
    total = _gaussian(x)
    total.merge(b)
    assert _same(total, _gaussian(torch.cat([x, y])))
