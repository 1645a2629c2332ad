"""The rest of a take-down, after the tables were rewritten: image files, databases, caches.

What still has to go stands in `removal.json` from before the tables change until everything is gone, so that a
killed take-down is completed by the next one, or by the next crawl.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests import atomic, faults, plain_json, store, thumbnails
from manifests.databases import naming
from manifests.dataset import Dataset
from manifests.errors import SetupError

JOURNAL = "removal.json"
BUSY_SECONDS = 30.0  # a review writes for milliseconds

_CURSOR = '"cursor"'  # how far a task of the crawl is read: some stop at a photo's id
_AMONG = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True)
class Doomed:
    """What goes once dataset.json names these generations."""

    generations: Mapping[str, int]
    photo_ids: Sequence[str]
    files: Mapping[str, str]  # sha256 -> path of images that no photo uses any more


def announce(dataset: Dataset, doomed: Doomed) -> None:
    """Write down, durably, what will have to go."""
    atomic.write_bytes(dataset.root / JOURNAL, json.dumps(dataclasses.asdict(doomed)).encode())


def finish(dataset: Dataset, databases: Sequence[Path]) -> bool:
    """Complete a take-down whose tables were rewritten; call under the crawl's lock. Whether there was one.

    `databases`: SQLite files with rows by photo_id or sha256. What a journal says goes only inside the dataset.
    """
    path = dataset.root / JOURNAL
    try:
        doomed = _read(path.read_bytes())
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SetupError(f"{path} is damaged ({error!r}); remove it and run lhq remove again") from error
    generations = Dataset.open(dataset.root).generations
    committed = all(generations.get(table) == number for table, number in doomed.generations.items())
    if committed:
        _remove_images(dataset, doomed.files)
        faults.point("remove.inside")
        for database in databases:
            forget(database, doomed.photo_ids, list(doomed.files))
        _remove_caches(dataset)
    path.unlink()
    atomic.fsync(dataset.root)
    return committed


def _read(journal: bytes) -> Doomed:
    facts = plain_json.mapping(journal)
    return Doomed(
        {str(table): int(number) for table, number in facts["generations"].items()},
        [str(photo_id) for photo_id in facts["photo_ids"]],
        {str(sha256): str(path) for sha256, path in facts["files"].items()},
    )


def _remove_images(dataset: Dataset, files: Mapping[str, str]) -> None:
    """Unlink images and their thumbnails; one that a photo uses (again) stays, and what is none of the store's."""
    used = dataset.files_table.read(["sha256"])["sha256"]
    kept = set(used.filter(pc.is_in(used, value_set=pa.array(list(files), pa.string()))).to_pylist())
    for sha256, path in files.items():
        if sha256 not in kept and store.sha256_in(path) == sha256:
            (dataset.root / path).unlink(missing_ok=True)
            (dataset.root / "damaged" / Path(path).name).unlink(missing_ok=True)  # put aside by lhq verify
            with contextlib.suppress(FileNotFoundError):
                atomic.fsync((dataset.root / path).parent)
            thumbnails.forget(dataset.root, [sha256])


def _remove_caches(dataset: Dataset) -> None:
    """Caches, what a killed writer of one left, and exports on their way to a URL; one who writes now goes without."""
    for cache in (dataset.root / "subsets").glob("*.parquet"):  # of temporary names too
        cache.unlink(missing_ok=True)
    shutil.rmtree(dataset.root / "exports", ignore_errors=True)


def rows_in(path: Path, photo_ids: Sequence[str], sha256s: Sequence[str]) -> int:
    """How many rows of a SQLite file stand under these ids or hashes; 0 where there is no such file."""
    if not path.exists():
        return 0
    with _naming(path), contextlib.closing(_open(path)) as database:
        counts = [
            database.execute(f"SELECT count(*) FROM {table} WHERE {column} {_AMONG}", [these]).fetchone()  # noqa: S608
            for table, column, these in _places(database, photo_ids, sha256s)
        ]
    return sum(count for (count,) in counts)


def forget(path: Path, photo_ids: Sequence[str], sha256s: Sequence[str]) -> None:
    """Delete rows under these ids or hashes from every table of a SQLite file, so that no page keeps their bytes."""
    if not path.exists():
        return
    with _naming(path), contextlib.closing(_open(path)) as database:
        database.execute("PRAGMA secure_delete = ON")
        with database:
            for table, column, these in _places(database, photo_ids, sha256s):
                if column == _CURSOR:  # a task that stopped at such a photo begins anew
                    database.execute(f"UPDATE {table} SET {column} = '' WHERE {column} {_AMONG}", [these])  # noqa: S608
                else:
                    database.execute(f"DELETE FROM {table} WHERE {column} {_AMONG}", [these])  # noqa: S608
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _naming(path: Path) -> contextlib.AbstractContextManager[None]:
    return naming(path, "mend that and run the same command again; lhq verify --repair mends what can be mended")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS)


def _places(
    database: sqlite3.Connection, photo_ids: Sequence[str], sha256s: Sequence[str]
) -> list[tuple[str, str, str]]:
    """(table, column, JSON list of values) for each column that names photos or files."""
    ids = json.dumps(list(photo_ids))
    wanted = {_quoted("photo_id"): ids, _CURSOR: ids, _quoted("sha256"): json.dumps(list(sha256s))}
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [
        (_quoted(table), column, wanted[column])
        for table in tables
        for column in (_quoted(row[1]) for row in database.execute(f"PRAGMA table_info({_quoted(table)})"))
        if column in wanted
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
