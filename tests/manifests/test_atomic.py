"""Files and folders appear whole, or not at all; what a killed process left goes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests import atomic


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make the sync of this number fail, as a disk does, and none after it."""

    def fail(number: int) -> None:
        usual, made = os.fsync, []

        def fsync(descriptor: int) -> None:
            made.append(descriptor)
            if len(made) == number:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            usual(descriptor)

        monkeypatch.setattr(os, "fsync", fsync)

    return fail


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("number", [1, 2])  # the file's, the folder's
def test_a_file_that_could_not_be_synced_does_not_appear(tmp_path, failing, number):
    failing(number)
    with pytest.raises(OSError, match="Input/output error") as caught:
        atomic.write_bytes(tmp_path / "a", b"new")
    assert caught.value.errno == errno.EIO
    assert Path(caught.value.filename) in (tmp_path, tmp_path / "a")
    assert names(tmp_path) == []
    atomic.write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize(("number", "then"), [(1, b"old"), (2, b"new")])
def test_a_file_that_is_replaced_is_the_old_or_the_new_one(tmp_path, failing, number, then):
    (tmp_path / "a").write_bytes(b"old")
    failing(number)
    with pytest.raises(OSError, match="Input/output error"):
        atomic.write_bytes(tmp_path / "a", b"new")
    assert (names(tmp_path), (tmp_path / "a").read_bytes()) == (["a"], then)


@pytest.mark.parametrize("number", [1, 2, 3])  # the file's, the folder's, that of the folder around it
def test_a_folder_that_could_not_be_synced_does_not_appear(tmp_path, failing, number):
    failing(number)
    with pytest.raises(OSError, match="Input/output error"), atomic.whole_folder(tmp_path / "a") as folder:
        (folder / "b").write_bytes(b"new")
    assert names(tmp_path) == []


def test_an_error_names_the_file_that_was_to_be(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, atomic.replacing(tmp_path / "a") as temporary:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))
    assert caught.value.filename == str(tmp_path / "a")
    with pytest.raises(OSError, match="No space") as caught, atomic.whole_folder(tmp_path / "a") as temporary:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary / "b"))
    assert caught.value.filename == str(tmp_path / "a")


def test_an_error_that_names_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, atomic.named(tmp_path / "a"):
        (tmp_path / "b").read_bytes()
    assert Path(caught.value.filename).name == "b"


LEAVE = "import sys; from manifests import atomic; print(atomic.temporary_beside(atomic.Path(sys.argv[1])))"


def test_what_a_dead_process_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    told = subprocess.run([sys.executable, "-c", LEAVE, tmp_path / "b"], capture_output=True, text=True, check=True)
    dead = Path(told.stdout.strip())
    dead.mkdir()
    (dead / "half").write_bytes(b"half")
    mine = atomic.temporary_beside(tmp_path / "b")
    elsewhere = tmp_path / ".tmp-00000000-1-00000000-b"  # of another machine, where that number may be alive
    for path in (mine, elsewhere):
        path.write_bytes(b"half")
    atomic.write_bytes(tmp_path / "a", b"whole")
    assert names(tmp_path) == sorted([elsewhere.name, mine.name, "a"])
