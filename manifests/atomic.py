"""Files that appear whole or not at all: written beside their place, fsynced, renamed, the folder fsynced."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import platform
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

TEMPORARY = ".tmp-"  # prefix of names that readers ignore and locked starts sweep
FEW = 4  # files that are synced one by one

_OURS = re.compile(rf"{re.escape(TEMPORARY)}([0-9a-f]{{8}})-(\d+)-[0-9a-f]{{8}}-")
_swept: set[str] = set()  # folders, by this process


def fsync(path: Path) -> None:
    """Make a file's content, or a folder's names, durable. After an OSError it counts as not written."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with named(path):
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
    """A fresh temporary name in the folder of `path`, that tells whose it is."""
    return path.with_name(f"{TEMPORARY}{_here()}-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")


@cache
def _here() -> str:
    """This machine, or container, where a process's number means one process: 8 hexadecimal digits."""
    try:
        numbering = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:  # not Linux: a machine has one
        numbering = 0
    return hashlib.sha256(f"{socket.gethostname()} {numbering}".encode()).hexdigest()[:8]


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write; on leaving it becomes `path`, durably. On error nothing changes.

    Only where an older file was replaced and the folder's sync fails after that, the new one stays.
    """
    sweep_dead(path.parent)
    temporary = temporary_beside(path)
    with named(path, temporary):
        try:
            yield temporary
            fsync(temporary)
            is_new = not path.exists()
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        try:
            fsync(path.parent)
        except OSError:
            if is_new:
                path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; on leaving it becomes `path`, which is not there, durably. On error it goes."""
    sweep_dead(path.parent)
    temporary = temporary_beside(path)
    with named(path, temporary):
        temporary.mkdir()
        try:
            yield temporary
            fsync_all([*temporary.rglob("*"), temporary], temporary)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        try:
            fsync(path.parent)
        except OSError:
            remove_folder(path)
            raise


@contextlib.contextmanager
def named(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """An OSError that names no file, as a full disk gives, or what is temporary, gets the name of `path`."""
    try:
        yield
    except OSError as error:
        known = error.filename is not None
        if known and temporary is not None and str(error.filename).startswith(str(temporary)):
            known = False
        if error.errno is None or known:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def sweep_dead(folder: Path) -> None:
    """Remove what processes of this machine that are gone were writing into a folder; once in this process."""
    with contextlib.suppress(OSError):
        place = str(folder.resolve())
        if place in _swept:
            return
        _swept.add(place)
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(TEMPORARY)]
        for name in names:
            found = _OURS.match(name)
            if found and found[1] == _here() and not _is_alive(int(found[2])):
                _remove(folder / name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _remove(leftover: Path) -> None:
    if leftover.is_dir() and not leftover.is_symlink():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        leftover.unlink(missing_ok=True)


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
