"""How many threads a process of ours computes with: fixed, so that numbers and timings can be repeated; and work that
is shared out to as many."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 4_096  # items that wait for a thread, at most

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def mapped(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What `work` gives of each item, in their order, from a thread per core; few items wait, however many come."""
    left = iter(items)
    with ThreadPoolExecutor(cores()) as pool:
        while some := list(itertools.islice(left, AT_ONCE)):
            yield from pool.map(work, some)


def fixed() -> int:
    """The number that `fix` has set in this process; before, one per core."""
    count = os.environ.get(_VARIABLES[0], "")
    return int(count) if count.isdigit() and int(count) else cores()


def environment(count: int) -> dict[str, str]:
    """Environment that fixes the thread pools of a process before it starts."""
    return dict.fromkeys(_VARIABLES, str(count))


def fix(count: int) -> None:
    """Fix the thread pools of this process; libraries already loaded are told too."""
    os.environ.update(environment(count))
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
