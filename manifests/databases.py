"""SQLite's troubles in one line that names the file: a full disk or a failing one, damage, a lock held for long."""

from __future__ import annotations

import contextlib
import sqlite3
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
