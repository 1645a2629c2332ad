"""A process that has imported everything once and runs each command in a fork of itself: see `forks.py`.

It reads a wish a line and answers with an exit code a line, both JSON.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

SECONDS = 300  # that a command may take: one that hangs is killed
WARM = (
    "benchmarks.evaluate",
    "benchmarks.importing",
    "benchmarks.runs",
    "lhq_toolkit.benchmark",
    "lhq_toolkit.board.publish",
    "lhq_toolkit.cli",
    "lhq_toolkit.crawl_sources",
    "lhq_toolkit.download",
    "lhq_toolkit.generating",
    "lhq_toolkit.heat_sheet",
    "lhq_toolkit.panoramas.video",
    "lhq_toolkit.report.page",
    "lhq_toolkit.review.desk",
    "models.portable",
    "pipelines.crawl",
    "pipelines.export.run",
    "pipelines.export.wanted",
    "pipelines.filter",
    "pipelines.manifest",
    "pipelines.remove",
    "pipelines.repair",
    "PIL.PngImagePlugin",
    "PIL.WebPImagePlugin",
    "pycurl",
    "pyarrow.dataset",
    "safetensors.torch",
    "tensorboardX",
)


def main() -> None:
    for name in WARM:
        importlib.import_module(name)
    _answer({"ready": True})
    for line in sys.stdin:
        wish = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(wish)
        _, status = os.waitpid(pid, 0)
        _answer({"code": os.waitstatus_to_exitcode(status)})


def _answer(facts: dict[str, Any]) -> None:
    print(json.dumps(facts), flush=True)


def _become(wish: dict[str, Any]) -> None:
    """In the fork: run the command, tell what was counted, and end."""
    signal.alarm(SECONDS)
    for descriptor, path in ((0, os.devnull), (1, wish["out"]), (2, wish["err"])):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(wish["place"])
    os.environ.update(wish["env"])
    points = _noting_points()
    before, work = (_function(name) if name else None for name in (wish["before"], wish["work"]))
    if before is not None:
        before()
    system = ctypes.CDLL(None)
    system.counted.restype = ctypes.c_longlong
    system.arm(
        *(os.fsencode(wish["place"]), wish["fault"], ctypes.c_longlong(wish["at"]), ctypes.c_longlong(wish["size"])),
        os.fsencode(wish["lost"]),
    )
    code = _run(wish["arguments"], work)
    system.disarm()
    sys.stdout.flush()
    sys.stderr.flush()
    counts = [system.counted(kind) for kind in range(wish["kinds"])]
    with open(wish["told"], "w") as stream:  # noqa: PTH123
        json.dump({"counts": counts, "points": points, "struck": bool(system.has_struck())}, stream)
    os._exit(code)


def _function(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def _noting_points() -> dict[str, int]:
    """The named points that the command passes, and how often."""
    from manifests import faults

    passed: dict[str, int] = {}
    usual = faults.point

    def point(name: str) -> None:
        passed[name] = passed.get(name, 0) + 1
        usual(name)

    faults.point = point
    return passed


def _run(arguments: Sequence[str], work: Any) -> int:
    """The command, or a function that stands for one; its exit code."""
    from lhq_toolkit import cli

    if work is not None:
        cli.app = lambda given, **_: work(*given)
    try:
        return cli.run(arguments)
    except BaseException:
        import traceback

        traceback.print_exc()
        return 99


if __name__ == "__main__":
    main()
