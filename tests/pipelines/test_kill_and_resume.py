"""A killed crawl or filter, run again, ends as one that was never killed; both engine modes give equal tables."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from comparing import assert_equal_datasets
from matrices import mostly_long
from running import kill_after, run_until_killed

STAGES = ("--tags", "--resolution", "--duplicates", "--objects", "--likelihood", "--invariance")
SETTINGS = ("resolution.min_side=90", "objects.detector=small", "likelihood.features=small", "invariance.folds=2")
FILTER = (*STAGES, *(part for one in SETTINGS for part in ("--set", one)))
CRAWL_POINTS = ("part.write.inside", "part.write.inside:3", "crawl.placed", "crawl.placed:2")
IN_DUPLICATES = "measure.returned:8"  # its second batch: five of likelihood and one of invariance come before
FILTER_POINTS = (
    "part.write.inside",
    "fit.inside",  # of likelihood
    "fit.inside:6",  # of invariance, which is reached after five batches of photos
    "fit.before_store",
    "fit.before_store:2",
    "measure.returned",
    IN_DUPLICATES,
    *("recipe.before_replace:2", "recipe.before_replace:3", "recipe.before_replace:4"),
)
IN_PROCESS, TWO_WORKERS = ("--workers", "0"), ("--workers", "2")


@dataclass(frozen=True)
class Unbroken:
    """The reference: a dataset crawled and filtered without a break, and its state after the crawl."""

    folder: Path
    crawled: Path
    filtered: Path
    crawl_seconds: float
    filter_seconds: float

    def crawl(self, dataset: Path, mode: Sequence[str]) -> list[object]:
        folder = ("--source", "folder", "--path", self.folder, "--metadata", self.folder / "metadata.csv")
        second_batch = (
            "--source",
            "synthetic",
            "--seed",
            "3",
            "--limit",
            "4",
            "--copies",
            "--objects",
        )  # three scenes twice
        return ["crawl", dataset, *folder, *second_batch, *mode]

    def filter(self, dataset: Path, mode: Sequence[str]) -> list[object]:
        return ["filter", dataset, *FILTER, *(part for one in SETTINGS for part in ("--set", one)), *mode]


@pytest.fixture(scope="module")
def unbroken(painted, lhq, tmp_path_factory) -> Unbroken:
    place = tmp_path_factory.mktemp("unbroken")
    reference = Unbroken(painted, place / "crawled", place / "filtered", 0.0, 0.0)
    started = time.monotonic()
    assert lhq(*reference.crawl(reference.crawled, IN_PROCESS)).code == 0
    crawled = time.monotonic()
    shutil.copytree(reference.crawled, reference.filtered)
    ran = lhq(*reference.filter(reference.filtered, IN_PROCESS), "--json")
    assert ran.code == 0, ran.err
    assert ran.json["stages"]["duplicates"]["rejected"] > 0
    return Unbroken(painted, place / "crawled", place / "filtered", crawled - started, time.monotonic() - crawled)


def again_and_compare(lhq, arguments: Sequence[object], dataset: Path, reference: Path) -> None:
    ran = lhq(*arguments)
    assert ran.code == 0, ran.err
    assert_equal_datasets(dataset, reference)
    assert not list(dataset.rglob(".tmp-*")), "leftovers of the killed run were not swept"


@pytest.mark.slow
@pytest.mark.parametrize("point", mostly_long(CRAWL_POINTS, ("crawl.placed",)))
def test_crawl_killed_at_a_named_point_ends_as_an_unbroken_one(unbroken, lhq, tmp_path, point):
    arguments = unbroken.crawl(tmp_path / "d", IN_PROCESS)
    assert run_until_killed(arguments, {"LHQ_FAULT": point}) == -signal.SIGKILL
    again_and_compare(lhq, arguments, tmp_path / "d", unbroken.crawled)


@pytest.mark.slow
@pytest.mark.parametrize("point", mostly_long(FILTER_POINTS, (IN_DUPLICATES,)))
def test_filter_killed_at_a_named_point_ends_as_an_unbroken_one(unbroken, lhq, tmp_path, point):
    shutil.copytree(unbroken.crawled, tmp_path / "d")
    arguments = unbroken.filter(tmp_path / "d", IN_PROCESS)
    assert run_until_killed(arguments, {"LHQ_FAULT": point}) == -signal.SIGKILL
    again_and_compare(lhq, arguments, tmp_path / "d", unbroken.filtered)


RANDOM_KILLS = [  # test_faults.py has one of these always
    pytest.param(seed, mode, id=f"{name}-{seed}", marks=pytest.mark.long)
    for name, mode in (("here", IN_PROCESS), ("ray", TWO_WORKERS))
    for seed in (1, 2, 3)
]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "mode"), RANDOM_KILLS)
def test_crawl_and_filter_killed_at_random_end_as_unbroken_ones(unbroken, lhq, tmp_path, seed, mode):
    dice = random.Random(seed)
    dataset = tmp_path / "d"
    arguments = unbroken.crawl(dataset, mode)
    kill_after(arguments, dataset / "dataset.json", dice.uniform(0, unbroken.crawl_seconds))
    again_and_compare(lhq, arguments, dataset, unbroken.crawled)
    arguments = unbroken.filter(dataset, mode)
    kill_after(arguments, dataset / "subsets", dice.uniform(0, unbroken.filter_seconds))
    again_and_compare(lhq, arguments, dataset, unbroken.filtered)


@pytest.mark.slow
def test_both_engine_modes_give_equal_tables(unbroken, lhq, tmp_path):
    dataset = tmp_path / "d"
    for arguments in (unbroken.crawl(dataset, TWO_WORKERS), unbroken.filter(dataset, TWO_WORKERS)):
        ran = lhq(*arguments)
        assert ran.code == 0, ran.err
    assert_equal_datasets(dataset, unbroken.filtered)
