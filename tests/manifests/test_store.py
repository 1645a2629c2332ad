"""The image store keeps bytes as received, once, whole or not at all, whoever places them."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from disks import disk

from manifests import atomic
from manifests.store import ImageStore


def _files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_an_image_lies_under_its_hash_with_its_real_extension(tmp_path: Path) -> None:
    data = b"\x89PNG... not really"
    sha256 = hashlib.sha256(data).hexdigest()
    with ImageStore(tmp_path).batch() as placing:
        stored = placing.add(data, "png")
        assert not (tmp_path / stored.path).exists()  # named at the end of the batch
    assert (stored.sha256, stored.path) == (sha256, f"images/{sha256[:2]}/{sha256}.png")
    assert (tmp_path / stored.path).read_bytes() == data


def test_the_same_bytes_twice_are_one_file(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    with store.batch() as placing:
        first, second = placing.add(b"same", "jpg"), placing.add(b"same", "jpg")
    before = (tmp_path / first.path).stat()
    with store.batch() as placing:
        third = placing.add(b"same", "jpg")
    assert first == second == third
    assert _files(tmp_path) == [first.path]
    assert (tmp_path / first.path).stat().st_ino == before.st_ino  # what is there is left alone


def test_a_file_of_another_length_under_the_name_is_replaced(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    with store.batch() as placing:
        stored = placing.add(b"whole", "jpg")
    (tmp_path / stored.path).write_bytes(b"wh")
    with store.batch() as placing:
        placing.add(b"whole", "jpg")
    assert (tmp_path / stored.path).read_bytes() == b"whole"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_abandoned_batch_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    store = ImageStore(tmp_path)
    with store.batch() as placing:
        kept = placing.add(b"kept", "jpg")
    with contextlib.suppress(error), store.batch() as placing:
        placing.add(b"kept", "jpg")
        placing.add(b"other", "jpg")
        raise error
    assert _files(tmp_path) == [kept.path]


def test_a_batch_whose_sync_fails_leaves_nothing_under_a_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    def place() -> None:
        with ImageStore(tmp_path).batch() as placing:
            (tmp_path / placing.add(b"one", "jpg").path).parent.mkdir(parents=True, exist_ok=True)
            placing.add(b"two", "jpg")
            monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(OSError, match="No space left"):
        place()
    assert _files(tmp_path) == []


@pytest.mark.parametrize("images", [2, 40])
def test_many_images_are_synced_by_one_call_and_its_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: int
) -> None:
    """A handful is synced one by one, as everything is where the system has no such call."""
    asked: list[int] = []

    def fail(descriptor: int) -> int:
        asked.append(descriptor)
        ctypes.set_errno(28)
        return -1

    def place() -> None:
        with ImageStore(tmp_path).batch() as placing:
            for number in range(images):
                placing.add(b"%d" % number, "jpg")

    monkeypatch.setattr(atomic, "_syncfs", lambda: fail)
    if images <= atomic.FEW:
        place()
        assert asked == []
        return
    with pytest.raises(OSError, match="No space left"):
        place()
    assert len(asked) == 1
    assert _files(tmp_path) == []
    monkeypatch.setattr(atomic, "_syncfs", lambda: None)
    place()
    assert len(_files(tmp_path)) == images


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with disk(tmp_path / "disk", "64k") as place:
        store = ImageStore(place)
        with store.batch() as placing:
            kept = placing.add(b"kept", "jpg")
        with contextlib.suppress(OSError), store.batch() as placing:
            placing.add(b"small", "jpg")
            placing.add(os.urandom(100_000), "jpg")
            pytest.fail("it fits")
        assert _files(place) == [kept.path]


def test_sweep_removes_what_a_killed_batch_left_and_nothing_else(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    store.sweep()  # no images yet
    killed = "import os, sys; from pathlib import Path; from manifests.store import ImageStore\n"
    killed += "with ImageStore(Path(sys.argv[1])).batch() as p: p.add(b'late', 'jpg'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed, tmp_path], check=False)
    with store.batch() as placing:
        kept = placing.add(b"kept", "jpg")
    assert len(_files(tmp_path)) == 2
    store.sweep()
    assert _files(tmp_path) == [kept.path]


PLACER = """
import sys
from pathlib import Path
from manifests.store import ImageStore
store = ImageStore(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(60):
    with store.batch() as placing:
        for image in range(3):
            placing.add(f"image {number + image}".encode() * 1000, "jpg")
"""


def test_processes_that_place_the_same_bytes_at_once_leave_each_image_once_and_whole(tmp_path: Path) -> None:
    placers = [
        subprocess.Popen(
            [sys.executable, "-c", PLACER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for placer in placers:
        assert placer.stdout is not None
        placer.stdout.readline()
    for placer in placers:
        assert placer.stdin is not None
        placer.stdin.write("\n")
        placer.stdin.flush()
    for placer in placers:
        placer.communicate(timeout=60)
        assert placer.returncode == 0
    expected = {hashlib.sha256(f"image {n}".encode() * 1000).hexdigest() for n in range(62)}
    assert {Path(name).stem for name in _files(tmp_path)} == expected
    for name in _files(tmp_path):
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == Path(name).stem
