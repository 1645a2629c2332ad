"""How far each source is read: `crawl.sqlite`, beside the tables, which say everything else.

What is still to fetch is not stored twice: it is what the tables hold without a final file row. So losing this file
costs requests and nothing else: the sources are read from their first page again.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc

from manifests import reviews
from manifests.databases import naming
from manifests.dataset import Dataset
from manifests.locks import on_local_disk
from manifests.rows import latest
from pipelines.web.quota import state_folder

NAME = "crawl.sqlite"
_TABLE = """
CREATE TABLE IF NOT EXISTS progress (
    source TEXT NOT NULL, task TEXT NOT NULL, cursor TEXT NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (source, task)
) WITHOUT ROWID
"""


def path_of(root: Path) -> Path:
    """Where the database of the dataset at `root` lies: in it, or off local disks under LHQ_STATE, where WAL works."""
    if on_local_disk(root):
        return root / NAME
    return state_folder() / "crawls" / f"{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]}.sqlite"


def put_aside(path: Path) -> None:
    """Keep a damaged database under another name: what comes next is made anew."""
    path.replace(path.with_name(f"{path.name}.damaged"))
    for more in ("-wal", "-shm"):
        path.with_name(path.name + more).unlink(missing_ok=True)


def databases(root: Path) -> list[Path]:
    """The SQLite files of the dataset at `root` that have rows by photo."""
    return [path_of(root), root / reviews.NAME]


class Frontier:
    """The cursors of all tasks. A context manager; safe to use from several threads of the one process that writes."""

    def __init__(self, path: Path) -> None:
        """Open or make the database; one that is damaged is put aside, which costs requests only."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._lock = path, threading.Lock()
        with self._naming():
            try:
                self._database = _open(path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                    raise  # locked, full, not permitted: not damaged
                put_aside(path)
                self._database = _open(path)

    def cursor(self, source: str, task: str) -> str | None:
        """Where a task goes on; None where nothing of it was read."""
        row = self._row(source, task)
        return None if row is None else row[0]

    def is_done(self, source: str, task: str) -> bool:
        """Whether a task was read to its end."""
        row = self._row(source, task)
        return row is not None and row[1]

    def record(self, source: str, task: str, cursor: str, done: bool) -> None:
        """Note how far a task is read, after its rows are in the tables."""
        with self._lock, self._naming(), self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?)", (source, task, cursor, int(done))
            )

    def forget(self, source: str, prefix: str) -> None:
        """Drop the tasks whose name begins so."""
        with self._lock, self._naming(), self._database:
            self._database.execute(
                "DELETE FROM progress WHERE source = ? AND substr(task, 1, ?) = ?", (source, len(prefix), prefix)
            )

    def _row(self, source: str, task: str) -> tuple[str, bool] | None:
        with self._lock, self._naming():
            found = self._database.execute(
                "SELECT cursor, done FROM progress WHERE source = ? AND task = ?", (source, task)
            ).fetchone()
        return None if found is None else (str(found[0]), bool(found[1]))

    def _naming(self) -> contextlib.AbstractContextManager[None]:
        return naming(self._path, "mend that and run the same command again: what was not noted is read again")

    def __enter__(self) -> Frontier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._database.close()


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last pages' cursors: read again
        with database:
            database.execute(_TABLE)
            database.execute("SELECT count(*), max(source, task, cursor, done) FROM progress").fetchone()
            if database.execute("SELECT type, name FROM sqlite_master").fetchall() != [("table", "progress")]:
                raise sqlite3.DatabaseError("it holds what no crawl wrote")
    except BaseException:
        database.close()
        raise
    return database


@dataclass(frozen=True)
class SourceListing:
    """What one source may know of its earlier pages; see `pipelines.sources.base.Listing`."""

    dataset: Dataset
    frontier: Frontier
    source: str

    def cursor(self, task: str) -> str | None:
        return self.frontier.cursor(self.source, task)

    def is_done(self, task: str) -> bool:
        return self.frontier.is_done(self.source, task)

    def photos(self, columns: Sequence[str]) -> pa.Table:
        wanted = list(dict.fromkeys([*columns, "photo_id", "source"]))
        rows = latest(self.dataset.photos_table.read(wanted), "photo_id")
        return rows.filter(pc.equal(rows["source"], self.source)).select(list(columns))
