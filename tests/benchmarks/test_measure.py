"""Measuring: the frames are those that the definitions name, and the distance sees what it should."""

import dataclasses

import pytest
import tiny
import torch

from benchmarks import evaluate, measure, networks, runs
from benchmarks.pictures import Pictures
from benchmarks.recipes import MEASUREMENTS, Measurement, recipe_hash
from manifests.errors import SetupError
from models import features

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(measure, "SPEED_SECONDS", 0.1)


@pytest.fixture
def alis():
    return networks.build(tiny.recipe("alis"))[0].eval()


def test_independent_frames_are_the_samples_in_their_order(alis):
    batches = list(measure.independent_frames(alis, seed=4, count=7, batch=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat(batches), measure.pixels(alis.samples(4, 0, 7)))


def test_panorama_frames_laid_side_by_side_are_the_panorama_without_gap_or_overlap(alis):
    batches = list(measure.panorama_frames(alis, seed=4, count=7, batch=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    whole = torch.cat(list(torch.cat(batches)), 2)  # [3, 16, 7 * 16]
    strip = measure.pixels(alis.columns(4, 0, 7 * alis.sizes.patches))
    assert (whole.int() - strip.int()).abs().max() <= 1  # rounding of another batch size
    assert len(whole.float().std((0, 1)).unique()) > 10


def test_pixels_round_and_clamp():
    levels = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 126.6 / 127.5 - 1])
    assert measure.pixels(levels).tolist() == [0, 0, 128, 255, 255, 127]


def test_the_distance_of_the_pictures_to_themselves_is_nothing_and_grows_when_they_differ():
    extractor = features.small()
    images = tiny.images(120)
    real = measure.real_statistics(images, extractor)
    from models.statistics import frechet

    assert frechet(measure.real_statistics(images.flip(0), extractor), real) < 1e-6
    same = frechet(measure.real_statistics(tiny.images(120, seed=1), extractor), real)
    other = frechet(measure.real_statistics((tiny.images(120, seed=1) // 2), extractor), real)
    assert other > 3 * same


def test_figures_of_speed_are_per_image_per_second_and_per_frame(alis, monkeypatch):
    made = []

    def takes(make, device):
        made.append(tuple(make(3).shape))
        return {(1, 3, 16, 16): 0.5, (32, 3, 16, 16): 4.0, (3, 16, 32 * 16): 1.6}[made[-1]]

    monkeypatch.setattr(measure, "_median_seconds", takes)
    found = measure.speed(alis)
    assert (found.ms_per_image, found.images_per_s, found.panorama_ms_per_frame) == (500.0, 8.0, 50.0)
    assert measure.speed(networks.build(tiny.recipe("stylegan2"))[0].eval()).panorama_ms_per_frame is None


def test_medians_are_of_three_repeats_at_least():
    asked = []
    assert measure._median_seconds(lambda at: asked.append(at) or torch.ones(1), CPU) > 0  # type: ignore[func-returns-value]
    assert len(asked) >= 5


@pytest.mark.slow
@pytest.mark.parametrize(("model", "gmac"), [("stylegan2", 15.03), ("alis", 15.98)])
def test_the_multiply_adds_at_full_size_are_those_that_profilers_count_in_the_published_networks(model, gmac):
    from models import alis, stylegan2

    generator = stylegan2.Generator(stylegan2.Sizes()) if model == "stylegan2" else alis.Generator(alis.Sizes())
    assert measure._multiply_adds(generator.eval()) / 1e9 == pytest.approx(gmac, rel=0.01)


@pytest.mark.parametrize("model", ["stylegan2", "alis"])
def test_a_row_names_everything_its_numbers_depend_on(tmp_path, model):
    recipe = tiny.recipe(model, images=16)
    read = Pictures(tiny.images(), "tiny", "curated", "a" * 64, "c" * 64)
    runs.train(recipe, read, tmp_path / "run", CPU)
    measurement = Measurement(frames=10, snapshots=0, snapshot_frames=0)
    row = evaluate.evaluate(tmp_path / "run", evaluate.Reference(read, features.small()), measurement, CPU, "9.9")
    assert row.train_devices == f"1x cpu ({torch.get_num_threads()} threads)"
    assert (row.model, row.dataset, row.subset, row.subset_hash) == (model, "tiny", "curated", "a" * 64)
    assert (row.recipe_hash, row.images_seen, row.n_real, row.n_generated) == (recipe_hash(recipe), 16, 40, 10)
    assert (row.fid, row.infinity_fid) == (None, None), "no Inception, no FID"
    assert row.fd is not None
    assert row.fd > 0
    assert (row.infinity_fd is None, row.patches is None, row.infinity_setup is None) == ((model == "stylegan2"),) * 3
    assert row.features == features.small().label
    generator, discriminator = networks.build(recipe)
    assert row.generator == sum(parameter.numel() for parameter in generator.parameters())
    assert row.discriminator == sum(parameter.numel() for parameter in discriminator.parameters())
    assert row.total == row.generator + row.discriminator
    for change in (
        {"subset_hash": "b" * 64},
        {"pictures_hash": "d" * 64},
        {"images": tiny.images(40, 32)},
        {"images": tiny.images(39)},
    ):
        other = evaluate.Reference(dataclasses.replace(read, **change), features.small())
        with pytest.raises(SetupError, match="was trained on other pictures"):
            evaluate.evaluate(tmp_path / "run", other, measurement, CPU, "9.9")


def test_only_the_inception_makes_a_fid():
    read = Pictures(tiny.images(), "tiny", "", "a" * 64, "a" * 64)
    stand_in = dataclasses.replace(features.small(), weights_hash=features.INCEPTION_SHA256)
    generator = networks.build(tiny.recipe("alis"))[0].eval()
    for extractor, names in ((features.small(), {"fd", "infinity_fd"}), (stand_in, {"fid", "infinity_fid"})):
        judge = evaluate.judge(evaluate.Reference(read, extractor), Measurement(10, 0, 10))
        assert set(judge(generator)) == names


def test_every_budget_has_its_measurement():
    assert MEASUREMENTS["paper"].frames == 50_000
