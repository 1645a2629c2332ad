"""Workers run over every item exactly once, here or on Ray; errors arrive as themselves."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import SetupError
from pipelines.engine import crew
from pipelines.engine.pool import Batch, InProcess, open_pool
from pipelines.engine.ray_pool import OnRay, _share_gpus
from pipelines.engine.share import Share
from pipelines.web import keys


@dataclass
class Squares:
    """Squares numbers, at most `slice_` of a batch at a time; fails or dies at named numbers."""

    slice_: int
    fails_at: int | None = None
    dies_at: int | None = None
    died: Path | None = None  # dies only while this file is missing; None: always
    ready: bool = False

    def setup(self, share: Share) -> None:
        self.ready = True

    def run(self, items: Sequence[int]) -> Batch:
        assert self.ready
        mine = items[: self.slice_]
        if self.fails_at in mine:
            raise SetupError("weights are missing")
        if self.dies_at in mine and not (self.died and self.died.exists()):
            if self.died:
                self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return Batch(pa.table({"square": [item**2 for item in mine], "pid": [os.getpid()] * len(mine)}), len(mine))


class Environment:
    """Says what it inherited: the values of every variable."""

    def setup(self, share: Share) -> None:
        pass

    def run(self, items: Sequence[int]) -> Batch:
        return Batch(pa.table({"value": list(os.environ.values())}), len(items))


def run(pool, worker, items, batch=7) -> list[dict]:
    rows: list[dict] = []
    pool.run(worker, items, batch, lambda done: rows.extend(done.rows.to_pylist()))
    return rows


@settings(deadline=None)  # the machine may be busy
@given(count=st.integers(0, 50), slice_=st.integers(1, 9), batch=st.integers(1, 9))
def test_in_this_process_every_item_is_done_once_and_in_order(count, slice_, batch):
    with InProcess() as pool:
        rows = run(pool, Squares(slice_), list(range(count)), batch)
    assert [row["square"] for row in rows] == [item**2 for item in range(count)]


def test_no_workers_means_this_process_and_ray_otherwise():
    assert isinstance(open_pool(0), InProcess)
    assert isinstance(open_pool(2), OnRay)
    assert isinstance(open_pool(None), OnRay)


@pytest.fixture(scope="module")
def ray_pool():
    with pytest.MonkeyPatch.context() as environment, OnRay(2, None) as pool:
        environment.setenv(keys.FLICKR_KEY, "flickr-key-of-this-test")
        yield pool


@pytest.mark.slow
def test_on_ray_every_item_is_done_once_by_two_processes(ray_pool):
    rows = run(ray_pool, Squares(3), list(range(100)))
    assert sorted(row["square"] for row in rows) == [item**2 for item in range(100)]
    assert len({row["pid"] for row in rows}) == 2
    assert os.getpid() not in {row["pid"] for row in rows}


@pytest.mark.slow
def test_no_worker_inherits_a_key(ray_pool):
    values = [row["value"] for row in run(ray_pool, Environment(), [1])]
    assert os.environ["PATH"] in values
    assert "flickr-key-of-this-test" not in values


@pytest.mark.slow
def test_a_worker_error_arrives_as_itself(ray_pool):
    with pytest.raises(SetupError, match="weights are missing") as caught:
        run(ray_pool, Squares(3, fails_at=5), list(range(100)))
    assert "Traceback" not in str(caught.value)


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_nothing_is_lost(ray_pool, tmp_path):
    rows = run(ray_pool, Squares(3, dies_at=5, died=tmp_path / "died"), list(range(100)))
    assert (tmp_path / "died").exists()
    assert sorted({row["square"] for row in rows}) == [item**2 for item in range(100)]


@pytest.mark.slow
def test_a_worker_that_always_dies_ends_the_run_with_a_clear_line(ray_pool):
    with pytest.raises(SetupError, match="a worker process died"):
        run(ray_pool, Squares(3, dies_at=5), list(range(20)))


@pytest.mark.slow
def test_workers_of_another_checkout_are_refused(ray_pool, monkeypatch):
    monkeypatch.setattr(crew.version, "checkout", lambda: "another")
    with pytest.raises(SetupError, match="another checkout"):
        run(ray_pool, Squares(3), list(range(20)))


@pytest.mark.slow
def test_more_workers_than_cores_still_leave_room_and_end(ray_pool):
    with OnRay(5, None) as pool:
        pool._session._started = True  # share the module's Ray; this pool must not end it
        rows = run(pool, Squares(3), list(range(60)))
        pool._session._started = False
    assert len({row["pid"] for row in rows}) >= 2
    assert len(rows) == 60


def test_an_address_where_no_ray_listens_is_told_at_once():
    with pytest.raises(SetupError, match="no Ray answers"), OnRay(2, "127.0.0.1:1"):
        pass


@pytest.mark.parametrize(
    ("wanted", "count", "there", "each", "workers"),
    [
        (0.0, 16, 1.0, 0.0, 16),  # a stage that wants none takes none
        (0.25, 16, 0.0, 0.0, 16),  # none is there: the processors compute
        (0.25, 16, 1.0, 0.25, 4),
        (0.25, 2, 1.0, 0.25, 2),
        (0.25, 64, 8.0, 0.25, 32),
        (1.0, 4, 0.5, 1.0, 1),
    ],
)
def test_graphics_cards_are_shared_by_as_many_workers_as_the_stage_says(wanted, count, there, each, workers):
    assert _share_gpus(wanted, count, there) == (each, workers)
