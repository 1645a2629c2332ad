"""Who may write: one lock for the crawl and one per stage, held in the dataset, naming host and pid.

On a local disk flock is enough: the kernel frees it when the holder dies. Across hosts flock cannot be
trusted everywhere, so off local disks an exclusively created lease file stands beside it, renewed every
10 s and stale after 60 s by the file server's own clock. Readers never take a lock.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from manifests import plain_json
from manifests.atomic import make_folder
from manifests.errors import LockedError

RENEW_SECONDS = 10.0
STALE_SECONDS = 60.0
SETTLE_SECONDS = 1.0  # after a take-over: whoever else saw the same stale lease has tried by then

_LOCAL_KINDS = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "ramfs", "overlay", "jfs", "bcachefs"}


def on_local_disk(folder: Path, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """True when the folder lies on a file system of this machine alone; an unknown kind counts as shared."""
    try:
        mounts = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # not Linux: macOS has no network mounts by default that matter here
        return True
    place = folder.resolve()
    best, kind = "", ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        mount_point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), left.split()[4])
        if len(mount_point) >= len(best) and place.is_relative_to(mount_point):
            best, kind = mount_point, right.split()[0]
    return kind in _LOCAL_KINDS


class Lock:
    """A held lock. `check()` before each commit: it raises once the lease was lost to another host."""

    def __init__(self, flock: IO[str], lease: _Lease | None) -> None:
        self._flock = flock
        self._lease = lease

    def check(self) -> None:
        """Raise LockedError when another writer took over because our lease went stale."""
        if self._lease is not None and not self._lease.held():
            raise LockedError(f"{self._lease.path} was taken over by another host while this one slept: stop")

    def _release(self) -> None:
        with self._flock:
            if self._lease is not None:
                self._lease.release()


@contextlib.contextmanager
def locked(folder: Path, name: str, *, wait_seconds: float = 0.0, local: bool | None = None) -> Iterator[Lock]:
    """Hold the lock `name` of the dataset at `folder`; LockedError names the holder.

    `local` forces the kind of file system (for tests); by default it is looked up.
    """
    place = folder / "locks"
    make_folder(place)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            lock = _take(place, name, on_local_disk(folder) if local is None else local)
            break
        except LockedError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
    try:
        yield lock
    finally:
        lock._release()


def _take(place: Path, name: str, local: bool) -> Lock:
    path = place / f"{name}.lock"
    with contextlib.ExitStack() as undo:
        stream = undo.enter_context(path.open("a+"))
        _flock(stream, path, local)
        lease = None
        if not local:
            lease = _Lease(place / f"{name}.lease")
            undo.callback(lease.release)
        stream.truncate(0)
        stream.write(_me())
        stream.flush()
        undo.pop_all()
    return Lock(stream, lease)


def _flock(stream: IO[str], path: Path, local: bool) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(_busy(path, _read_holder(path))) from None
    except OSError as error:
        if local or error.errno not in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK):
            raise  # a shared file system without flock has the lease alone


def _me() -> str:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since})


def _read_holder(path: Path) -> dict[str, object]:
    try:
        return plain_json.mapping(path.read_bytes())
    except (OSError, ValueError):
        return {}


def _busy(path: Path, holder: dict[str, object]) -> str:
    if not holder:
        return f"{path.parent.parent} is being written by another process ({path.name}); wait for it to end"
    return (
        f"{path.parent.parent} is being written by process {holder.get('pid')} on host {holder.get('host')} "
        f"since {holder.get('since')} ({path.name}); wait for it to end or stop it"
    )


class _Lease:
    """An exclusively created file that says its holder is alive, for file systems shared between hosts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._nonce = secrets.token_hex(8)  # host names and pids may repeat between containers
        self._text = json.dumps({**json.loads(_me()), "nonce": self._nonce})
        self._lost = False
        if self._create():
            time.sleep(SETTLE_SECONDS)
            if not self.held():
                raise LockedError(_busy(self.path, _read_holder(self.path)))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_forever, daemon=True, name="lhq-lease")
        self._thread.start()

    def held(self) -> bool:
        """Whether the file is still ours, as it stands now; once lost it stays lost."""
        if not self._lost:
            try:
                self._lost = self.path.read_text() != self._text
            except FileNotFoundError:
                self._lost = True
        return not self._lost

    def release(self) -> None:
        self._stop.set()
        self._thread.join()
        if self.held():
            self.path.unlink(missing_ok=True)

    def _create(self) -> bool:
        """True when a stale lease of somebody else was in the way and has been removed."""
        removed = False
        for _ in range(2):
            try:
                with self.path.open("x") as stream:
                    stream.write(self._text)
                return removed
            except FileExistsError:
                removed = self._remove_if_stale()
        raise LockedError(_busy(self.path, _read_holder(self.path)))

    def _remove_if_stale(self) -> bool:
        """Compare with a file touched now, so that only the file server's clock counts."""
        probe = self._beside("now")
        probe.write_text("")
        try:
            seen = self.path.stat()
            age = probe.stat().st_mtime - seen.st_mtime
        except FileNotFoundError:
            return True
        finally:
            probe.unlink(missing_ok=True)
        if age <= STALE_SECONDS:
            raise LockedError(_busy(self.path, _read_holder(self.path)))
        grave = self._beside("stale")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(grave)
            if grave.stat().st_mtime_ns != seen.st_mtime_ns:  # renewed, or another host's fresh one: give it back
                with contextlib.suppress(FileExistsError):
                    os.link(grave, self.path)
            grave.unlink()
        return True

    def _beside(self, kind: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{self._nonce}.{kind}")

    def _renew_forever(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            try:
                if not self.held():
                    return
                os.utime(self.path)
            except OSError:
                continue  # a passing trouble of the server; the next renewal may succeed
