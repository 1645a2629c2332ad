"""At most N requests in any window, per key and machine: a log that every process and dataset shares.

A request is counted before it is sent, and counts until a full window after its reply came: whenever it reached
the host in between, no window of the host's clock holds more than N. One whose process was killed counts as if
its reply had come as late as a reply can. The log survives kills (SQLite, under LHQ_STATE) and names keys by hash.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from manifests.databases import naming, write_ahead
from manifests.errors import SetupError
from manifests.locks import on_local_disk
from pipelines.web.clock import Clock
from pipelines.web.rate import Rate

LONGEST_REQUEST = 180.0  # seconds: no reply is waited for longer
LONGEST_WINDOW = 3600.0
BUSY_SECONDS = 60.0  # another process counts a request in milliseconds
_TABLE = """
CREATE TABLE IF NOT EXISTS requests (key TEXT NOT NULL, sent REAL NOT NULL, answered REAL);
CREATE INDEX IF NOT EXISTS by_key ON requests (key, sent);
"""


def state_folder() -> Path:
    """Where this machine's state is kept: LHQ_STATE, by default ~/.local/state/lhq."""
    named = os.environ.get("LHQ_STATE")
    return Path(named) if named else Path.home() / ".local" / "state" / "lhq"


class Quota:
    """One key's limit. Slots are handed out one at a time, in any number of processes and threads."""

    def __init__(self, key: str, rate: Rate, folder: Path, clock: Clock) -> None:
        """`key` is the hash of the key; `folder` is made where it is missing."""
        self.rate = rate
        self._key, self._clock = key, clock
        self._path = folder / "quota.sqlite"
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SetupError(f"{folder} cannot be made ({error.strerror}): set LHQ_STATE to another folder") from error
        with self._told_plainly():
            self._connection = sqlite3.connect(self._path, BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            if on_local_disk(folder):  # a write-ahead log waits for no disk; a shared disk cannot have one
                write_ahead(self._connection, BUSY_SECONDS)
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_TABLE)

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for room, count one request, and hold it while the `with` block sends it and reads the reply."""
        while isinstance(taken := self._take(), float):
            self._clock.wait(taken)
        try:
            yield
        finally:
            with self._database() as database:
                database.execute("UPDATE requests SET answered = ? WHERE rowid = ?", (self._clock.now(), taken))

    def wait(self) -> float:
        """Seconds until a request may be sent, as it looks now; 0 where there is room."""
        with self._database() as database:
            return self._until_room(database, self._clock.now())

    def _take(self) -> int | float:
        """The row of a request counted now, or the seconds until it is worth asking again."""
        with self._database() as database:
            now = self._clock.now()
            self._tidy(database, now)
            if wait := self._until_room(database, now):
                return wait
            row = database.execute("INSERT INTO requests (key, sent) VALUES (?, ?)", (self._key, now)).lastrowid
            assert row is not None
            return row

    def _until_room(self, database: sqlite3.Connection, now: float) -> float:
        """The request that must leave the window first is the N-th latest, by when its reply came."""
        since = (self._key, now - self.rate.seconds - LONGEST_REQUEST)
        (sent,) = database.execute("SELECT count(*) FROM requests WHERE key = ? AND sent > ?", since).fetchone()
        if sent < self.rate.count:
            return 0.0
        (until,) = database.execute(
            "SELECT min(coalesce(answered, sent + ?), ?) AS until FROM requests WHERE key = ? AND sent > ?"
            " ORDER BY until DESC LIMIT 1 OFFSET ?",
            (LONGEST_REQUEST, now, *since, self.rate.count - 1),
        ).fetchone()
        return max(0.0, float(until) + self.rate.seconds - now)

    def _tidy(self, database: sqlite3.Connection, now: float) -> None:
        """Forget what counts in no window any more. A clock that was set back must not hold us up for long."""
        past = now - LONGEST_WINDOW - 2 * LONGEST_REQUEST
        database.execute("DELETE FROM requests WHERE key = ? AND sent < ?", (self._key, past))
        database.execute(
            "UPDATE requests SET sent = ?, answered = ? WHERE key = ? AND sent > ?", (now, now, self._key, now)
        )

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else's can overlap."""
        with self._lock, self._told_plainly():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    def _told_plainly(self) -> contextlib.AbstractContextManager[None]:
        return naming(self._path, "it records API requests: make room, or remove the file and wait an hour")
