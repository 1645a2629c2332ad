"""What every measurement of speed shares: options, interleaved medians, facts of the machine, the printout.

A script measures its cases and hands rows to publish(). With --json nothing else appears on standard output:
`{"bench": name, "machine": {...}, "rows": [{"name", "value", "unit", "baseline", "ratio"}]}`.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One comparison: ours, the baseline of the same run, and ours over the baseline.

    The unit says which direction is better (ms: less, MB/s: more). A peer that is absent gives ratio None, and
    reason says why.
    """

    name: str
    value: float
    unit: str
    baseline: float | None
    ratio: float | None
    reason: str = ""


@dataclass(frozen=True)
class Options:
    """json: machine-readable output. full: the figures to quote, without the 120 s limit. peer: a path or command.

    folder: where the data lies, or is made if it is not there; None: made for this run.
    """

    json: bool
    full: bool
    peer: str | None = None
    folder: Path | None = None


def parse_options(description: str, peer: str | None = None, folder: str | None = None) -> Options:
    """The options that every script takes, from the command line; `peer` and `folder` say what theirs name, if any."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--full", action="store_true", help="more repeats: the figures to quote")
    if peer:
        parser.add_argument("--peer", metavar="PATH_OR_COMMAND", help=peer)
    if folder:
        parser.add_argument("--folder", metavar="FOLDER", type=Path, help=folder)
    given = parser.parse_args()
    return Options(given.json, given.full, getattr(given, "peer", None), getattr(given, "folder", None))


def compare(name: str, ours: float, baseline: float, unit: str) -> Row:
    """A row of two measured numbers, rounded to 4 significant digits."""
    value, other, ratio = (float(f"{number:.4g}") for number in (ours, baseline, ours / baseline))
    return Row(name, value, unit, other, ratio)


def median_seconds(cases: Mapping[str, Callable[[], object]], repeats: int, warm_up: int = 1) -> dict[str, float]:
    """Median seconds of each case. Rounds of all cases alternate, so that a busy moment falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for round_ in range(warm_up + repeats):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            seconds = time.perf_counter() - started
            if round_ >= warm_up:
                taken[name].append(seconds)
    return {name: statistics.median(times) for name, times in taken.items()}


def machine() -> dict[str, str | int | float]:
    """Facts of this machine that speeds depend on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = models[0] if models else model
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def publish(bench: str, rows: Sequence[Row], options: Options, **facts: str) -> None:
    """Prints the rows as a table, or with --json as one object; facts (versions, say) join the machine's."""
    host = {**machine(), **facts}
    if options.json:
        print(json.dumps({"bench": bench, "machine": host, "rows": [_as_dict(row) for row in rows]}))
        return
    print(f"{bench} on " + ", ".join(f"{key} {value}" for key, value in host.items()))
    width = max(len(row.name) for row in rows)
    print(f"{'':{width}}  {'ours':>9}  {'baseline':>9}  {'ratio':>7}  unit")
    for row in rows:
        numbers = "  ".join(
            f"{'-' if number is None else format(number, '.4g'):>{size}}"
            for number, size in ((row.value, 9), (row.baseline, 9), (row.ratio, 7))
        )
        print(f"{row.name:{width}}  {numbers}  {row.unit}" + (f"  ({row.reason})" if row.reason else ""))


def _as_dict(row: Row) -> dict[str, str | float | None]:
    fields: dict[str, str | float | None] = asdict(row)
    if not row.reason:
        del fields["reason"]
    return fields
