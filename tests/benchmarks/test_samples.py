"""Sample pictures: at even ticks, the same frames each time, of the running average alone."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from benchmarks import measure, networks, samples


def test_ticks_are_even_with_the_start_and_the_end_and_bounded():
    assert samples.ticks(tiny.recipe("alis", images=80)) == {0, 20}
    assert samples.ticks(tiny.recipe("alis", images=4_000, batch=16)) == {0, 62, 125, 187, 250}
    many = sorted(samples.ticks(tiny.recipe("alis", images=25_000_000, batch=64)))
    assert len(many) == samples.TICKS + 1
    assert (many[0], many[-1]) == (0, 390_625)
    assert max(np.diff(many)) - min(np.diff(many)) <= 1


@pytest.mark.parametrize("model", ["stylegan2", "alis", "locogan"])
def test_the_square_and_the_strip_hold_the_frames_of_the_seed(tmp_path, model):
    generator, _ = networks.build(tiny.recipe(model))
    generator.eval()
    paths = samples.draw(generator, tmp_path, 5)
    names = ["00000005.png"] + ["00000005-panorama.png"] * (model != "stylegan2")
    assert [path.name for path in paths] == names
    with torch.no_grad():
        frames = measure.pixels(generator.samples(samples.SEED, 0, 36))
    square = np.asarray(Image.open(paths[0]), dtype=int)
    assert square.shape == (96, 96, 3)
    for at in (0, 5, 6, 35):  # rows of six
        row, column = divmod(at, 6)
        shown = square[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        assert np.abs(shown - frames[at].permute(1, 2, 0).numpy().astype(int)).max() <= 1
    assert square[:16, :16].std() > 1
    if model != "stylegan2":
        columns = samples.STRIP_FRAMES * generator.sizes.frame_columns
        whole = measure.pixels(generator.columns(samples.SEED, 0, columns)).permute(1, 2, 0).numpy().astype(int)
        strip = np.asarray(Image.open(paths[1]), dtype=int)
        assert strip.shape == (16, 128, 3)
        assert np.abs(strip - whole).max() <= 1


def test_pictures_of_later_steps_are_dropped_and_other_files_stay(tmp_path):
    generator, _ = networks.build(tiny.recipe("alis"))
    for step in (0, 10, 20):
        samples.draw(generator, tmp_path, step)
    (tmp_path / samples.FOLDER / "mine.png").write_bytes(b"dear")
    (tmp_path / samples.FOLDER / ".tmp-1-00000030.png").write_bytes(b"half")
    before = (tmp_path / samples.FOLDER / "00000010.png").read_bytes()
    samples.drop_after(tmp_path, 10)
    assert (list(samples.grids(tmp_path)), list(samples.strips(tmp_path))) == ([0, 10], [0, 10])
    left = {path.name for path in (tmp_path / samples.FOLDER).iterdir()}
    assert left == {"00000000.png", "00000000-panorama.png", "00000010.png", "00000010-panorama.png", "mine.png"}
    assert (tmp_path / samples.FOLDER / "00000010.png").read_bytes() == before


def test_large_frames_make_a_small_square():
    assert [samples.per_row(resolution) for resolution in (16, 64, 256, 512, 1024)] == [6, 6, 4, 2, 2]
