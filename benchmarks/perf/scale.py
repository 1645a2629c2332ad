"""What every command costs on very many photos: seconds, processor time and memory, and how these grow with the rows.

A crawled dataset of 50,000 photos (with --full a million), one picture to 500 photos, and one of a tenth of that, as
`_crawled.py` makes them. Each command runs as a user starts it, in a process of its own, first on the small dataset,
then on the large one. The baseline of a figure is ten times that of a tenth of the photos: a ratio of 1 is linear
growth, what every run costs alike makes it less, and what is quadratic would bring it towards 10.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from benchmarks.perf._bench import Row, compare, parse_options, publish
from benchmarks.perf.review import Client
from manifests import schema
from manifests.dataset import Dataset

PHOTOS = {False: 50_000, True: 1_000_000}  # by --full
TENTH = 10
PHOTOS_OF_A_PICTURE = 500
TURNS = {False: 1, True: 3}  # medians are of so many
FIRST = 100  # pictures of the first page


@dataclass(frozen=True)
class Case:
    """A command to measure, with `{root}` for the dataset and `{turn}` for the number of the turn."""

    name: str
    command: str
    once: bool = False  # what it does is done with the first turn

    def arguments(self, root: Path, turn: int) -> list[str]:
        """Of the command line."""
        return [word.format(root=root, turn=turn) for word in self.command.split()]


@dataclass(frozen=True)
class Cost:
    """Of one command: from start to end, of all its threads, and the most memory it held."""

    seconds: float
    processor: float  # seconds
    megabytes: float


SUBSET = "{root} --subset turn-{turn}"  # a new one in each turn
CASES = (
    Case("filter --tags", f"filter {SUBSET} --tags"),
    Case("filter --resolution", f"filter {SUBSET} --resolution --set resolution.min_side=200"),
    Case("filter --set resolution", f"filter {SUBSET} --set resolution.min_side=300"),
    Case("filter --duplicates", "filter {root} --duplicates --workers 0", once=True),
    Case("filter --set duplicates", f"filter {SUBSET} --duplicates --set duplicates.radius=4 --workers 0"),
    Case("status", f"status {SUBSET}"),
    Case("manifest", f"manifest {SUBSET} -o {{root}}.parquet"),
    Case("manifest, once more", f"manifest {SUBSET} -o {{root}}.parquet"),
    Case("report", f"report {SUBSET} -o {{root}}.html"),
    Case("review", f"review {SUBSET} --json"),
    Case("verify", "verify {root}"),
    Case("remove --id", "remove {root} --yes --id synthetic:0/00000{turn}"),
)


def make(folder: Path, rows: int) -> Path:
    """The dataset of so many photos in this folder, made if it is not there."""
    root = folder / f"photos-{rows}"
    if not root.exists():
        unfinished = folder / f"unfinished-{rows}"
        shutil.rmtree(unfinished, ignore_errors=True)
        # In a process of its own: what a process held counts as held by the commands that it starts.
        making = [sys.executable, "-m", "benchmarks.perf._crawled", str(unfinished), str(rows)]
        subprocess.run([*making, str(rows // PHOTOS_OF_A_PICTURE)], check=True)
        unfinished.rename(root)
    return root


def measure(made: Path, place: Path, turns: int) -> dict[str, Cost]:
    """Every case on a copy of the dataset; medians."""
    root = shutil.copytree(made, place / f"measured-{made.name}", copy_function=_link)
    costs: dict[str, list[Cost]] = defaultdict(list)
    for turn in range(turns):
        for case in CASES:
            if turn == 0 or not case.once:
                costs[case.name].append(_run(case.arguments(root, turn)))
    return {name: _median(some) for name, some in costs.items()}


def _link(source: str, target: str) -> None:
    """Parts and pictures are never changed, only removed: the copy shares them."""
    if source.endswith((".parquet", ".jpg")):
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


def _median(costs: list[Cost]) -> Cost:
    columns = zip(*((one.seconds, one.processor, one.megabytes) for one in costs), strict=True)
    return Cost(*(statistics.median(column) for column in columns))


def _run(arguments: list[str]) -> Cost:
    """What a command cost; of one that serves a page, until the first page was answered."""
    serves = arguments[0] == "review"
    began = time.perf_counter()
    with _started(arguments, subprocess.PIPE if serves else subprocess.DEVNULL) as process:
        if serves:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            _open_page(next(iter(told["addresses"].values())))
            seconds = time.perf_counter() - began
            process.kill()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if not serves:
            seconds = time.perf_counter() - began
            if process.returncode != 0:
                raise SystemExit(f"lhq {' '.join(arguments)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6)


@contextlib.contextmanager
def _started(arguments: list[str], stdout: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "lhq_toolkit.cli", *arguments]
    with subprocess.Popen(command, stdout=stdout, text=True) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


def _open_page(address: str) -> None:
    """Ask what the page asks for, in its order."""
    client = Client(address)
    for path in ("/", "/page.js", "/style.css", "/api/start"):
        client.get(path)
    told = client.post("/api/list", kind="all")
    assert len(told["first"]) == min(FIRST, told["total"])


def compared(few: dict[str, Cost], many: dict[str, Cost]) -> list[Row]:
    """Three rows for each case, against ten times what the tenth of the photos cost."""
    rows = []
    for name, cost in many.items():
        less = few[name]
        rows += [
            compare(f"{name}: time", cost.seconds, TENTH * less.seconds, "s"),
            compare(f"{name}: processor time", cost.processor, TENTH * less.processor, "s"),
            compare(f"{name}: memory", cost.megabytes, TENTH * less.megabytes, "MB"),
        ]
    return rows


def main() -> None:
    """Measures and prints; within 120 s, with --full half an hour, the first time in a folder an hour."""
    options = parse_options(
        "What every command costs on very many photos.", folder="where the datasets are, or are made and stay"
    )
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = options.folder or Path(temporary)
        photos = PHOTOS[options.full]
        few, many = (make(folder, rows) for rows in (photos // TENTH, photos))
        costs = [measure(made, Path(temporary), TURNS[options.full]) for made in (few, many)]
        tables = {name: Dataset.open(many).table(name, columns) for name, columns in schema.CRAWL_TABLES.items()}
        parts = ", ".join(f"{name} {len(table.parts())}" for name, table in tables.items())
        rows = compared(*costs)
    publish("scale", rows, options, photos=f"{photos:,}", parts=parts, pyarrow=pa.__version__)


if __name__ == "__main__":
    main()
