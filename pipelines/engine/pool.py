"""Runs workers over items, in this process or on Ray, with the same results.

Ray is started once per command, when the first item is there, without a dashboard, with quiet logs and no
telemetry. At most two batches wait per worker, so memory stays flat however many items there are.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from manifests.errors import MisuseError, SetupError
from pipelines.engine import threads, version

T = TypeVar("T")
Item_contra = TypeVar("Item_contra", contravariant=True)

PLACE, SESSION = "/tmp", "lhq-ray-"  # noqa: S108 (where Ray's own folder of a command lies: sockets need a short path)
ABANDONED_SECONDS = 86_400.0
QUEUED_PER_WORKER = 2
_BATCHES_PER_WORKER = 4  # at least so many, so that the workers end together
_OBJECT_STORE_BYTES = 256 * 1024**2  # only paths, rows and small artefacts travel


@dataclass(frozen=True)
class Batch:
    """What a worker did of the items it was given: their rows, and how many from the front."""

    rows: pa.Table
    done: int


class Worker(Protocol[Item_contra]):
    """Work on items, somewhere. Must be picklable; safe to repeat, for a batch may be run twice."""

    def setup(self) -> None:
        """Once per process, before the first batch: load weights, open handles."""

    def run(self, items: Sequence[Item_contra]) -> Batch:
        """Do the items from the front, all of them or as many as fit the worker's time slice (at least one)."""


def for_a_while(items: Iterable[T], seconds: float) -> Iterator[T]:
    """The items from the front until so many seconds have passed: at least one, if there is one."""
    until = time.monotonic() + seconds
    for item in items:
        yield item
        if time.monotonic() >= until:
            return


class Pool(Protocol):
    """Where workers run."""

    def run(
        self, worker: Worker[Any], items: Sequence[Any], batch: int, commit: Callable[[Batch], None], gpus: float = 0.0
    ) -> None:
        """Run every item, in batches of at most `batch`; `commit` is called here, in the driver, per batch."""

    def __enter__(self) -> Pool: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_pool(workers: int | None, ray_address: str | None = None) -> Pool:
    """`workers` 0: this process. None: one worker per core (of the cluster at `ray_address`, if given)."""
    if workers == 0 and ray_address is not None:
        raise MisuseError("--workers 0 works in this process: leave it out to use the cluster of --ray-address")
    if workers == 0:
        return InProcess()
    return OnRay(workers, ray_address)


class InProcess:
    """The reference: one worker, here, with all cores as its threads."""

    def run(
        self, worker: Worker[Any], items: Sequence[Any], batch: int, commit: Callable[[Batch], None], gpus: float = 0.0
    ) -> None:
        del gpus  # this process uses what it finds
        if not items:
            return
        threads.fix(threads.cores())
        worker.setup()
        at = 0
        while at < len(items):
            done = worker.run(items[at : at + batch])
            commit(done)
            at += done.done

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class OnRay:
    """Actors on a local Ray or a cluster. Leaves a tenth of the processors to the readers and the driver."""

    def __init__(self, workers: int | None, address: str | None) -> None:
        self._workers = workers
        self._address = address
        self._started = False
        self._session: str | None = None  # folder of a Ray of our own

    def __enter__(self) -> OnRay:
        if self._address is not None:
            _refuse_silence(self._address)
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False
        if self._session is not None:
            _remove(self._session)
            self._session = None

    def run(
        self, worker: Worker[Any], items: Sequence[Any], batch: int, commit: Callable[[Batch], None], gpus: float = 0.0
    ) -> None:
        if not items:
            return
        import ray

        self._start()
        cores = self._cores()
        count = min(self._workers or max(1, cores), len(items))
        share = min(1.0, 0.9 * cores / count)
        options = {
            "num_cpus": round(share, 3),
            "num_gpus": gpus,
            "max_restarts": 2,
            "max_task_retries": 2,
        }
        actor: Any = ray.remote(_Actor)
        thread_count = max(1, cores // count)
        actors = [actor.options(**options).remote(worker, thread_count) for _ in range(count)]
        try:
            _refuse_other_checkouts(actors)
            size = max(1, min(batch, -(-len(items) // (count * _BATCHES_PER_WORKER))))
            _feed(actors, _split(items, size), commit)
        finally:
            for one in actors:
                ray.kill(one)

    def _start(self) -> None:
        if self._started:
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        on_terminate = signal.getsignal(signal.SIGTERM)
        try:
            if self._address is not None:
                ray.init(address=self._address, logging_level=logging.ERROR, log_to_driver=False)
            else:
                _remove_abandoned()
                self._session = tempfile.mkdtemp(prefix=SESSION, dir=PLACE)
                print("starting Ray on this machine (--workers 0 goes without)", file=sys.stderr, flush=True)
                ray.init(
                    address="local",
                    _temp_dir=self._session,
                    num_cpus=threads.cores(),
                    include_dashboard=False,
                    object_store_memory=_OBJECT_STORE_BYTES,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                )
        except (ConnectionError, ValueError, RuntimeError) as error:
            where = self._address or "this machine"
            raise SetupError(f"Ray did not start on {where}: {error}; use --workers 0 to go without it") from error
        signal.signal(signal.SIGTERM, on_terminate)  # Ray puts in its own, which would end us without a word
        self._started = True

    def _cores(self) -> int:
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]


def _refuse_silence(address: str) -> None:
    """SetupError where nothing listens at host:port; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not (colon and port.isdigit()):
        return  # a name that Ray resolves, such as `auto`
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise SetupError(
            f"no Ray answers at --ray-address {address} ({error}); start one there with: ray start"
        ) from error


def _remove(folder: str) -> None:
    """Remove Ray's folder; its processes may write for a moment longer."""
    for _ in range(10):
        shutil.rmtree(folder, ignore_errors=True)
        if not Path(folder).exists():
            return
        time.sleep(0.2)


def _remove_abandoned() -> None:
    """Remove the folders of our commands that were killed, a day after."""
    for folder in Path(PLACE).glob(f"{SESSION}*"):
        facts = folder.stat()
        if facts.st_uid == os.getuid() and time.time() - facts.st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


class _Actor:
    """One worker process. Its state is the worker after `setup`."""

    def __init__(self, worker: Worker[Any], thread_count: int) -> None:
        threads.fix(thread_count)
        self._worker = worker
        self._ready = False

    def checkout(self) -> str:
        return version.checkout()

    def run(self, items: Sequence[Any]) -> Batch:
        if not self._ready:
            self._worker.setup()
            self._ready = True
        return self._worker.run(items)


def _refuse_other_checkouts(actors: Sequence[Any]) -> None:
    here = version.checkout()
    for there in _get([actor.checkout.remote() for actor in actors]):
        if there != here:
            raise SetupError(
                "a Ray node runs another checkout of LHQ Toolkit than this one; "
                "bring every node to the same commit and try again"
            )


def _split(items: Sequence[Any], size: int) -> deque[Sequence[Any]]:
    return deque(items[at : at + size] for at in range(0, len(items), size))


def _feed(actors: Sequence[Any], waiting: deque[Sequence[Any]], commit: Callable[[Batch], None]) -> None:
    """Keep every actor busy; commit in order of completion; hand back what a worker left for lack of time."""
    import ray

    running: dict[Any, tuple[Any, Sequence[Any]]] = {}
    idle = deque(actor for _ in range(QUEUED_PER_WORKER) for actor in actors)
    while waiting or running:
        while waiting and idle:
            actor, items = idle.popleft(), waiting.popleft()
            running[actor.run.remote(items)] = (actor, items)
        ready, _ = ray.wait(list(running), num_returns=1)
        actor, items = running.pop(ready[0])
        (batch,) = _get(ready)
        commit(batch)
        if batch.done < len(items):
            waiting.appendleft(items[batch.done :])
        idle.append(actor)


def _get(references: Sequence[Any]) -> list[Any]:
    """`ray.get` whose errors are the worker's own, and one line where a worker process died."""
    import ray

    try:
        return list(ray.get(list(references)))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayActorError as error:
        raise SetupError(
            "a worker process died more often than it may (out of memory, or killed); what was committed is kept: "
            "run the same command again with fewer --workers"
        ) from error
    except ray.exceptions.RayError as error:
        raise SetupError(f"Ray failed ({error}); what was committed is kept: run the same command again") from error
