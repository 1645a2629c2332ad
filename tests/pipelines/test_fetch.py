"""A fetch worker hands in what it has, goes on with what it has begun, and never fetches a photo twice."""

from __future__ import annotations

import errno
import pickle
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from manifests import atomic, schema
from manifests.errors import InputError, TransientError
from pipelines import fetch
from pipelines.engine.feed import ClosedError
from pipelines.engine.share import Share
from pipelines.fetch import FetchWorker
from pipelines.sources.base import Fetched, Fetcher, HostDownError, RefusedError, Wanted


@dataclass(frozen=True)
class Timed:
    """A GIF of its own for every photo, after as many seconds as `seconds` says (0 by default)."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    parallel: int = 4
    most_workers: int | None = None

    def open(self, share: Share) -> Timed:
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        asked.append(wanted.photo_id)
        time.sleep(self.seconds.get(wanted.photo_id, 0.0))
        troubles = {
            "gone": RefusedError("HTTP 410", 410),
            "bad": InputError("no picture"),
            "busy": TransientError("busy"),
            "down": HostDownError("down"),
            "bug": ZeroDivisionError(),
        }
        if wanted.photo_id in troubles:
            raise troubles[wanted.photo_id]
        return Fetched(GIF + wanted.photo_id.encode(), 200)


GIF = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
asked: list[str] = []


@pytest.fixture(autouse=True)
def nothing_asked() -> None:
    asked.clear()


def worker_on(root: Path, **fetchers: Fetcher) -> FetchWorker:
    worker = pickle.loads(pickle.dumps(FetchWorker(root, fetchers)))  # as it travels
    worker.setup(Share())
    return worker


def photos(*names: str, source: str = "a") -> list[Wanted]:
    return [Wanted(name, source=source) for name in names]


def numbered(count: int) -> list[Wanted]:
    return photos(*(f"{number:03d}" for number in range(count)))


def rows(batch) -> dict[str, dict]:
    return {row["photo_id"]: row for row in batch.rows.to_pylist()}


def test_a_part_of_a_large_batch_is_handed_in_and_the_rest_goes_on_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "SECONDS", 60.0)
    worker = worker_on(tmp_path, a=Timed())
    first = worker.run(numbered(100))
    assert fetch.PART == first.done == first.rows.num_rows < 100
    assert list(first.left) == []
    while len(asked) < 100:  # its threads go on
        time.sleep(0.01)
    given = list(first.kept)
    done = set(rows(first))
    while given:
        batch = worker.run(given)
        assert done.isdisjoint(rows(batch))
        done |= set(rows(batch))
        given = list(batch.kept)
    assert len(done) == 100
    assert set(Counter(asked).values()) == {1}
    assert len([path for path in (tmp_path / "images").rglob("*") if path.is_file()]) == 100


def test_after_a_second_what_is_not_begun_is_left_and_what_is_begun_is_kept(tmp_path):
    slow = Timed({f"{number:03d}": 5.0 for number in range(2, 20)}, parallel=2)
    batch = worker_on(tmp_path, a=slow).run(numbered(20))
    assert batch.done == 2
    assert [one.photo_id for one in batch.kept] == ["002", "003"]
    assert [one.photo_id for one in batch.left] == [f"{number:03d}" for number in range(4, 20)]


@pytest.mark.slow
def test_one_slow_photo_holds_nobody_up_and_is_handed_in_when_it_is_there(tmp_path):
    worker = worker_on(tmp_path, a=Timed({"000": 2.5}, parallel=2))
    began = time.monotonic()
    batch = worker.run(numbered(10))
    assert batch.done == 9, "the slow one was not waited for"
    for _ in range(2):
        batch = worker.run([*batch.kept, *photos(f"more {began}{_}")])
        if "000" in rows(batch):
            break
    assert "000" in rows(batch)
    assert Counter(asked)["000"] == 1


def test_every_trouble_has_its_row_but_a_host_that_is_down(tmp_path):
    batch = worker_on(tmp_path, a=Timed()).run(photos("good", "gone", "bad", "busy", "down"))
    said = {name: (row["status"], row["error"], row["http_status"]) for name, row in rows(batch).items()}
    assert said == {
        "good": (schema.OK, None, 200),
        "gone": (schema.GIVEN_UP, "HTTP 410", 410),
        "bad": (schema.GIVEN_UP, "no picture", None),
        "busy": (schema.FAILED, "busy", None),
    }
    assert batch.done == 5


def test_a_bug_is_raised_and_nothing_is_left_half_placed(tmp_path):
    with pytest.raises(ZeroDivisionError):
        worker_on(tmp_path, a=Timed(parallel=1)).run(photos("good", "bug", "never"))
    assert not list((tmp_path / "images").rglob(f"{atomic.TEMPORARY}*"))
    assert asked[:2] == ["good", "bug"]


def test_each_source_has_threads_of_its_own(tmp_path):
    before = threading.active_count()
    slow = Timed({"s0": 5.0, "s1": 5.0}, parallel=2)
    worker = worker_on(tmp_path, a=Timed(parallel=3), slow=slow)
    batch = worker.run([*photos("s0", "s1", source="slow"), *numbered(12)])
    assert set(rows(batch)) == {f"{number:03d}" for number in range(12)}
    assert [one.photo_id for one in batch.kept] == ["s0", "s1"]
    assert threading.active_count() - before <= 6  # and the one that places


def test_a_full_disk_is_raised_and_nothing_is_left_half_placed(tmp_path, monkeypatch):
    worker = worker_on(tmp_path, a=Timed())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(atomic, "fsync_all", full)
    monkeypatch.setattr(atomic, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        worker.run(numbered(20))
    time.sleep(0.3)
    assert not list((tmp_path / "images").rglob(f"{atomic.TEMPORARY}*"))


def test_a_worker_that_was_stopped_writes_nothing_any_more(tmp_path):
    worker = worker_on(tmp_path, a=Timed({"slow": 1.5}, parallel=2))
    assert [one.photo_id for one in worker.run(photos("quick", "slow")).kept] == ["slow"]
    worker.stop()
    before = sorted((tmp_path / "images").rglob("*"))
    time.sleep(1.0)
    assert sorted((tmp_path / "images").rglob("*")) == before
    with pytest.raises(ClosedError):
        worker.run(photos("slow"))
