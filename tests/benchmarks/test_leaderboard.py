"""Leaderboards: the columns of the design, no row lost, only comparable rows ranked together."""

import dataclasses

import pandas as pd
import pytest

from benchmarks import leaderboard
from benchmarks.leaderboard import COLUMNS, Row
from manifests.errors import SetupError
from models.weights import REGISTRY

INCEPTION = f"inception-2015-12-05@{REGISTRY['inception'].sha256}"
DESIGN = (
    "model, dataset, subset, subset_hash, resolution, budget, recipe_hash, anchor_distance, patches, infinity_setup, "
    "images_seen, train_hours, train_devices, fid, infinity_fid, fd, infinity_fd, features, resize, n_real, "
    "n_generated, ms_per_image, images_per_s, panorama_ms_per_frame, gmac, sampling, kid, precision, recall, fd_error, "
    "infinity_fd_error, seam, repetition, noise_use, generator, discriminator, total, device, dtype, threads, seed, "
    "toolkit, date, origin"
)


def row(**changed: object) -> Row:
    values = {
        "model": "alis",
        "dataset": 'lhq, the "landscapes"\nof it',
        "subset": "curated",
        "subset_hash": "a" * 64,
        "resolution": 256,
        "budget": "smoke",
        "recipe_hash": "b" * 64,
        "fd": 0.1 + 0.2,
        "features": "small-conv@c",
        "resize": "none",
        "n_real": 100,
        "n_generated": 50,
    }
    return Row(**{**values, **changed})  # type: ignore[arg-type]


def test_the_columns_are_exactly_those_of_the_design():
    assert ", ".join(COLUMNS) == DESIGN


def test_rows_read_back_equal_and_pandas_reads_the_file(tmp_path):
    path = tmp_path / "boards" / "lhq.csv"
    rows = [row(), row(model="stylegan2", fd=None, fid=3.5, features=INCEPTION, threads=2), row(fd=1e-300)]
    assert all(leaderboard.add(path, one) for one in rows)
    assert leaderboard.read(path) == rows
    assert list(pd.read_csv(path).columns) == list(COLUMNS)
    assert len(pd.read_csv(path)) == 3


def test_the_very_same_row_is_added_once(tmp_path):
    assert leaderboard.add(tmp_path / "a.csv", row())
    assert not leaderboard.add(tmp_path / "a.csv", row())
    assert leaderboard.read(tmp_path / "a.csv") == [row()]


def test_measured_again_a_run_shows_its_last_row_and_loses_none(tmp_path):
    first, again, other = row(date="1"), row(date="2", fd=0.5), row(seed=7)
    for one in (first, other, again):
        leaderboard.add(tmp_path / "a.csv", one)
    rows = leaderboard.read(tmp_path / "a.csv")
    assert len(rows) == 3
    assert leaderboard.latest(rows) == [again, other]


def test_rows_are_ranked_by_distance_among_comparable_ones_only():
    worse, better, unmeasured = row(fd=2.0), row(fd=1.0, model="stylegan2"), row(fd=None, seed=1)
    apart = [
        row(**{name: value})
        for name, value in {
            "dataset": "x",
            "subset_hash": "d" * 64,
            "resolution": 128,
            "features": "inception@e",
            "resize": "clean",
            "n_real": 99,
            "n_generated": 49,
        }.items()
    ]
    groups = leaderboard.ranked([worse, *apart, unmeasured, better])
    assert groups == [[better, worse, unmeasured], *([one] for one in apart)]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: "", "not a leaderboard"),
        (lambda text: text.replace("fid,", "score,", 1), "line 1, fid: this column is missing"),
        (lambda text: text.replace(",100,", ",many,"), r"line 3, n_real: 'many'"),  # the first row has two lines
        (lambda text: text.replace(",100,", ",-,"), r"line 3, n_real"),
        (lambda text: text.replace(repr(0.1 + 0.2), "nan"), r"line 3, fd: 'nan'"),
        (lambda text: text.rstrip("\n") + ",1\n", r"line 3: \d+ cells"),
        (lambda text: text.replace('"', "", 1), r"line \d"),
    ],
)
def test_a_damaged_file_is_refused_with_the_place(tmp_path, damage, says):
    path = tmp_path / "a.csv"
    leaderboard.add(path, row())
    path.write_text(damage(path.read_text()))
    before = path.read_bytes()
    with pytest.raises(SetupError, match=says):
        leaderboard.read(path)
    with pytest.raises(SetupError):
        leaderboard.add(path, row(model="new"))
    assert path.read_bytes() == before


def test_fid_counts_before_fd():
    assert dataclasses.replace(row(), fid=9.0, features=INCEPTION).distance == 9.0
