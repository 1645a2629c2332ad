"""What may pass is tried again; what fills a whole run, and any bug, stops it; attempts run out."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from encoding import encode
from PIL import Image

from manifests import atomic, schema
from manifests.dataset import Dataset
from manifests.errors import InputError, SetupError, TransientError
from manifests.records import Photo
from manifests.store import ImageStore, Written
from pipelines import crawl, fetch
from pipelines.engine.pool import InProcess
from pipelines.engine.share import Share
from pipelines.sources.base import Fetched, Fetcher, Found, Listing, Page, Source, Wanted


@dataclass(frozen=True)
class Listed(Source):
    """A source of photos that never change, with a fetcher of the test's own."""

    ids: Sequence[str]
    fetch: Fetcher
    queries: Sequence[str] = ("all",)
    name: str = "trial"
    lists_anew: bool = True

    def pages(self, listing: Listing) -> Iterator[Page]:
        now = datetime.now(UTC)
        for query in self.queries:
            photos = [Photo(f"{self.name}:{one}", self.name, one, now) for one in self.ids]
            yield Page([Found(photo, query, rank) for rank, photo in enumerate(photos)])

    def fetcher(self) -> Fetcher:
        return self.fetch


PICTURE = encode(Image.new("RGB", (4, 4)), "PNG")


@dataclass(frozen=True)
class Fetching:
    """Fetches one picture; what `trouble` returns for a photo id is raised instead."""

    trouble: Callable[[str], Exception | None]
    each_its_own: bool = False  # bytes
    parallel: int = 1
    most_workers: int | None = None

    def open(self, share: Share) -> Fetching:
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        if (error := self.trouble(wanted.photo_id)) is not None:
            raise error
        return Fetched(PICTURE + wanted.photo_id.encode() if self.each_its_own else PICTURE)


def unreachable(photo_id: str) -> Exception:
    return TransientError("the host does not answer")


def numbered(count: int) -> list[str]:
    return [f"{at:05d}" for at in range(count)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.open_or_create(tmp_path / "d", "test")


def run(dataset: Dataset, source: Listed, **wish: bool) -> crawl.Crawled:
    with InProcess() as pool:
        return crawl.run(dataset, [source], pool, crawl.Wish(**wish))


def states(dataset: Dataset) -> dict[str, int]:
    found = dataset.files()["status"].to_pylist()
    return {state: found.count(state) for state in set(found)}


def test_one_photo_of_two_queries_has_one_row_two_sightings_and_is_fetched_once(dataset):
    asked: list[str] = []
    source = Listed(numbered(5), Fetching(asked.append), queries=("lake", "hill"))
    done = run(dataset, source)
    assert (done.found, done.new, done.fetched) == (5, 5, 5)
    assert asked == [f"trial:{one}" for one in numbered(5)]
    assert dataset.photos_table.row_count() == 5
    assert dataset.sightings_table.row_count() == 10
    assert dataset.photos()["queries"].to_pylist() == [["hill", "lake"]] * 5


def test_so_many_passing_troubles_in_a_row_stop_the_run_with_failed_rows(dataset, monkeypatch):
    monkeypatch.setattr(fetch, "BATCH", 64)
    source = Listed(numbered(crawl.BROKEN_RUN + 200), Fetching(unreachable))
    with pytest.raises(SetupError, match="the host does not answer") as caught:
        run(dataset, source)
    assert str(crawl.BROKEN_RUN) in str(caught.value)
    assert "run the same command again" in str(caught.value)
    tried = states(dataset)[schema.FAILED]
    assert states(dataset) == {schema.FAILED: tried}
    assert crawl.BROKEN_RUN <= tried < crawl.BROKEN_RUN + 64
    done = run(dataset, Listed(source.ids, Fetching(lambda _: None)))
    assert (done.fetched, done.failed) == (len(source.ids), 0)
    assert states(dataset) == {schema.OK: len(source.ids)}


def test_a_broken_run_is_told_from_one_in_which_anything_succeeds(dataset):
    last = numbered(crawl.BROKEN_RUN)[-1]
    ids = numbered(2 * crawl.BROKEN_RUN - 1)
    done = run(dataset, Listed(ids, Fetching(lambda one: None if one.endswith(last) else unreachable(one))))
    assert (done.fetched, done.failed) == (1, len(ids) - 1)


def test_bad_inputs_never_stop_a_run_however_many(dataset):
    ids = numbered(crawl.BROKEN_RUN + 50)
    done = run(dataset, Listed(ids, Fetching(lambda _: InputError("gone"))))
    assert done.given_up == {"gone": len(ids)}
    assert (done.failed, states(dataset)) == (0, {schema.GIVEN_UP: len(ids)})


def test_attempts_run_out_and_the_photo_is_given_up_until_it_is_asked_for_again(dataset):
    source = Listed(["shy", "good"], Fetching(lambda one: unreachable(one) if one.endswith("shy") else None))
    for attempt in range(1, crawl.ATTEMPTS):
        done = run(dataset, source)
        assert (done.failed, done.given_up) == (1, {}), attempt
    done = run(dataset, source)
    assert (done.failed, done.given_up) == (0, {"out of attempts: the host does not answer": 1})
    rows = dataset.files_table.row_count()
    assert run(dataset, source).given_up == {}
    assert dataset.files_table.row_count() == rows
    for _ in range(2):
        done = run(dataset, source, retry_failed=True)
        assert (done.failed, done.given_up) == (1, {}), "asked for, it gets all its attempts again"
    assert run(dataset, source).failed == 1
    done = run(dataset, Listed(source.ids, Fetching(lambda _: None)), retry_failed=True)
    assert (done.fetched, states(dataset)) == (1, {schema.OK: 2})


def test_an_outage_stops_every_run_also_the_one_in_which_attempts_run_out(dataset, monkeypatch):
    monkeypatch.setattr(crawl, "BROKEN_RUN", 20)
    monkeypatch.setattr(fetch, "BATCH", 8)
    source = Listed(numbered(100), Fetching(unreachable))
    for _ in range(crawl.ATTEMPTS + 2):
        with pytest.raises(SetupError, match="the last 20 attempts all failed"):
            run(dataset, source)
    assert schema.GIVEN_UP not in states(dataset), "an outage is not the photos' fault"
    assert run(dataset, Listed(source.ids, Fetching(lambda _: None))).fetched == len(source.ids)


def test_a_bug_of_ours_stops_the_run_and_leaves_no_row_for_it(dataset, monkeypatch):
    monkeypatch.setattr(fetch, "BATCH", 4)
    ids = numbered(12)
    with pytest.raises(ZeroDivisionError):
        run(dataset, Listed(ids, Fetching(lambda one: ZeroDivisionError() if one.endswith(ids[9]) else None)))
    assert states(dataset) == {schema.OK: 8}
    assert not list(dataset.root.rglob(f"{atomic.TEMPORARY}*"))


def test_a_crawl_that_ends_by_an_error_leaves_nothing_of_what_its_threads_were_writing(dataset, monkeypatch):
    place = ImageStore.name

    def place_slowly(store: ImageStore, images: Sequence[Written]) -> None:
        time.sleep(0.2)  # so that others are written meanwhile, and wait
        place(store, images)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(ImageStore, "name", place_slowly)
    monkeypatch.setattr(fetch, "PART", 1)
    monkeypatch.setattr(crawl._Crawl, "_commit_batch", full)
    with pytest.raises(OSError, match="no space left"):
        run(dataset, Listed(numbered(40), Fetching(lambda _: None, each_its_own=True, parallel=4)))
    for _ in range(2):
        assert not list(dataset.root.rglob(f"{atomic.TEMPORARY}*"))
        time.sleep(0.5)  # nor does a thread write any more
