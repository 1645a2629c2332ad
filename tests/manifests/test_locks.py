"""One writer at a time: on one machine by flock, between machines by a lease that goes stale."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests import locks
from manifests.errors import LockedError
from manifests.locks import locked, on_local_disk

HOLDER = """
import subprocess, sys, time
from pathlib import Path
from manifests.locks import locked
with locked(Path(sys.argv[1]), "crawl", local=sys.argv[2] == "local"):
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(child.pid, flush=True)
    sys.stdin.readline()
    child.kill()
    child.wait()
"""


@contextlib.contextmanager
def _holder(root: Path, kind: str = "local") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds the lock and has a child of its own; yields it and the child's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, root, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process, child
    finally:
        if process.poll() is None:
            process.communicate("\n", timeout=30)
        else:
            os.kill(child, signal.SIGKILL)


def test_a_second_process_is_told_host_and_pid_of_the_first_and_gets_the_lock_after_it(tmp_path: Path) -> None:
    with _holder(tmp_path) as (holder, _):
        with pytest.raises(LockedError) as refused, locked(tmp_path, "crawl"):
            pass
        assert f"process {holder.pid} on host {socket.gethostname()}" in str(refused.value)
        assert str(tmp_path) in str(refused.value)
        with locked(tmp_path, "stage-objects"):  # another lock is free
            pass
    with locked(tmp_path, "crawl"):
        assert json.loads((tmp_path / "locks" / "crawl.lock").read_text())["pid"] == os.getpid()


def test_a_killed_holder_frees_the_lock_though_its_child_lives_on(tmp_path: Path) -> None:
    with _holder(tmp_path) as (holder, child):
        holder.kill()
        holder.wait(30)
        os.kill(child, 0)
        with locked(tmp_path, "crawl"):
            pass


def test_a_second_taker_in_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with locked(tmp_path, "crawl"), pytest.raises(LockedError, match=str(os.getpid())), locked(tmp_path, "crawl"):
        pass


def test_waiting_gets_the_lock_once_it_is_free_and_gives_up_in_time(tmp_path: Path) -> None:
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path, "recipes"):
            taken.set()
            free.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(30)
    start = time.monotonic()
    with pytest.raises(LockedError), locked(tmp_path, "recipes", wait_seconds=0.2):
        pass
    assert time.monotonic() - start >= 0.2
    threading.Timer(0.2, free.set).start()
    with locked(tmp_path, "recipes", wait_seconds=30):
        pass
    thread.join()


def test_a_lock_is_freed_by_an_exception_and_on_a_local_disk_check_always_passes(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), locked(tmp_path, "crawl", local=True) as lock:
        lock.check()
        raise RuntimeError
    with locked(tmp_path, "crawl", local=True):
        pass
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["crawl.lock"]


def test_a_damaged_lock_file_still_refuses(tmp_path: Path) -> None:
    with locked(tmp_path, "crawl"):
        (tmp_path / "locks" / "crawl.lock").write_bytes(b"\xff{")
        with pytest.raises(LockedError, match="another process"), locked(tmp_path, "crawl"):
            pass


# The lease, for file systems shared between hosts.


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(locks, "SETTLE_SECONDS", 0.1)


def _lease_of_another_host(root: Path, age: float) -> Path:
    (root / "locks").mkdir(parents=True, exist_ok=True)
    lease = root / "locks" / "crawl.lease"
    lease.write_text(json.dumps({"host": "far-away", "pid": 4242, "since": "2020-01-01"}))
    touched = time.time() - age
    os.utime(lease, (touched, touched))
    return lease


@pytest.mark.usefixtures("quick")
def test_a_lease_is_renewed_while_held_and_gone_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path, "crawl", local=False) as lock:
        lease = tmp_path / "locks" / "crawl.lease"
        os.utime(lease, (1, 1))
        for _ in range(200):
            if lease.stat().st_mtime > time.time() - 10:
                break
            time.sleep(0.05)
        assert lease.stat().st_mtime > time.time() - 10
        lock.check()
        assert json.loads(lease.read_text())["pid"] == os.getpid()
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["crawl.lock"]


def test_a_live_lease_of_another_host_refuses_and_names_it(tmp_path: Path) -> None:
    lease = _lease_of_another_host(tmp_path, locks.STALE_SECONDS - 10)
    for _ in range(2):
        with pytest.raises(LockedError, match="process 4242 on host far-away"), locked(tmp_path, "crawl", local=False):
            pass
    assert sorted(path.name for path in (tmp_path / "locks").iterdir()) == ["crawl.lease", "crawl.lock"]
    assert "far-away" in lease.read_text()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("content", ["as written", ""])
def test_a_stale_lease_is_taken_over_and_nothing_is_left(tmp_path: Path, content: str) -> None:
    lease = _lease_of_another_host(tmp_path, 0)
    if not content:
        lease.write_text("")  # its holder died, or its disk was full, as it wrote
    os.utime(lease, (time.time() - locks.STALE_SECONDS - 5,) * 2)
    with locked(tmp_path, "crawl", local=False) as lock:
        lock.check()
        assert json.loads(lease.read_text())["pid"] == os.getpid()
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["crawl.lock"]


def test_a_lease_of_a_killed_holder_of_this_host_refuses_until_it_is_stale(tmp_path: Path) -> None:
    with _holder(tmp_path, "shared") as (holder, _):
        holder.kill()
        holder.wait(30)
        with pytest.raises(LockedError, match=str(holder.pid)), locked(tmp_path, "crawl", local=False):
            pass


@pytest.mark.parametrize("how", ["taken over", "removed"])
def test_check_raises_as_soon_as_the_lease_is_lost_and_leaves_the_new_holder_alone(tmp_path: Path, how: str) -> None:
    """Renewal is 10 s apart: a process that slept must not commit once more before the next one."""
    lease = tmp_path / "locks" / "crawl.lease"
    with locked(tmp_path, "crawl", local=False) as lock:
        lock.check()
        lease.unlink()
        if how == "taken over":
            _lease_of_another_host(tmp_path, 0)
        with pytest.raises(LockedError, match="taken over"):
            lock.check()
        with pytest.raises(LockedError, match="taken over"):
            lock.check()
    assert lease.exists() == (how == "taken over")


@pytest.mark.usefixtures("quick")
def test_a_lost_lease_is_not_renewed(tmp_path: Path) -> None:
    with locked(tmp_path, "crawl", local=False):
        (tmp_path / "locks" / "crawl.lease").unlink()
        lease = _lease_of_another_host(tmp_path, 30)
        before = lease.stat().st_mtime_ns
        time.sleep(0.3)
    assert lease.stat().st_mtime_ns == before


def test_a_fresh_lease_taken_for_a_stale_one_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host takes over between our look at the stale lease and our move: it must keep its lease."""
    lease = _lease_of_another_host(tmp_path, 1000)
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        self.unlink()
        self.write_text('{"host": "faster", "pid": 7}')
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    with pytest.raises(LockedError, match="process 7 on host faster"), locked(tmp_path, "crawl", local=False):
        pass
    assert "faster" in lease.read_text()
    assert sorted(path.name for path in lease.parent.iterdir()) == ["crawl.lease", "crawl.lock"]


def test_a_lease_replaced_while_it_is_looked_at_is_not_mistaken_for_the_stale_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look takes two steps (its age, its text); a take-over between them must not fool us."""
    lease = _lease_of_another_host(tmp_path, 1000)
    read_text, stat, looked = Path.read_text, Path.stat, []

    def replace_once(path: Path) -> None:
        if path.name == "crawl.lease" and not looked:
            looked.append(path)
            lease.unlink()
            lease.write_text('{"host": "faster", "pid": 7}')

    def stat_then_replace(self: Path, **how: bool) -> os.stat_result:
        facts = stat(self, **how)
        replace_once(self)
        return facts

    def read_then_replace(self: Path, *how: str, **more: str) -> str:
        text = read_text(self, *how, **more)
        replace_once(self)
        return text

    monkeypatch.setattr(Path, "stat", stat_then_replace)
    monkeypatch.setattr(Path, "read_text", read_then_replace)
    with pytest.raises(LockedError, match="faster"), locked(tmp_path, "crawl", local=False):
        pass
    assert "faster" in read_text(lease)


CONTENDER = """
import fcntl, sys, time
from pathlib import Path
from manifests import locks
from manifests.errors import LockedError
fcntl.flock = lambda *_: None  # as between hosts that do not see each other's
locks.RENEW_SECONDS, locks.SETTLE_SECONDS = 0.05, 0.15
root, start, rounds, period = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
for round in range(rounds):
    while time.time() < start + round * period:
        pass
    try:
        with locks.locked(root, f"r{round}", local=False) as lock:
            time.sleep(start + (round + 0.8) * period - time.time())
            lock.check()
            print(round)
    except LockedError:
        pass
    time.sleep(max(0.0, start + (round + 0.95) * period - time.time()))
"""


@pytest.mark.slow
def test_of_many_contenders_for_a_stale_lease_exactly_one_wins(tmp_path: Path) -> None:
    rounds, period, contenders = 12, 0.6, 4
    (tmp_path / "locks").mkdir()
    for number in range(rounds):
        lease = tmp_path / "locks" / f"r{number}.lease"
        lease.write_text("{}")
        os.utime(lease, (1, 1))
    arguments = [tmp_path, str(time.time() + 1.5), str(rounds), str(period)]
    processes = [
        subprocess.Popen([sys.executable, "-c", CONTENDER, *arguments], stdout=subprocess.PIPE, text=True)
        for _ in range(contenders)
    ]
    won = [int(line) for process in processes for line in process.communicate(timeout=60)[0].splitlines()]
    assert sorted(won) == list(range(rounds))
    assert not list((tmp_path / "locks").glob("*.lease*"))


def test_where_a_shared_file_system_has_no_flock_the_lease_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with (
        locked(tmp_path, "crawl", local=False),
        pytest.raises(LockedError, match=str(os.getpid())),
        locked(tmp_path, "crawl", local=False),
    ):
        pass
    with pytest.raises(OSError, match="not supported"), locked(tmp_path, "crawl", local=True):
        pass


# Which kind of file system.

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /data rw shared:2 - nfs4 server:/export rw,vers=4.2
31 30 8:2 / /data/local rw - xfs /dev/sdb rw
32 22 0:41 / /with\\040space\\011tab rw - cifs //server/share rw
33 22 0:42 / /mnt/over rw - ext4 /dev/sdc rw
34 22 0:43 / /mnt/over rw master:3 propagate_from:2 - lustre mds:/fs rw
35 22 0:44 / /mnt/x - fuse.sshfs a rw
36 22 0:45 / /bad-\udcff rw - ext4 /dev/sdd rw
"""


@pytest.mark.parametrize(
    ("folder", "local"),
    [
        ("/", True),
        ("/home/me/dataset", True),
        ("/data", False),
        ("/data/set", False),
        ("/database", True),
        ("/data/local/set", True),
        ("/with space\ttab/set", False),
        ("/mnt/over/set", False),
        ("/mnt/x/set", False),
    ],
)
def test_the_innermost_mount_decides_whether_a_disk_is_local(tmp_path: Path, folder: str, local: bool) -> None:
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_bytes(MOUNTS.encode(errors="surrogateescape"))
    assert on_local_disk(Path(folder), mountinfo) is local


def test_the_link_that_leads_to_a_shared_disk_counts_as_shared(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    mountinfo = tmp_path / "mountinfo"
    mountinfo.write_text(f"1 0 8:1 / / rw - ext4 a rw\n2 1 0:40 / {(tmp_path / 'shared').resolve()} rw - nfs4 b rw\n")
    assert not on_local_disk(tmp_path / "link" / "dataset", mountinfo)
    assert on_local_disk(tmp_path, mountinfo)


def test_temporary_folders_are_local_and_a_system_without_mountinfo_counts_as_local(tmp_path: Path) -> None:
    assert on_local_disk(Path("/tmp"))
    assert on_local_disk(Path("/tmp"), tmp_path / "none")
