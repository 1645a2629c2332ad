"""`make bench`: every measurement of speed in one table, kept as JSON and compared with the one before by ratios.

A ratio is ours over the baseline of the same run, so that it means the same on another machine, or a busy one; times
do not. The record is benchmarks/perf/last.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.perf._bench import machine
from manifests import atomic

HERE = Path(__file__).parent
RECORD = HERE / "last.json"
SECONDS = 300.0  # for one script without --full, which promises 120 on a machine that is not busy
CHANGED = 1.1  # a ratio that moved by more is marked

Record = dict[str, Any]


def main() -> int:
    """Run the scripts that are named, or all; 1 where one failed."""
    parser = argparse.ArgumentParser(description="All measurements of speed in one table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--full", action="store_true", help="more repeats: the figures to quote")
    parser.add_argument("--record", type=Path, default=RECORD, help="where the record is kept")
    given = parser.parse_args()
    there = {path.stem: path for path in scripts(HERE)}
    if unknown := [name for name in given.names if name not in there]:
        parser.error(f"{unknown[0]} is no measurement; there are: {', '.join(there)}")
    before = read(given.record)
    wanted = [there[name] for name in given.names or there]
    benches = {path.stem: run(path, full=given.full) for path in wanted}
    now = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), "full": given.full}
    print(table(benches, before.get("benches", {}), before.get("date")))
    kept = {**before.get("benches", {}), **{name: one for name, one in benches.items() if "error" not in one}}
    atomic.write_bytes(given.record, (json.dumps({**now, "benches": kept}, indent=2) + "\n").encode())
    return int(any("error" in one for one in benches.values()))


def scripts(folder: Path) -> list[Path]:
    """Those of a folder; helpers begin with _."""
    return [path for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]


def read(record: Path) -> Record:
    """The record before; empty where there is none that can be read."""
    try:
        found: Record = json.loads(record.read_bytes())
        return found if isinstance(found.get("benches"), dict) else {}
    except (OSError, ValueError, AttributeError):
        return {}


def run(script: Path, *, full: bool = False) -> Record:
    """What a script prints with --json; {"error": why} where it fails."""
    print(f"measuring {script.stem}", file=sys.stderr, flush=True)
    command = [sys.executable, str(script), "--json", *(["--full"] if full else [])]
    if script.parent == HERE:
        command[1:2] = ["-m", f"benchmarks.perf.{script.stem}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=None if full else SECONDS)
        if done.returncode != 0:
            return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
        found: Record = json.loads(done.stdout)
        return found
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {SECONDS:.0f} s"}
    except ValueError:
        return {"error": "printed no JSON"}


def table(benches: Mapping[str, Record], before: Mapping[str, Record], date: str | None) -> str:
    """All rows, and how their ratios changed since the record before."""
    rows = [cells for name, bench in benches.items() for cells in _rows(name, bench, before.get(name, {}))]
    titles = ("bench", "row", "ours", "baseline", "ratio", "before", "unit")
    every = [titles, *rows]
    widths = [max(len(cells[at]) for cells in every) for at in range(len(titles))]
    numbers = range(2, 6)
    lines = [
        "  ".join(
            f"{cell:>{width}}" if at in numbers else f"{cell:<{width}}"
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in every
    ]
    compared = f"before: {date}" if date else "nothing was measured before"
    return "\n".join([*lines, f"{compared}; a * marks a ratio that moved by more than {CHANGED - 1:.0%}"])


def _rows(name: str, bench: Record, before: Record) -> Iterator[Sequence[str]]:
    if "error" in bench:
        yield name, bench["error"], "", "", "failed", "", ""
        return
    known = {row["name"]: row.get("ratio") for row in before.get("rows", [])}
    for row in bench["rows"]:
        ratio, last = row["ratio"], known.get(row["name"])
        moved = bool(ratio and last and max(ratio / last, last / ratio) > CHANGED)
        mark = " *" if moved else ""
        reason = f" ({row['reason']})" if row.get("reason") else ""
        yield (
            name,
            row["name"],
            _number(row["value"]),
            _number(row["baseline"]),
            _number(ratio) + mark,
            _number(last),
            row["unit"] + reason,
        )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    sys.exit(main())
