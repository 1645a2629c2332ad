"""Measuring: the frames are those that the definitions name, and the distance sees what it should."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from planted import OneColour

from benchmarks import evaluate, measure, networks, runs, speed
from benchmarks.pictures import Pictures, read
from benchmarks.recipes import MEASUREMENTS, Measurement, recipe_hash
from benchmarks.reference import Reference
from manifests.errors import SetupError
from models import features
from models.statistics import frechet

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _brief(monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    monkeypatch.setattr(speed, "SEARCH_SECONDS", 0.01)


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


@pytest.mark.parametrize("model", ["alis", "locogan"])
def test_the_control_has_the_places_of_the_panorama_and_latents_of_its_own(model):
    """A frame of the control is the frame of a network whose panorama has that frame's latents everywhere."""
    generator = networks.build(tiny.recipe(model, mapping_layers=1))[0].eval()
    batches = list(measure.control_frames(generator, seed=4, count=7, batch=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    frames = torch.cat(batches)
    assert len({frame.numpy().tobytes() for frame in frames}) == 7
    again = torch.cat(list(measure.control_frames(generator, seed=4, count=7, batch=7)))
    assert (frames.int() - again.int()).abs().max() <= 1
    for parameter in generator.mapping.parameters():  # one w for all latents: control and panorama are the same
        parameter.data.zero_()
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.zero_()
    if model == "locogan":
        generator.synthesis.blocks[0].conv1.weight.data.zero_()  # nor does the spatial noise matter
    ours, panorama = (
        torch.cat(list(stream(generator, 4, 5, batch=2))).int()
        for stream in (measure.control_frames, measure.panorama_frames)
    )
    assert (ours - panorama).abs().max() <= 1
    assert ours.float().std() > 1


def _quarters(images):
    """Colours of four quarters: 12 features."""
    return torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)


FEW = features.Extractor("quarters", 12, "0" * 64, "none", CPU, _quarters)


def test_a_panorama_of_one_latent_scatters_over_seeds_and_its_control_does_not():
    """Frames of a panorama are all alike here: each seed is far from the pictures, independent frames are near."""
    generator = OneColour()
    real = measure.real_statistics(torch.cat(list(measure.independent_frames(generator, 5, 300))), FEW)
    alone = measure.independent(generator, real, FEW, seed=0, frames=200)
    found = measure.infinity(generator, real.gaussian, FEW, range(3, 7), frames=200)
    assert found.seeds == (3, 4, 5, 6)
    assert found.setup == "4 panoramas of 200 frames, seeds 3-6"
    assert alone.fd / 4 < found.control < 4 * alone.fd
    assert min(found.each) > 5 * found.control
    assert found.mean == pytest.approx(np.mean(found.each))
    assert found.spread == pytest.approx(np.std(found.each, ddof=1))
    assert found.error == pytest.approx(found.spread / 2)
    single = measure.infinity(generator, real.gaussian, FEW, range(3, 4), frames=200)
    assert single.each == pytest.approx(found.each[:1])
    assert single.spread is None
    assert single.error == pytest.approx(0, abs=1e-6), "blocks that are all alike: another reason to take many seeds"
    assert single.setup == "1 panorama of 200 frames, seed 3"


def test_the_error_of_independent_frames_is_the_scatter_over_seeds():
    generator = OneColour()
    real = measure.real_statistics(torch.cat(list(measure.independent_frames(generator, 99, 400))), FEW)
    found = [measure.independent(generator, real, FEW, seed, 96) for seed in range(8)]
    more = [measure.distances(generator, real.gaussian, FEW, seed, 96)[0] for seed in range(8, 30)]
    true = np.std([*(one.fd for one in found), *more], ddof=1)
    assert 0.5 < np.mean([one.error for one in found]) / true < 2
    assert all(one.precision > 0.7 and one.recall > 0.5 for one in found)
    kids = [one.kid.value for one in found]
    assert abs(np.mean(kids)) < 3 * np.std(kids)


def test_too_few_frames_have_a_distance_and_no_precision():
    generator, small = OneColour(), features.small()
    real = measure.real_statistics(torch.cat(list(measure.independent_frames(generator, 5, 20))), small)
    found = measure.independent(generator, real, small, 0, 3)
    assert found.fd > 0
    assert (found.kid, found.precision, found.recall) == (None, None, None)


def test_a_folder_of_pictures_is_as_far_from_another_as_clean_fid_says(tmp_path):
    """From files on, with the same features: colours of four quarters, after the resize called clean."""
    from cleanfid.fid import compute_fid

    folders = [tiny.write(tmp_path / str(seed), tiny.images(60, 32, seed)) for seed in (1, 2)]
    extractor = features.Extractor("quarters", 12, "0" * 64, "clean", CPU, _quarters, features.clean_resize(299))
    a, b = (Reference(read(folder, folder.parent / "cache"), extractor).statistics for folder in folders)
    theirs = compute_fid(
        *map(str, folders),
        mode="clean",
        num_workers=0,
        device=CPU,
        custom_feat_extractor=_quarters,
        use_dataparallel=False,
        verbose=False,
    )
    assert frechet(a, b) == pytest.approx(theirs, rel=1e-6)


MEMORY = """
import json, resource, sys
import torch
torch.set_num_threads(1)
from planted import OneColour
from benchmarks import measure
from models import features
from models.features import Extractor

class Noisy(OneColour):
    def levels(self, seed, column):
        return torch.rand(len(column), 3, 32, self.sizes.column_width) * 255

    def frames(self, ws, border, noise=None):
        return torch.rand(len(ws), 3, 32, 32) * 2 - 1

    def samples(self, seed, first, count, **_):
        return torch.rand(count, 3, 32, 32) * 2 - 1

def wide(images):
    return images[:, :, ::4, ::2].flatten(1).float()[:, :384]

extractor = Extractor("wide", 384, "0" * 64, "none", torch.device("cpu"), wide)
real = measure.real_statistics(torch.randint(0, 255, (400, 3, 32, 32)).byte(), extractor)
generator = Noisy()

def peak(frames):
    found = measure.infinity(generator, real.gaussian, extractor, range(2), frames)
    assert found.mean > 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

few = peak(200)
print(json.dumps({"few": few, "many": peak(int(sys.argv[1]))}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("frames", [10_000, pytest.param(50_000, marks=pytest.mark.long)])
def test_an_endless_measurement_takes_no_more_memory_for_more_frames(frames):
    """Held, 10,000 frames would take 29 MiB and their features 15 MiB; the highest mark rises by less than 8."""
    support = Path(__file__).parents[1] / "support"
    ran = subprocess.run(
        [sys.executable, "-c", MEMORY, str(frames)],
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": f"{support}:{Path(__file__).parents[2]}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["many"] - found["few"] < 8, found


def test_the_distance_of_the_pictures_to_themselves_is_nothing_and_grows_when_they_differ():
    extractor = features.small()
    images = tiny.images(120)
    real = measure.real_statistics(images, extractor).gaussian

    def away(others):
        return frechet(measure.real_statistics(others, extractor).gaussian, real)

    assert away(images.flip(0)) < 1e-6
    assert away(tiny.images(120, seed=1) // 2) > 3 * away(tiny.images(120, seed=1))


@pytest.mark.parametrize("model", ["stylegan2", "alis"])
def test_a_row_names_everything_its_numbers_depend_on(tmp_path, model):
    recipe = tiny.recipe(model, images=16)
    real = Pictures(tiny.images(), "tiny", "curated", "a" * 64, "c" * 64)
    runs.train(recipe, real, tmp_path / "run", CPU)
    measurement = Measurement(10, 0, 0, curve_frames=4, stretch=10)
    told = []
    found = evaluate.evaluate(tmp_path / "run", Reference(real, features.small()), measurement, CPU, "9.9", told.append)
    row, details = found.row, found.details
    assert sum(told) == evaluate.frames_to_measure(recipe, measurement)
    assert row.train_devices == f"1x cpu ({torch.get_num_threads()} threads)"
    assert (row.model, row.dataset, row.subset, row.subset_hash) == (model, "tiny", "curated", "a" * 64)
    assert (row.recipe_hash, row.images_seen, row.n_real, row.n_generated) == (recipe_hash(recipe), 16, 40, 10)
    assert (row.fid, row.infinity_fid) == (None, None), "no Inception, no FID"
    assert row.fd is not None
    assert row.fd > 0
    assert (row.infinity_fd is None, row.patches is None, row.infinity_setup is None) == ((model == "stylegan2"),) * 3
    endless = {row.infinity_fd, row.infinity_fd_error, row.repetition}
    assert (None in endless) == (model == "stylegan2")
    assert None not in {row.fd_error, row.kid, row.precision, row.recall}
    assert row.noise_use is None
    assert row.features == features.small().label
    assert details["independent"]["fd"] == pytest.approx(row.fd, rel=1e-5)
    assert details["speed"]["alone"]["repeats"] >= 3
    if model == "alis":
        assert row.infinity_setup == "2 panoramas of 10 frames, seeds 0-1"
        assert details["infinity"]["infinity_fd"] == pytest.approx(np.mean(details["infinity"]["each"]))
        assert details["infinity"]["control"] > 0
        assert [one["frames"] for one in details["connection_difficulty"]] == [4] * 5
    assert json.loads(json.dumps(details)) == details
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
        other = Reference(dataclasses.replace(real, **change), features.small())
        with pytest.raises(SetupError, match="was trained on other pictures"):
            evaluate.evaluate(tmp_path / "run", other, measurement, CPU, "9.9")


def test_every_budget_has_its_measurement():
    assert MEASUREMENTS["paper"].frames == 50_000
    assert all(one.panoramas > 1 for one in MEASUREMENTS.values())
