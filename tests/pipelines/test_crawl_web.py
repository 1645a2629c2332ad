"""The crawl of both web sources, as a user starts it, against a made-up web: complete, exact, safe to kill."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeWeb, Plan
from fakes.faults import FLICKR_API, IMAGES, UNSPLASH_API, Fault, everything
from web_crawl import CONNECTIONS, Crawl, assert_complete, made_up

pytestmark = pytest.mark.slow  # each runs the program, with thousands of real requests


@pytest.fixture
def crawl(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Crawl]:
    photos, queries, plan = request.param
    world, asked = made_up(photos, queries)
    with FakeWeb(world, plan) as web:
        yield Crawl(web, tmp_path, asked)


@pytest.mark.parametrize("crawl", [(160, 6, Plan())], indirect=True)
@pytest.mark.parametrize("workers", [0, 2])
def test_both_sources_end_as_exactly_the_photos_that_exist(crawl, workers):
    ran = crawl.run("--workers", workers)
    assert ran.returncode == 0, ran.stderr
    assert_complete(crawl)
    asked = Counter((entry.place, entry.item) for entry in crawl.web.entries())
    assert max(asked.values()) == 1, "nothing was asked for twice"
    before = len(crawl.web.log)
    assert crawl.run("--workers", 0).returncode == 0
    assert len(crawl.web.log) == before, "a second run asks for nothing"


HARSH = everything(passing=0.02, final=0.02, seconds=0.5)


@pytest.mark.parametrize("crawl", [(120, 4, HARSH)], indirect=True)
def test_every_kind_of_fault_is_survived(crawl):
    crawl.run_to_the_end("--workers", 0)
    assert_complete(crawl)
    assert len(crawl.web.faults()) >= 20


@pytest.mark.long
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    "crawl",
    [
        (
            3000,
            40,
            Plan(
                [
                    *(one for one in everything(passing=0.006, final=0.006).faults if one.place != FLICKR_API),
                    *(one for one in everything(passing=0.04).faults if one.place == FLICKR_API),
                ]
            ),
        )
    ],
    indirect=True,
)
def test_three_thousand_photos_with_every_fault_on(crawl):
    crawl.run_to_the_end("--workers", 2)
    assert_complete(crawl)
    struck = crawl.web.faults()
    assert all(struck[kind] >= 5 for kind in {fault.kind for fault in crawl.web.plan.faults}), struck


def kill_at_random(crawl: Crawl, dice: random.Random, longest: float, *more: object) -> bool:
    """Start the crawl and SIGKILL it after up to so many seconds; False where it ended before."""
    process = subprocess.Popen(
        crawl.command(*more), env=crawl.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    began = time.monotonic()
    while process.poll() is None and not (crawl.dataset / "dataset.json").exists():
        time.sleep(0.01)
        assert time.monotonic() < began + 60
    try:
        process.wait(dice.uniform(0.2, longest))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


SLOW_IMAGES = Plan([Fault("slow", place, 1.0, times=1, seconds=0.5) for place in IMAGES])


@pytest.mark.parametrize("crawl", [(400, 10, SLOW_IMAGES)], indirect=True)
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.long)])
def test_killed_ten_times_it_ends_the_same_and_asks_for_little_twice(crawl, workers):
    """A page that was asked for when the kill came may be asked for again: one per source and kill."""
    dice, kills = random.Random(4), 0
    for _ in range(10):
        kills += kill_at_random(crawl, dice, 4.0 if workers == 0 else 12.0, "--workers", workers)
    assert kills >= 5, "the crawl ended too early to be killed"
    crawl.run_to_the_end("--workers", workers)
    assert_complete(crawl)
    for place in (UNSPLASH_API, FLICKR_API):
        pages = Counter(entry.item for entry in crawl.web.entries(place) if entry.item.startswith("search"))
        assert sum(count - 1 for count in pages.values()) <= kills, place
    fetched = Counter((entry.place, entry.item) for entry in crawl.web.entries(*IMAGES))
    again = sum(count - 1 for count in fetched.values())
    assert again <= kills * (CONNECTIONS + 256 * max(1, workers))
