"""What the paper shows in pictures: generators of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from planted import SMALL, HardBetween, NoiseAlone, Repeating, Steps

from benchmarks import claims, measure, networks
from benchmarks.presets import preset
from models import features, locogan


def _apart(generator: Repeating) -> float:
    frames = measure.independent_frames(generator, seed=9, count=200)
    return 2 * float(measure.statistics(frames, features.small()).covariance.trace())


def _mean_repetition(generator: Repeating, seeds: int = 6) -> tuple[dict[float, float], list[claims.Repetition]]:
    apart = _apart(generator)
    found = [claims.repetition(generator, features.small(), apart, seed, 16) for seed in range(seeds)]
    told = [one for one in found if one is not None]
    return {lag: float(np.mean([one.similarity[lag] for one in told])) for lag in told[0].similarity}, told


@pytest.mark.slow
def test_a_panorama_that_returns_after_two_frames_has_its_peak_there() -> None:
    """Equal at 2, 4, 6 frames, like strangers at 1, 3, 5: a score of 1."""
    similarity, told = _mean_repetition(Repeating(period=8))
    for lag in (2.0, 4.0, 6.0, 8.0):
        assert similarity[lag] == pytest.approx(1, abs=1e-6)
    for lag in (1.0, 3.0, 5.0):
        assert similarity[lag] == pytest.approx(0, abs=0.3)
    assert np.mean([one.score for one in told]) == pytest.approx(1, abs=0.3)
    assert {one.strongest for one in told} == {2.0}


@pytest.mark.slow
def test_a_panorama_with_another_period_has_its_peak_there_and_none_at_the_coordinates() -> None:
    similarity, told = _mean_repetition(Repeating(period=12))
    assert similarity[3.0] == similarity[6.0] == pytest.approx(1, abs=1e-6)
    assert {one.strongest for one in told} == {3.0}
    assert np.mean([one.score for one in told]) == pytest.approx(-0.5, abs=0.3)


@pytest.mark.slow
def test_a_panorama_that_never_returns_does_not_repeat() -> None:
    similarity, told = _mean_repetition(Repeating(period=0))
    assert max(similarity[lag] for lag in similarity if lag >= 1) < 0.35
    assert np.mean([one.score for one in told]) == pytest.approx(0, abs=0.2)
    assert similarity[0.25] > similarity[0.5] > similarity[0.75] > 0.1, "frames that overlap are alike"


def test_repetition_needs_more_frames_than_its_largest_lag_and_frames_that_differ() -> None:
    generator = Repeating(period=8)
    assert claims.repetition(generator, features.small(), 1.0, 0, claims.LARGEST_LAG + 1) is None
    assert claims.repetition(generator, features.small(), 0.0, 0, 24) is None


@pytest.mark.parametrize(("frames", "batch"), [(3, 32), (40, 32), (33, 32)])
def test_seams_are_the_step_at_borders_over_the_step_elsewhere(frames: int, batch: int) -> None:
    """A saw of 8 pixels: up by 1 seven times, down by 7 at the border, those between frames and batches too."""
    found = claims.seam(Steps(seams=True), 0, frames)
    assert found is not None
    assert (found.border, found.elsewhere, found.score) == pytest.approx((7, 1, 7))
    smooth = claims.seam(Steps(seams=False), 0, frames)
    assert smooth is not None
    assert smooth.score == pytest.approx(1)


def test_where_nothing_varies_and_where_all_is_border_there_is_no_seam() -> None:
    class Grey(Steps):
        def levels(self, seed, column):
            return super().levels(seed, column) * 0 + 90

    found = claims.seam(Grey(seams=True), 0, 2)
    assert found is not None
    assert found.score is None

    class Thin(Steps):
        def __init__(self) -> None:
            super(Steps, self).__init__(resolution=32, patches=32)

    assert claims.seam(Thin(), 0, 2) is None


def _locogan() -> locogan.Generator:
    torch.manual_seed(0)
    return locogan.Generator(locogan.Sizes(32, **SMALL)).eval()


def test_a_locogan_that_ignores_its_spatial_noise_uses_none_of_it() -> None:
    generator = _locogan()
    with torch.no_grad():
        generator.synthesis.blocks[0].conv1.weight.zero_()  # type: ignore[union-attr,operator]
    assert claims.noise_use(generator, 0) == 0


def test_a_locogan_of_noise_alone_uses_all_of_it_and_an_untrained_one_some() -> None:
    assert claims.noise_use(NoiseAlone(), 0) == pytest.approx(1, abs=0.1)
    use = claims.noise_use(_locogan(), 0)
    assert use is not None
    assert 0.01 < use < 1


def test_frames_are_the_worse_the_farther_from_an_anchor_where_that_was_planted() -> None:
    generator, small = HardBetween(), features.small()
    at_anchor = measure._placed_frames(generator, 7, 300, generator.sizes.span - generator.sizes.patches // 2)
    real = measure.statistics(at_anchor, small)
    curve = measure.connection_difficulty(generator, real, small, seed=0, frames=64)
    assert [one.frames_from_anchor for one in curve] == [0, 0.25, 0.5, 0.75, 1]
    assert [one.frames for one in curve] == [64] * 5
    distances = [one.fd for one in curve]
    assert distances == sorted(distances)
    assert distances[0] < distances[1] / 3


@pytest.mark.parametrize("anchor_distance", [1, 2, 3])
def test_the_places_of_the_curve_go_from_an_anchor_to_half_way(anchor_distance: int) -> None:
    class Noted(HardBetween):
        borders: list[int]

        def frames(self, ws, border, noise=None):
            self.borders.append(int(border[0]))
            return super().frames(ws, border, noise)

    generator = Noted(anchor_distance=anchor_distance)
    generator.borders = []
    real = measure.statistics(iter([torch.randint(0, 255, (9, 3, 32, 32)).byte()]), features.small())
    curve = measure.connection_difficulty(generator, real, features.small(), 0, 4)
    assert curve[0].frames_from_anchor == 0
    assert curve[-1].frames_from_anchor == anchor_distance / 2
    span, patches = generator.sizes.span, generator.sizes.patches
    middles = [(border + patches / 2) % span for border in generator.borders]
    assert [min(middle, span - middle) / patches for middle in middles] == [one.frames_from_anchor for one in curve]
    assert all(0 <= border < generator.sizes.shifts for border in generator.borders)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["alis", "alis-nocoords", "locogan"])
def test_real_networks_have_all_that_is_measured(model: str) -> None:
    """Untrained, at 64x64. Without coordinates every column begins from the same: seams all over."""
    torch.manual_seed(0)
    generator = networks.build(preset(model, "x", "smoke", 64))[0].eval()
    seam = claims.seam(generator, 0, 4)  # type: ignore[arg-type]
    assert seam is not None
    assert seam.score is not None
    assert seam.score > 2 if model == "alis-nocoords" else 0.2 < seam.score < 5
    small = features.small()
    apart = 2 * float(measure.statistics(measure.independent_frames(generator, 0, 16), small).covariance.trace())
    found = claims.repetition(generator, small, apart, 0, 12)  # type: ignore[arg-type]
    assert found is not None
    assert max(found.similarity.values()) <= 1
    assert -2 <= found.score <= 2
