"""`lhq verify`: is the dataset what it says? Every file's hash, every row's reference, what killed commands left."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests import atomic, removal, reviews, schema, store
from manifests.dataset import Dataset
from manifests.errors import LockedError, SetupError
from manifests.rows import latest
from manifests.tables import is_generation, read_through
from pipelines.engine import threads
from pipelines.engine.progress import Progress
from pipelines.every_lock import all_tables, every_lock
from pipelines.findings import Finding, Kind, Verified, check_beside, connect_to_read, inside

SHOWN = 5  # examples of rows that point nowhere

_HOLDERS = {"photo_id": "photos", "sha256": "files"}  # the table that has what a column of another one points to


def verify(dataset: Dataset) -> Verified:
    """Look at everything; nothing is changed. Leftovers are looked for while nobody writes, if that can be had."""
    found = Verified()
    _check_tables(dataset, found)
    whole = not found.findings
    if whole:
        _check_references(dataset, found)
        _check_images(dataset, found)
    else:
        found.notes.append("files and references were not looked at, because a table is damaged")
    check_beside(dataset, found)
    try:
        with every_lock(dataset, sweeping=False):
            found.findings += leftovers(dataset)
            found.findings += strays(dataset) if whole else []
    except (LockedError, OSError) as error:  # also of a disk that is full, or may not be written to
        why = error.strerror if isinstance(error, OSError) else error
        found.notes.append(f"leftovers were not looked for: {why}")
    if Dataset.open(dataset.root).generations != dataset.generations:
        raise SetupError(f"{dataset.root} was rewritten by a take-down meanwhile: run the same command again")
    return found


# Tables and what their rows point to.


def _check_tables(dataset: Dataset, found: Verified) -> None:
    """Read every column of every part: Parquet's checksums, gaps, the columns that are stated."""
    for name, table in all_tables(dataset).items():
        stated = schema.STATED.get(name, pa.schema([]))
        needed = {one.name for one in stated if not one.nullable}
        try:
            with table.opened() as files:  # SetupError where an append is missing
                for part, file in files:
                    found.rows += read_through(file)
                    for missing in sorted(needed - set(file.schema_arrow.names)):
                        found.findings.append(Finding(Kind.TABLE, inside(dataset, part.path), f"lacks {missing}"))
        except (SetupError, pa.ArrowException, OSError) as error:
            found.findings.append(Finding(Kind.TABLE, name, str(error)))


def _check_references(dataset: Dataset, found: Verified) -> None:
    known = {column: _known(dataset, column) for column in _HOLDERS}
    for name, table in all_tables(dataset).items():
        for column in sorted(_HOLDERS.keys() & table.stored_columns()):
            if name != _HOLDERS[column] and (name, column) != ("files", "sha256"):
                _refuse_lost(dataset, found, name, column, table.read([column])[column].drop_null(), known[column])
    path = dataset.root / reviews.NAME
    if path.is_file():
        with contextlib.suppress(sqlite3.Error):  # told of as a damaged database
            reviewed = pa.array(sorted(_photos_of(path)), pa.string())
            _refuse_lost(dataset, found, reviews.NAME, "photo_id", reviewed, known["photo_id"])


def _known(dataset: Dataset, column: str) -> pa.Array:
    """What there is now of what rows of other tables point to."""
    table = dataset.photos_table if _HOLDERS[column] == "photos" else dataset.files_table
    return table.read([column])[column].drop_null().combine_chunks()


def _refuse_lost(
    dataset: Dataset, found: Verified, name: str, column: str, values: pa.Array | pa.ChunkedArray, known: pa.Array
) -> None:
    """A finding for values that nothing stands behind, also nothing that was written since `known` was read."""
    lost = pc.unique(values.filter(pc.invert(pc.is_in(values, known))))
    if len(lost):
        lost = lost.filter(pc.invert(pc.is_in(lost, _known(dataset, column))))
    if len(lost):
        some = ", ".join(lost.to_pylist()[:SHOWN])
        what = f"{len(lost):,} that {_HOLDERS[column]} does not have: {some}"
        found.findings.append(Finding(Kind.REFERENCE, name, what))


def _photos_of(path: Path) -> set[str]:
    """Photos that the reviews name; as text also what is none, such as a null that somebody put there."""
    with contextlib.closing(connect_to_read(path)) as database:
        return {str(row[0]) for row in database.execute("SELECT DISTINCT photo_id FROM decisions")}


# Images.


def _check_images(dataset: Dataset, found: Verified) -> None:
    """Hash every file that an ok row names, on all cores."""
    files = dataset.files_table.current("photo_id", ["photo_id", "status", "sha256", "path", "bytes"])
    files = files.filter(pc.equal(files["status"], schema.OK))
    proper = _are_proper(files["path"], files["sha256"])
    for row in files.filter(pc.invert(proper)).to_pylist():
        found.findings.append(Finding(Kind.ROW, "files", f"{row['photo_id']}: its path is {row['path']!r}"))
    named = latest(files.filter(proper).select(["path", "sha256", "bytes"]), "path")
    rows = (row for some in named.to_batches(max_chunksize=threads.AT_ONCE) for row in some.to_pylist())
    with Progress("verify", named.num_rows, "files") as progress:
        for finding in threads.mapped(lambda row: _look(dataset, row["path"], row["sha256"], row["bytes"]), rows):
            if isinstance(finding, Finding):
                found.findings.append(finding)
            else:
                found.files += 1
                found.bytes += finding
            progress.advance(1)


def _are_proper(paths: pa.ChunkedArray, sha256s: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which of the paths are those that files of these hashes have in the store."""
    begin = pc.binary_join_element_wise("images/", pc.utf8_slice_codeunits(sha256s, 0, 2), "/", sha256s, ".", "")
    length = len("images/ab/.") + 64
    proper = pc.and_(
        pc.equal(pc.utf8_slice_codeunits(paths, 0, length), begin),
        pc.match_substring_regex(paths, r"^images/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]+$"),
    )
    return pc.fill_null(proper, False)


def _look(dataset: Dataset, path: str, sha256: str, size: int | None) -> Finding | int:
    """What is wrong with a file; where nothing is, how many bytes it has."""
    try:
        with (dataset.root / path).open("rb") as stream:
            there = os.fstat(stream.fileno()).st_size
            if size and there != size:
                return Finding(Kind.DAMAGED, path, f"{there:,} bytes in place of {size:,}")
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                return Finding(Kind.DAMAGED, path, "its bytes are not those of its name")
            return there
    except FileNotFoundError:
        return Finding(Kind.MISSING, path, "is not there")
    except OSError as error:
        return Finding(Kind.DAMAGED, path, f"cannot be read ({error.strerror or error})")


def strays(dataset: Dataset) -> list[Finding]:
    """Images that no row ever named: of a crawl that was killed between a file and its row."""
    named = set(pc.unique(dataset.files_table.read(["path"])["path"]).to_pylist())
    return [
        Finding(Kind.STRAY, path, "no row names it")
        for path in sorted(inside(dataset, one) for one in _walk(dataset.root / "images"))
        if path not in named and store.sha256_in(path)
    ]


# What killed commands leave.


def leftovers(dataset: Dataset) -> list[Finding]:
    """Temporary files, tables' old generations, parts that were merged, a take-down that was not completed."""
    found = []
    for path in _walk(dataset.root):
        place = inside(dataset, path)
        if any(piece.startswith(atomic.TEMPORARY) for piece in place.split("/")) and not place.startswith("exports/"):
            found.append(Finding(Kind.LEFTOVER, place, "of a write that was interrupted"))
    for table in all_tables(dataset).values():
        for other in sorted(table.folder.parent.iterdir()) if table.folder.parent.is_dir() else ():
            if is_generation(other) and other != table.folder:
                found.append(Finding(Kind.LEFTOVER, inside(dataset, other), "a generation that is not the current one"))
        with contextlib.suppress(SetupError):
            live = {part.path for part in table.parts()}
            merged = [path for path in table.folder.glob("part-*.parquet") if path not in live] if live else []
            found += [Finding(Kind.LEFTOVER, inside(dataset, path), "was merged into another part") for path in merged]
    if (dataset.root / removal.JOURNAL).exists():
        found.append(Finding(Kind.LEFTOVER, removal.JOURNAL, "a take-down that was interrupted"))
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for name in names:
            yield Path(place) / name
