"""Speed: what is timed is what a user waits for, the batch is the best one, multiply-adds are as profilers count."""

from __future__ import annotations

import pytest
import tiny
import torch

from benchmarks import networks, speed
from benchmarks.speed import Seconds

CPU = torch.device("cpu")


def _alike(value):
    return Seconds(value, value, value, 3)


def test_figures_are_per_image_per_second_and_per_frame_at_the_best_batch(monkeypatch):
    """Seconds of a batch are planted: 8 gives the most images a second, and 16 ends the search."""
    generator = networks.build(tiny.recipe("alis"))[0].eval()
    planted = {1: 0.5, 2: 0.6, 4: 0.8, 8: 1.0, 16: 4.0}
    asked = []

    def takes(make, device, most=None):
        count, _, height, width = made.shape if (made := make(3)).ndim == 4 else (1, *made.shape)
        asked.append((count, width // height))
        return _alike(1.6 if width > height else planted[count])

    monkeypatch.setattr(speed, "seconds", takes)
    found = speed.speed(generator)
    assert (found.batch, found.ms_per_image, found.images_per_s, found.panorama_ms_per_frame) == (8, 500.0, 8.0, 200.0)
    assert found.tried == {size: size / seconds for size, seconds in planted.items()}
    assert asked[-2:] == [(1, 8), (8, 1)], "the panorama and the batch are timed again at the best size"
    plain = speed.speed(networks.build(tiny.recipe("stylegan2"))[0].eval())
    assert (plain.panorama, plain.panorama_ms_per_frame) == (None, None)


def test_a_batch_that_does_not_fit_into_memory_ends_the_search(monkeypatch):
    generator = networks.build(tiny.recipe("stylegan2"))[0].eval()

    def takes(make, device, most=None):
        if len(make(0)) == 4:
            raise torch.OutOfMemoryError
        return _alike(0.1)

    monkeypatch.setattr(speed, "seconds", takes)
    assert list(speed._search(generator, CPU)) == [1, 2]
    monkeypatch.setattr(speed, "BATCHES", (4,))
    with pytest.raises(torch.OutOfMemoryError):
        speed._search(generator, CPU)


def test_a_batch_that_takes_too_long_to_wait_for_is_the_last(monkeypatch):
    generator = networks.build(tiny.recipe("stylegan2"))[0].eval()
    monkeypatch.setattr(speed, "seconds", lambda make, device, most=None: _alike(1.2 * len(make(0))))
    assert list(speed._search(generator, CPU)) == [1, 2, 4, 8]


def test_medians_and_quarters_are_of_three_repeats_at_least_after_a_warm_up(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.0)
    clock = iter([0.0, 1.0, 9.0, 10.0, 11.0, 19.0, 20.0, 21.0, 23.0, 24.0, 25.0, 26.0, 27.0, 28.0, 32.0, 33.0])
    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    found = speed.seconds(lambda at: torch.ones(1), CPU)
    assert found == Seconds(2.0, 1.5, 3.0, 3)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "gmac"), [("stylegan2", 15.03), ("alis", 15.98)])
def test_the_multiply_adds_at_full_size_are_those_that_profilers_count_in_the_published_networks(model, gmac):
    from models import alis, stylegan2

    generator = stylegan2.Generator(stylegan2.Sizes()) if model == "stylegan2" else alis.Generator(alis.Sizes())
    assert speed.multiply_adds(generator.eval()) / 1e9 == pytest.approx(gmac, rel=0.01)
