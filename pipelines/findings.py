"""What `lhq verify` may find, and what it finds in the small files beside tables and images."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import plain_json, recipes, reviews
from manifests.dataset import Dataset
from manifests.errors import SetupError
from manifests.tables import read_through
from pipelines import frontier
from pipelines.filters import absent_from


class Kind(StrEnum):
    """What may be wrong. The first group is mended by a repair."""

    MISSING = "missing file"
    DAMAGED = "damaged file"
    STRAY = "file without a row"
    LEFTOVER = "leftover"
    CACHE = "damaged cache"
    TABLE = "damaged table"
    ROW = "wrong row"
    REFERENCE = "row that points nowhere"
    RECIPE = "damaged recipe"
    FIT = "missing or damaged fit"
    DATABASE = "damaged database"
    RECORD = "damaged record"


SAFE = {Kind.MISSING, Kind.DAMAGED, Kind.STRAY, Kind.LEFTOVER, Kind.CACHE}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where (a path in the dataset, or a table), and what of it."""

    kind: Kind
    where: str
    what: str


@dataclass
class Verified:
    """What was looked at, what is wrong, and what was mended."""

    files: int = 0  # images whose bytes were read
    bytes: int = 0
    rows: int = 0  # of all tables
    findings: list[Finding] = field(default_factory=list)
    repaired: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_beside(dataset: Dataset, found: Verified) -> None:
    """Recipes, fits, caches, databases and the list of exports."""
    _check_subsets(dataset, found)
    _check_databases(dataset, found)
    _check_exports(dataset, found)


def _check_subsets(dataset: Dataset, found: Verified) -> None:
    for name in recipes.names(dataset.root):
        try:
            recipe = recipes.load(dataset.root, name)
        except SetupError as error:
            found.findings.append(Finding(Kind.RECIPE, f"subsets/{name}.json", str(error)))
            continue
        for step in recipe.steps if recipe else ():
            if (absent := absent_from(step)) is not None:
                found.notes.append(f"the recipe of subset {name!r} can be read but not used: {absent}")
            folder = dataset.fits_folder(step.stage)
            if step.fingerprint and folder.is_dir() and not (folder / step.fingerprint / "fit.json").is_file():
                where = inside(dataset, folder / step.fingerprint)
                found.findings.append(Finding(Kind.FIT, where, f"the recipe of {name!r} needs it"))
    for path in sorted((dataset.root / "fits").glob("*/[0-9a-f]*/*")):
        if problem := _problem_of_fit(path):
            found.findings.append(Finding(Kind.FIT, inside(dataset, path), problem))
    for path in sorted((dataset.root / "subsets").glob("[!.]*.parquet")):
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                read_through(file)
        except (pa.ArrowException, OSError) as error:
            found.findings.append(Finding(Kind.CACHE, inside(dataset, path), str(error).splitlines()[0]))


def _problem_of_fit(path: Path) -> str | None:
    """What is wrong with a file of a fit; None where nothing is seen to be."""
    try:
        if path.suffix == ".json":
            plain_json.loads(path.read_bytes())
        elif path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, "numpy") as tensors:
                tensors.keys()
    except Exception as error:  # every library has its own
        return f"cannot be read ({error})"
    return None


def _check_databases(dataset: Dataset, found: Verified) -> None:
    for path in (dataset.root / reviews.NAME, frontier.path_of(dataset.root)):
        if not path.exists():
            continue
        try:
            with contextlib.closing(connect_to_read(path)) as database:
                (said,) = database.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            said = str(error)
        if said != "ok":
            # crawl.sqlite is made anew by the next crawl, at the cost of requests; reviews are people's work
            kind = Kind.DATABASE if path.name == reviews.NAME else Kind.CACHE
            found.findings.append(Finding(kind, path.name, str(said)))


def _check_exports(dataset: Dataset, found: Verified) -> None:
    path = dataset.root / "exports.jsonl"
    lines: Sequence[str] = path.read_text(errors="replace").splitlines() if path.exists() else ()
    for number, line in enumerate(lines, start=1):
        try:
            plain_json.mapping(line)
        except ValueError:
            found.findings.append(Finding(Kind.RECORD, path.name, f"line {number} is not a JSON object"))


def inside(dataset: Dataset, path: Path) -> str:
    """A path as it stands in the dataset, with forward slashes."""
    return path.relative_to(dataset.root).as_posix()


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even the files that SQLite puts beside a database it reads."""
    written_to = path.with_name(f"{path.name}-wal").exists()
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{'' if written_to else '&immutable=1'}", uri=True)
