"""How many threads a process of ours computes with: fixed, so that numbers and timings can be repeated."""

from __future__ import annotations

import os
import sys

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
