"""A journal mode is set however many processes are at it, and a lock that is held for long is told."""

import sqlite3
import threading
from pathlib import Path

import pytest

from manifests.databases import write_ahead


def _holding(path: Path) -> sqlite3.Connection:
    """A connection in the middle of a transaction, for which the journal mode has to wait."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("CREATE TABLE t (a)")
    database.executescript("BEGIN IMMEDIATE; INSERT INTO t VALUES (1);")
    return database


def test_who_holds_the_database_is_waited_for(tmp_path):
    holder = _holding(tmp_path / "d.sqlite")
    waiting = sqlite3.connect(tmp_path / "d.sqlite", timeout=0.0)
    threading.Timer(0.3, holder.execute, ["COMMIT"]).start()
    write_ahead(waiting, 60.0)
    assert waiting.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert waiting.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_who_never_lets_go_is_told(tmp_path):
    _holder = _holding(tmp_path / "d.sqlite")
    waiting = sqlite3.connect(tmp_path / "d.sqlite", timeout=0.0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(waiting, 0.2)


def test_what_is_no_database_is_told_at_once(tmp_path):
    (tmp_path / "d.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(sqlite3.connect(tmp_path / "d.sqlite"), 60.0)
