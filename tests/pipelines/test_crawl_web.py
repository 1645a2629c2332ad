"""The crawl of both web sources, as a user starts it, against a made-up web: complete, exact, safe to kill."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FakeWeb, Plan
from fakes import flickr as fake_flickr
from fakes import unsplash as fake_unsplash
from fakes.faults import FLICKR_API, FLICKR_IMAGES, IMAGES, UNSPLASH_API, UNSPLASH_IMAGES, Fault, everything
from web_crawl import CONNECTIONS, Crawl, assert_complete, made_up

from manifests.dataset import Dataset
from pipelines.engine.ray_session import PLACE, SESSION

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


@pytest.mark.parametrize("crawl", [(120, 4, Plan())], indirect=True)
def test_what_the_tags_reject_is_listed_and_not_downloaded(crawl, lhq, tmp_path):
    """As the README says: list, filter by metadata, then fetch what is still wanted."""
    assert crawl.run("--metadata-only", "--full-tags", "--workers", 0).returncode == 0
    assert not crawl.web.entries(*IMAGES)
    unwanted = tmp_path / "unwanted.txt"
    unwanted.write_text("snowpeak\n")
    filtered = lhq("filter", crawl.dataset, "--tags", "--set", f"tags.blacklist={unwanted}", "--workers", 0)
    assert filtered.code == 0, filtered.err
    ran = crawl.run("--full-tags", "--workers", 0, "--json")
    assert ran.returncode == 0, ran.stderr
    wanted = crawl.web.world.wanted(crawl.queries)
    without = {one for one in wanted if "Snow Peak" not in crawl.web.world.shots[one].tags}
    assert 10 < len(without) < len(wanted) - 10
    files = Dataset.open(crawl.dataset).files()
    assert set(files["photo_id"].to_pylist()) == without
    assert json.loads(ran.stdout)["unwanted"] == len(wanted) - len(without)
    asked = Counter(entry.item for entry in crawl.web.entries(UNSPLASH_API) if entry.item.startswith("search"))
    assert max(asked.values()) == 1, "the second crawl lists nothing anew"


@pytest.mark.parametrize("crawl", [(40, 2, Plan())], indirect=True)
def test_without_a_permission_of_unsplash_only_metadata_is_written(crawl):
    command = crawl.command("--workers", 0)
    at = command.index("--have-permission")
    del command[at : at + 2]
    ran = subprocess.run(command, env=crawl.env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Unsplash Dataset" in ran.stdout
    assert not crawl.web.entries(UNSPLASH_IMAGES)
    assert not [entry for entry in crawl.web.entries(UNSPLASH_API) if not entry.item.startswith("search")]
    assert crawl.web.entries(FLICKR_IMAGES)


@pytest.mark.parametrize("crawl", [(300, 6, SLOW_IMAGES)], indirect=True)
def test_no_key_stands_in_any_file_also_of_ray_and_of_a_killed_crawl(crawl):
    sessions = set(Path(PLACE).glob(f"{SESSION}*"))
    process = subprocess.Popen(
        crawl.command("--workers", 2), env=crawl.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 120
    while not crawl.web.entries(*IMAGES):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    assert crawl.run("--workers", 0).returncode == 0
    session = set(Path(PLACE).glob(f"{SESSION}*")) - sessions
    places = [crawl.dataset, crawl.place / "state", *session]
    files = {path: path.read_bytes() for place in places for path in place.rglob("*") if path.is_file()}
    assert any(path.suffix == ".sqlite" for path in files)
    assert any("logs" in path.parts for path in files), "Ray's logs are there"
    dataset = Dataset.open(crawl.dataset)
    cells = b"".join(
        repr(table.read().to_pylist()).encode()
        for table in (dataset.photos_table, dataset.sightings_table, dataset.files_table)
    )
    for key in (fake_unsplash.KEY, fake_flickr.KEY, fake_flickr.SECRET):
        for name, text in {**files, Path("cells"): cells, Path("output"): said}.items():
            assert key.encode() not in text, name
    for left in session:
        shutil.rmtree(left, ignore_errors=True)
