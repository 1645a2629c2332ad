"""Several processes or machines train one run, or several runs at once.

One run: Ray Train starts the processes, joins them by torch.distributed, and says when one dies. They are then all
started again and go on from the last checkpoint. Several runs: each is a task of Ray in a process of its own; one that
dies is started again by itself.

The one place in `benchmarks` that knows Ray, which must have been started. The folders of runs must be reachable from
every machine.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import checkpoints, runs
from benchmarks.team import Team
from manifests import blame
from manifests.errors import InputError, MisuseError, SetupError, TransientError

DEATHS = 3  # in a row without a new checkpoint: then the run fails
JUDGING_SECONDS = 6 * 3600  # so long the others wait for the one that measures and writes
STARTS = 3  # in vain, of all workers at once
START_SECONDS = 150  # for each of these; Ray's own 60 are short on a busy machine
CORES = 0.9  # of each worker: the rest is for who reads and leads
_BUGS = (LookupError, TypeError, AttributeError, AssertionError, NameError)  # the same at every start
_OURS = (SetupError, MisuseError, InputError, TransientError, OSError)

T = TypeVar("T")
Work = Callable[[Team], T]


class _InterruptedError(Exception):
    """A worker was asked to stop, and has saved."""


def together(work: Work[T], workers: int, run: Path, *, on_gpus: bool) -> T:
    """Call `work` in so many processes at once, as often as it takes; what it returns in the first one.

    `work` must be importable where the workers run. A worker that dies costs what was done since
    the last checkpoint of `run`. Ctrl-C asks the workers to save, waits for it, and raises KeyboardInterrupt. Errors
    of ours arrive as they are; SetupError when workers die again and again.
    """
    deaths, before = 0, _progress(run)
    while True:
        outcome = _once(work, workers, run, on_gpus)
        if not isinstance(outcome, Exception):
            return outcome
        now = _progress(run)
        deaths, before = (1 if now > before else deaths + 1), now
        if deaths >= DEATHS:
            raise _too_often(run, outcome) from outcome
        logging.getLogger(__name__).warning(
            "a worker died (%s): all start again from the last checkpoint", _first_line(outcome)
        )


def _once(work: Work[T], workers: int, run: Path, on_gpus: bool) -> T | Exception:
    """What `work` returns, or how a worker died. Raises our own errors."""
    from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
    from ray.train.torch import TorchConfig, TorchTrainer

    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(START_SECONDS))
    scratch = run / runs.SCRATCH
    (run / runs.STOP).unlink(missing_ok=True)
    trainer = TorchTrainer(
        lambda: _in_worker(work),  # type: ignore[arg-type]  # it may return something
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=on_gpus,
            resources_per_worker={"CPU": CORES, **({"GPU": 1} if on_gpus else {})},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            storage_path=str(scratch),
            name="run",
            failure_config=FailureConfig(
                max_failures=0,  # we decide what a death is
                controller_failure_limit=STARTS,  # type: ignore[call-arg]  # of the class that RunConfig takes
            ),
        ),
        torch_config=TorchConfig(timeout_s=JUDGING_SECONDS),
    )
    fitting = _Fitting(trainer.fit)
    try:
        fitting.wait(run)
    except WorkerGroupError as error:
        failures = list(error.worker_failures.values())
        for failure in failures:
            if isinstance(failure, (*_OURS, *_BUGS)):
                raise failure from error
        if any(isinstance(failure, _InterruptedError) for failure in failures):
            raise KeyboardInterrupt from error
        return error
    except ControllerError as error:
        raise SetupError(
            f"Ray could not start {workers} workers at once ({_first_line(error)}): give fewer, or add machines"
        ) from error
    finally:
        (run / runs.STOP).unlink(missing_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
    value: T = fitting.result.return_value
    return value


def _in_worker(work: Work[T]) -> T:
    from ray.train import get_context

    context = get_context()
    try:
        with blame.naming():
            return work(Team(context.get_world_rank(), context.get_world_size(), launched=True))
    except KeyboardInterrupt as error:
        raise _InterruptedError from error


def side_by_side(jobs: Sequence[tuple[Work[T], Path]], at_once: int, *, cpus: float, gpus: float) -> list[T]:
    """Call each work in a process of its own, so many at once, each with so many processors and GPUs.

    What they return, in their order. jobs: the work, which must be importable where it runs, and its run's folder. A
    process that dies is started again and costs what was done since the last checkpoint. Ctrl-C asks all to save,
    waits for it, and raises KeyboardInterrupt; an error of one lets the others save, too. SetupError when one dies
    again and again.
    """
    import ray

    task: Any = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0, max_calls=1)(_alone)
    for _, run in jobs:
        (run / runs.STOP).unlink(missing_ok=True)
    left = list(range(len(jobs)))
    working: dict[Any, int] = {}
    done: dict[int, T] = {}
    deaths = [(0, _progress(run)) for _, run in jobs]
    trouble: BaseException | None = None
    while working or (left and trouble is None):
        while left and trouble is None and len(working) < at_once:
            at = left.pop(0)
            working[task.remote(jobs[at][0])] = at
        try:
            ready, _ = ray.wait(list(working), timeout=0.5)
        except KeyboardInterrupt as error:
            if trouble is not None:
                raise
            trouble, ready = error, []
            print("saving; a second Ctrl-C ends at once", file=sys.stderr, flush=True)
        for one in ready:
            at = working.pop(one)
            try:
                done[at] = ray.get(one)
            except ray.exceptions.RayTaskError as error:
                trouble = trouble or _cause(error)
            except ray.exceptions.RayError as error:
                deaths[at] = _counted(deaths[at], jobs[at][1], error)
                left.insert(0, at)
                if deaths[at][0] >= DEATHS:
                    trouble = trouble or _too_often(jobs[at][1], error)
        if trouble is not None:
            for at in working.values():
                _ask_to_stop(jobs[at][1])
    for _, run in jobs:
        (run / runs.STOP).unlink(missing_ok=True)
    if trouble is not None:
        raise trouble
    return [done[at] for at in range(len(jobs))]


def _ask_to_stop(run: Path) -> None:
    stop = run / runs.STOP
    stop.parent.mkdir(parents=True, exist_ok=True)
    stop.touch()


def _alone(work: Work[T]) -> T:
    """In a process of its own: the whole team."""
    try:
        with blame.naming():
            return work(Team(launched=True))
    except KeyboardInterrupt as error:
        raise _InterruptedError from error


def _cause(error: Any) -> BaseException:
    """What a task ended with: our own errors as they are."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, _InterruptedError):
        return KeyboardInterrupt()
    return cause if isinstance(cause, (*_OURS, *_BUGS)) else error


def _counted(deaths: tuple[int, str], run: Path, error: Exception) -> tuple[int, str]:
    """Deaths in a row without a new checkpoint, and the last checkpoint; tells of this one."""
    before, now = deaths[1], _progress(run)
    said = f"the worker of {run.name} died ({_first_line(error)}): it starts again from its last checkpoint"
    logging.getLogger(__name__).warning(said)
    return (1 if now > before else deaths[0] + 1), now


def _too_often(run: Path, error: Exception) -> SetupError:
    return SetupError(
        f"workers of {run} died {DEATHS} times without a new checkpoint ({_first_line(error)}); is there enough memory "
        "for all of them? The run can go on from its last checkpoint"
    )


class _Fitting:
    """A trainer at work in a thread: in the main one it would take over Ctrl-C."""

    def __init__(self, fit: Callable[[], object]) -> None:
        self.result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(fit,), daemon=True)
        self._thread.start()

    def _run(self, fit: Callable[[], object]) -> None:
        try:
            self.result = fit()
        except BaseException as error:
            self._error = error

    def wait(self, run: Path) -> None:
        """Until it ends; raises what ended it. At Ctrl-C the workers are asked to stop; at a second one it raises."""
        asked = False
        while self._thread.is_alive():
            try:
                self._thread.join(0.2)
            except KeyboardInterrupt:
                if asked:
                    raise
                asked = True
                print("saving; a second Ctrl-C ends at once", file=sys.stderr, flush=True)
                _ask_to_stop(run)
        if self._error is not None:
            raise self._error
        if asked:
            raise KeyboardInterrupt


def _progress(run: Path) -> str:
    last = checkpoints.last(run)
    return last.name if last is not None else ""


def _first_line(error: Exception) -> str:
    failures = getattr(error, "worker_failures", {})
    one = next(iter(failures.values()), error)
    return (str(one).strip().splitlines() or [type(one).__name__])[0][:200]
