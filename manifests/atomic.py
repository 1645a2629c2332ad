"""Files that appear whole or not at all: written beside their place, fsynced, renamed, the folder fsynced."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

TEMPORARY = ".tmp-"  # prefix of names that readers ignore and locked starts sweep
FEW = 4  # files that are synced one by one


def fsync(path: Path) -> None:
    """Make a file's content, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_all(paths: Sequence[Path], folder: Path) -> None:
    """Make many files and folders durable, all below `folder` and on its file system.

    Where one call can sync that file system and tells of failures (Linux from 5.8), that is some ten times faster
    than one call a file; only for file systems of this machine, and not for a handful of files.
    """
    whole = _syncfs() if len(paths) > FEW else None
    if whole is None:
        for path in paths:
            fsync(path)
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if whole(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


@cache
def _syncfs() -> Callable[[int], int] | None:
    """The system's syncfs(2), where it reports what could not be written."""
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    if platform.system() != "Linux" or release is None or (int(release[1]), int(release[2])) < (5, 8):
        return None
    function: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return function


def temporary_beside(path: Path) -> Path:
    """A fresh temporary name in the folder of `path`."""
    return path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write; on leaving it becomes `path`, durably. On error nothing changes."""
    temporary = temporary_beside(path)
    try:
        yield temporary
        fsync(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    fsync(path.parent)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on leaving it becomes `path`, which is not there, durably. On error it goes."""
    temporary = temporary_beside(path)
    temporary.mkdir()
    try:
        yield temporary
        fsync_all([*temporary.rglob("*"), temporary], temporary)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder so that it is never seen in part: first its name, then what it holds."""
    temporary = temporary_beside(path)
    path.rename(temporary)
    shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write or replace a small file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def make_folder(folder: Path) -> None:
    """Create a folder and its missing parents, each durably named in its own parent."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for one in reversed(missing):
        if not one.exists():
            one.mkdir(exist_ok=True)
            fsync(one.parent)


def sweep_temporaries(folder: Path) -> None:
    """Remove what an interrupted write left; call only under the lock that guards the folder."""
    for leftover in folder.glob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)
