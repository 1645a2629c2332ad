"""`lhq weights`: fetched over a real connection, resumed where it broke, and never kept with another hash."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from serving import Served, serving

from lhq_toolkit import cli, download
from manifests.errors import SetupError, TransientError
from models import weights
from models.weights import Weights

DATA = random.Random(1).randbytes(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
WANTED = Weights("toy", "toy.pth", "https://example.org/toy.pth", SHA256, None, "CC0-1.0", "these tests")
BY_PREFIX = replace(WANTED, name="short", file="short.pth", sha256=SHA256[:8])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("LHQ_ALLOW_PRIVATE_HOSTS", "1")
    monkeypatch.delenv("LHQ_OFFLINE", raising=False)
    with serving({WANTED.file: DATA, BY_PREFIX.file: DATA}) as server:
        monkeypatch.setenv("LHQ_WEIGHTS_URL", server.url)
        yield server


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_once_and_is_there_whole(served: Served, tmp_path: Path) -> None:
    path = download.fetch(WANTED, tmp_path / "a" / "cache")
    assert path.read_bytes() == DATA
    assert names(path.parent) == ["toy.pth"]
    assert download.fetch(WANTED, path.parent) == path
    assert served.asked == [None]


def test_a_broken_connection_is_taken_up_where_it_broke(served: Served, tmp_path: Path) -> None:
    served.cuts = [1_000_000, 0, 500_000]
    path = download.fetch(WANTED, tmp_path)
    assert path.read_bytes() == DATA
    assert served.asked == [None, "bytes=1000000-", "bytes=1000000-", "bytes=1500000-"]


def test_a_length_that_is_not_announced_is_no_obstacle(served: Served, tmp_path: Path) -> None:
    served.announce = False
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA


def test_what_a_killed_command_left_is_gone_on_from(served: Served, tmp_path: Path) -> None:
    (tmp_path / "toy.pth.partial").write_bytes(DATA[:1_234_567])
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA
    assert served.asked == ["bytes=1234567-"]
    assert names(tmp_path) == ["toy.pth"]


def test_a_partial_file_that_is_already_whole_needs_only_its_name(served: Served, tmp_path: Path) -> None:
    (tmp_path / "toy.pth.partial").write_bytes(DATA)
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA
    assert served.asked == ["bytes=3000000-"]


def test_the_remains_of_another_file_are_thrown_away(served: Served, tmp_path: Path) -> None:
    (tmp_path / "toy.pth.partial").write_bytes(b"x" * 1000)
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA
    assert served.asked == ["bytes=1000-", None]


def test_a_host_without_ranges_sends_it_all_again(served: Served, tmp_path: Path) -> None:
    served.ranges, served.cuts = False, [100]
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA


def test_a_host_that_keeps_breaking_off_is_given_up_and_what_came_is_kept(served: Served, tmp_path: Path) -> None:
    served.cuts = [700, *[0] * 20]
    with pytest.raises(TransientError, match="700 bytes are kept: the same command goes on"):
        download.fetch(WANTED, tmp_path)
    assert names(tmp_path) == ["toy.pth.partial"]
    assert (tmp_path / "toy.pth.partial").read_bytes() == DATA[:700]
    assert len(served.asked) == download.ATTEMPTS


def test_busy_hosts_are_asked_again(served: Served, tmp_path: Path) -> None:
    served.statuses = [503, 429]
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA
    assert len(served.asked) == 3


def test_another_content_never_gets_the_name(served: Served, tmp_path: Path) -> None:
    served.files[WANTED.file] = DATA[:-1] + b"!"
    with pytest.raises(SetupError, match=f"not {SHA256}; it was deleted"):
        download.fetch(WANTED, tmp_path)
    assert names(tmp_path) == []
    served.files[BY_PREFIX.file] = DATA + b"!"
    with pytest.raises(SetupError, match=rf"not {SHA256[:8]}\.\.\.; it was deleted"):
        download.fetch(BY_PREFIX, tmp_path)
    assert names(tmp_path) == []


def test_a_file_that_is_there_with_another_content_is_left_for_the_user(served: Served, tmp_path: Path) -> None:
    (tmp_path / "toy.pth").write_bytes(b"mine")
    with pytest.raises(SetupError, match="delete it and fetch again"):
        download.fetch(WANTED, tmp_path)
    assert (tmp_path / "toy.pth").read_bytes() == b"mine"
    assert served.asked == []


def test_what_is_not_there_is_said_at_once(served: Served, tmp_path: Path) -> None:
    del served.files[WANTED.file]
    with pytest.raises(SetupError, match="the host answers 404"):
        download.fetch(WANTED, tmp_path)
    assert len(served.asked) == 1


def test_more_than_the_file_may_have_is_not_taken(served: Served, tmp_path: Path) -> None:
    for served.announce in (True, False):
        with pytest.raises(SetupError, match="sends more than the 2,622,489 bytes"):
            download.fetch(replace(WANTED, mebibytes=2.5), tmp_path)
        assert names(tmp_path) == []


def test_time_is_bounded_too(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "LIMIT_SECONDS", 0.0)
    with pytest.raises(TransientError, match=r"not whole after 0 minutes; [1-9]"):
        download.fetch(WANTED, tmp_path)


@pytest.mark.parametrize("elsewhere", ["http://example.org/toy.pth", "ftp://127.0.0.1/toy.pth", "file:///etc/passwd"])
def test_only_https_is_spoken(served: Served, tmp_path: Path, monkeypatch, elsewhere: str) -> None:
    served.redirect = elsewhere
    with pytest.raises(SetupError, match=f"{elsewhere} is not https"):
        download.fetch(WANTED, tmp_path)
    monkeypatch.setenv("LHQ_WEIGHTS_URL", elsewhere.rpartition("/")[0])
    with pytest.raises(SetupError, match="is not https"):
        download.fetch(WANTED, tmp_path)


@pytest.mark.parametrize("setting", ["0", "true", ""])
def test_this_machine_is_spoken_to_only_where_that_is_allowed(
    served: Served, tmp_path: Path, monkeypatch, setting: str
) -> None:
    monkeypatch.setenv("LHQ_ALLOW_PRIVATE_HOSTS", setting)
    with pytest.raises(SetupError, match="is not https"):
        download.fetch(WANTED, tmp_path)
    assert served.asked == []


def test_a_circle_of_redirects_ends(served: Served, tmp_path: Path) -> None:
    served.redirect = f"{served.url}/toy.pth"
    with pytest.raises(SetupError, match="more than 5 redirects"):
        download.fetch(WANTED, tmp_path)


def test_offline_connects_to_nothing(served: Served, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LHQ_OFFLINE", "1")
    with pytest.raises(SetupError, match=r"LHQ_OFFLINE=1 forbids downloads.*https://example\.org/toy\.pth"):
        download.fetch(WANTED, tmp_path)
    assert served.asked == []
    (tmp_path / "toy.pth").write_bytes(DATA)
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA


def test_a_full_disk_is_said_before_and_while_writing(served: Served, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_999_999))
    with pytest.raises(SetupError, match=r"no room for .*\(3,000,000 bytes are needed\).*LHQ_CACHE"):
        download.fetch(WANTED, tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("LHQ_ALLOW_PRIVATE_HOSTS", "1")
    monkeypatch.setenv("LHQ_WEIGHTS_URL", served.url)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SetupError, match="no room for"):
        download.fetch(WANTED, tmp_path)
    assert names(tmp_path) == [], "what could not be synced is perhaps lost: it is not gone on from"


def test_two_commands_do_not_write_one_file(served: Served, tmp_path: Path) -> None:
    with (tmp_path / "toy.pth.partial").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SetupError, match="another command is fetching toy"):
            download.fetch(WANTED, tmp_path)
    assert download.fetch(WANTED, tmp_path).read_bytes() == DATA


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The commands with two small files instead of the real ones; returns the cache folder."""
    monkeypatch.setattr(weights, "REGISTRY", {one.name: one for one in (WANTED, BY_PREFIX)})
    monkeypatch.setenv("LHQ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_commands_list_fetch_and_verify(served: Served, registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        code = cli.run(["weights", *arguments])
        return code, capsys.readouterr().out

    assert run("verify") == (0, f"no pretrained file lies in {registry}\n")
    assert run("verify", "toy")[0] == 1
    code, out = run("fetch", "--all", "--json")
    assert code == 0
    assert [one["says"] for one in json.loads(out)["weights"]] == [
        "right: the SHA-256 is the one known",
        f"right in the 8 digits of the SHA-256 that are published ({SHA256[:8]})",
    ]
    code, out = run("list", "--json")
    assert [(one["name"], one["here"], one["sha256"]) for one in json.loads(out)["weights"]] == [
        ("toy", True, SHA256),
        ("short", True, None),
    ]
    assert run("verify")[0] == 0
    (registry / "short.pth").write_bytes(DATA[:-1])
    code, out = run("verify")
    assert code == 1
    assert f"WRONG: its SHA-256 is not {SHA256[:8]}..." in out
    assert cli.run(["weights", "fetch"]) == cli.run(["weights", "fetch", "nothing"]) == 2
    assert run("list")[0] == 0
