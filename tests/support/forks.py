"""Commands run in processes where one thing goes wrong, cheaply: forks of one process that has imported everything.

A command that is started anew takes a second to import what it needs. The process that is forked here has done that,
has `faulty_libc.c` loaded, and runs nothing itself; so each fork is a process of its own, that can be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Count(IntEnum):
    """What is counted of a command."""

    CHANGES = 0  # of the disk: every write, creation, renaming, removal, sync
    BYTES = 1  # by which files grew
    RENAMES = 2  # and links
    SYNCS = 3
    CLOCKS = 4  # times that the wall clock was read
    NETWORK = 5  # connections, and pieces sent and received


class Kind(IntEnum):
    """What may go wrong."""

    NOTHING = 0
    KILL = 1  # before a change of the disk, or in the middle of a write
    POWER_CUT = 2  # the same, and what no sync had reached is lost
    DISK_FULL = 3  # from a byte on
    RENAME_FAILS = 4  # once
    SYNC_FAILS = 5  # once; what it was to make durable is lost
    CLOCK_JUMPS = 6  # by `size` seconds
    NETWORK_CUT = 7  # for `size` calls


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: at which call, byte, or passage of a named point (`LHQ_FAULT`)."""

    kind: Kind = Kind.NOTHING
    at: int = 0
    size: int = 0
    point: str = ""


@dataclass(frozen=True)
class Ended:
    """How a command ended, what it said, and what was counted, unless it was killed."""

    code: int
    out: str
    err: str
    struck: bool = False
    counts: Mapping[Count, int] | None = None
    points: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Forks:
    """The process that is forked."""

    process: subprocess.Popen[str]
    notes: Path

    def run(
        self,
        arguments: Sequence[object],
        place: Path,
        fault: Fault = Fault(),
        *,
        env: Mapping[str, str] = {},
        before: str = "",
        work: str = "",
    ) -> Ended:
        """Run `lhq` with these arguments in the folder `place`, below which the fault strikes.

        `before` (module:function) is called before anything is watched; `work` is called with the arguments in place of
        the command.
        """
        out, err, told, lost = (self.notes / name for name in ("out", "err", "told", "lost"))
        for path in (told, lost):
            path.unlink(missing_ok=True)
        wish = {
            "arguments": [str(one) for one in arguments],
            "place": str(place),
            "env": {**env, **({"LHQ_FAULT": f"{fault.point}:{fault.at}"} if fault.point else {})},
            "before": before,
            "work": work,
            "fault": Kind.NOTHING if fault.point else fault.kind,  # at a named point the command kills itself
            **{"at": fault.at, "size": fault.size, "kinds": len(Count)},
            **{"out": str(out), "err": str(err), "told": str(told), "lost": str(lost)},
        }
        code = self._ask(wish)["code"]
        if lost.exists():
            _lose(place, lost.read_text().splitlines())
        said = out.read_text(), err.read_text()
        if not told.exists():
            return Ended(code, *said, struck=code < 0)
        facts = json.loads(told.read_text())
        counts = {kind: facts["counts"][kind] for kind in Count}
        return Ended(code, *said, facts["struck"], counts, facts["points"])

    def _ask(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(wish) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def _lose(place: Path, lines: Sequence[str]) -> None:
    """Cut files to what a sync had reached: each line is a device, an inode and a size."""
    sizes = {(int(device), int(inode)): int(size) for device, inode, size in map(str.split, lines)}
    for path in place.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            facts = path.lstat()
            size = sizes.get((facts.st_dev, facts.st_ino))
            if size is not None and path.is_file() and facts.st_size > size:
                os.truncate(path, size)


@contextlib.contextmanager
def forking(notes: Path) -> Iterator[Forks]:
    """The process, while the context lasts; FileNotFoundError where there is no C compiler or it is not Linux."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        raise FileNotFoundError("faults are injected on Linux, by a library that a C compiler (cc) makes")
    library = notes / "faulty_libc.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "faulty_libc.c", "-ldl"], check=True)
    env = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),  # no threads to fork
    }
    command = [sys.executable, HERE / "fork_server.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        forks = Forks(process, notes)
        assert process.stdout is not None
        assert process.stdout.readline(), "the process to be forked has ended"
        yield forks
        assert process.stdin is not None
        process.stdin.close()
