"""SQLite's troubles in one line that names the file: a full disk, damage, a lock held for long; and waiting for one."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from manifests.errors import SetupError


@contextlib.contextmanager
def naming(path: Path, remedy: str) -> Iterator[None]:
    """SetupError in place of what SQLite raises; `remedy` says what holds now and what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise SetupError(f"{path} cannot be used ({error}); {remedy}") from error


def write_ahead(database: sqlite3.Connection, seconds: float) -> None:
    """Set the journal mode to WAL, and wait for another process that is at the same, for which SQLite does not."""
    until = time.monotonic() + seconds
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            kind = error.sqlite_errorcode & 0xFF  # what is above tells more of it
            if kind != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(0.01)
