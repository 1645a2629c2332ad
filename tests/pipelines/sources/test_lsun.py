"""LMDB folders are read whole and unchanged by several processes; half of one is refused before anything is read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import lmdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listing import list_all
from mangling import FEW_OR_MANY, tried
from PIL import Image

from manifests.dataset import Dataset
from manifests.errors import InputError, LhqError, MisuseError, SetupError
from manifests.probe import MAX_BYTES, probe
from pipelines import crawl
from pipelines.engine.pool import open_pool
from pipelines.engine.share import Share
from pipelines.sources import lsun, lsun_walk
from pipelines.sources.base import Wanted
from pipelines.sources.lsun import Lsun

ANY = Share()


def write(folder: Path, values: Mapping[bytes, bytes]) -> Path:
    """A database as LSUN ships it: data.mdb and lock.mdb."""
    environment = lmdb.open(str(folder), map_size=1 << 28)
    with environment.begin(write=True) as transaction:
        for key, value in values.items():
            assert transaction.put(key, value)
    environment.close()
    return folder


def key(n: int) -> bytes:
    return hashlib.sha1(str(n).encode()).hexdigest().encode()


def picture(n: int) -> bytes:
    """WebP, or JPEG for every third."""
    pixels = np.random.default_rng(n).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG" if n % 3 == 0 else "WEBP")
    return out.getvalue()


def ids(source: Lsun) -> list[str]:
    return [found.photo.photo_id for page in list_all(source) for found in page.found]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tower_train_lmdb` with 90 pictures and `bridge_train_lmdb` with 60, beside another folder."""
    place = tmp_path_factory.mktemp("lsun")
    write(place / "tower_train_lmdb", {key(n): picture(n) for n in range(90)})
    write(place / "bridge_train_lmdb", {key(n): picture(n) for n in range(90, 150)})
    (place / "notes").mkdir()
    return place


def test_a_parent_its_databases_and_their_files_mean_the_same(sets: Path) -> None:
    both = [sets / "bridge_train_lmdb", sets / "tower_train_lmdb" / "data.mdb", sets / "tower_train_lmdb"]
    assert ids(Lsun([sets])) == ids(Lsun(both))
    assert sorted(ids(Lsun([sets]))) == sorted(f"lsun:{key(n).decode()}" for n in range(150))


def test_a_photo_is_its_key_with_the_category_as_tag_and_no_rights_invented(sets: Path) -> None:
    (page,) = list_all(Lsun([sets / "tower_train_lmdb"]))
    first = page.found[0]
    assert (first.query, first.rank, page.found[-1].rank) == ("tower_train", 0, 89)
    assert first.photo.source_id == min(key(n) for n in range(90)).decode()
    assert first.photo.tags == ("tower",)
    assert first.photo.license == "LicenseRef-unknown"
    assert first.photo.attribution == "Untitled, author unknown, unknown license"
    assert json.loads(first.photo.extra) == {"database": "tower_train_lmdb"}
    assert any("rights are unknown" in note for note in Lsun([sets]).notes())


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (60, 60), (61, 61), (150, 150), (999, 150)])
def test_a_limit_takes_the_first_over_all_databases(sets: Path, limit: int, count: int) -> None:
    assert ids(Lsun([sets], limit)) == ids(Lsun([sets]))[:count]


def test_pages_of_any_size_hold_every_key_once(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ids(Lsun([sets]))
    monkeypatch.setattr(lsun, "PAGE", 7)
    pages = list_all(Lsun([sets]))
    assert max(len(page.found) for page in pages) == 7
    assert [found.photo.photo_id for page in pages for found in page.found] == whole
    assert [found.rank for page in pages for found in page.found] == [*range(60), *range(90)]


def test_values_come_as_they_are_and_their_first_bytes_say_what_they_are(sets: Path) -> None:
    source = Lsun([sets])
    fetching = pickle.loads(pickle.dumps(source.fetcher())).open(ANY)
    kinds = Counter[str]()
    for n in range(150):
        photo = {"extra": json.dumps({"database": "tower_train_lmdb" if n < 90 else "bridge_train_lmdb"})}
        data = fetching.fetch(Wanted(f"lsun:{key(n).decode()}", source.prepare(photo))).data
        assert data == picture(n)
        kinds[probe(data).format] += 1
    assert kinds == {"jpeg": 50, "webp": 100}


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.binary(min_size=1, max_size=60), st.binary(max_size=6000), min_size=1, max_size=20))
def test_any_keys_and_values_are_photos_or_counted(
    tmp_path_factory: pytest.TempPathFactory, values: dict[bytes, bytes]
) -> None:
    folder = write(tmp_path_factory.mktemp("any") / "x_lmdb", values)
    source = Lsun([folder])
    listed = ids(source)
    plain = sorted(one for one in values if one.isascii() and one.decode().isprintable() and b" " not in one)
    assert listed == [f"lsun:{one.decode()}" for one in plain]
    left = len(values) - len(plain)
    assert [note for note in source.notes() if "left out" in note] == (
        [f"left out: keys that are no plain text ({left:,})"] if left else []
    )
    fetching = source.fetcher().open(ANY)
    for one in plain:
        assert fetching.fetch(Wanted(f"lsun:{one.decode()}", "x_lmdb")).data == values[one]


def test_a_key_that_is_gone_is_that_photos_trouble(sets: Path) -> None:
    with pytest.raises(InputError, match="key is gone"):
        Lsun([sets]).fetcher().open(ANY).fetch(Wanted("lsun:none", "tower_train_lmdb"))


def test_nothing_is_written_beside_the_database_and_no_cache_anywhere(tmp_path: Path, monkeypatch) -> None:
    folder = write(tmp_path / "x_lmdb", {key(n): picture(n) for n in range(5)})
    (folder / "lock.mdb").unlink()
    before = (folder / "data.mdb").stat()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert len(ids(Lsun([folder]))) == 5
    assert [path.name for path in folder.iterdir()] == ["data.mdb"]
    assert (folder / "data.mdb").stat().st_mtime_ns == before.st_mtime_ns
    assert list((tmp_path / "here").iterdir()) == []


def test_a_forked_child_never_reads_by_its_parents_handle(sets: Path) -> None:
    source = Lsun([sets])
    fetching = source.fetcher().open(ANY)
    wanted = Wanted(f"lsun:{key(1).decode()}", "tower_train_lmdb")
    fetching.fetch(wanted)
    if (child := os.fork()) == 0:
        try:
            fetching.fetch(wanted)
        except SetupError:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


# What is no whole database.


@pytest.mark.parametrize("keep", [0.0, 0.0005, 0.3, 0.99])
def test_a_database_that_was_cut_off_says_so_and_how_to_go_on(sets: Path, tmp_path: Path, keep: float) -> None:
    whole = (sets / "tower_train_lmdb" / "data.mdb").read_bytes()
    (tmp_path / "t_lmdb").mkdir()
    (tmp_path / "t_lmdb" / "data.mdb").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(SetupError, match=r"t_lmdb/data\.mdb (is cut short|cannot be opened as LMDB).*curl -C -"):
        Lsun([tmp_path])


@pytest.mark.slow
def test_holes_in_a_database_are_an_error_and_kill_nobody(tmp_path: Path) -> None:
    folder = write(tmp_path / "whole_lmdb", {key(n): bytes([n % 251]) * 900 for n in range(400)})
    whole = (folder / "data.mdb").read_bytes()
    dice = random.Random(3)
    for at in range(12):
        first = dice.randrange(2, len(whole) // 4096 - 8)
        broken = tmp_path / f"{at}_lmdb"
        broken.mkdir()
        hole = slice(first * 4096, (first + 8) * 4096)
        (broken / "data.mdb").write_bytes(whole[: hole.start] + bytes(8 * 4096) + whole[hole.stop :])
        with pytest.raises(SetupError, match=r"is damaged.*curl -C -"):
            Lsun([broken])


def forged(place: Path, at: int, size: int) -> Path:
    """A database of four values of 20,000 bytes, of which one says that it has `size`."""
    folder = write(place, {key(n): bytes([n]) * 20_000 for n in range(4)})
    data = bytearray((folder / "data.mdb").read_bytes())
    found = data.rindex(key(at))  # the newest page; before the key stand size (low, high half), flags, the key's size
    assert struct.unpack_from("<HHHH", data, found - 8) == (20_000, 0, 1, 40)
    struct.pack_into("<HH", data, found - 8, size & 0xFFFF, size >> 16)
    (folder / "data.mdb").write_bytes(data)
    return folder


@pytest.mark.parametrize("size", [90_000, 300_000, MAX_BYTES - 1, 2**32 - 1])
def test_a_value_that_says_it_is_longer_than_the_file_is_refused_and_kills_nobody(tmp_path: Path, size: int) -> None:
    last = max(range(4), key=key)  # its pages are the last of the file, for keys were put in their order
    with pytest.raises(SetupError, match=r"is damaged .*curl -C -"):
        Lsun([forged(tmp_path / "x_lmdb", last, size)])


def test_pages_that_would_make_keys_without_end_are_left(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lsun_walk, "SMALLEST", 10_000)
    with pytest.raises(SystemExit, match="more keys than room"):
        lsun_walk.walk(write(sets.parent / "many_lmdb", {key(n): b"x" for n in range(900)}))


FORGED = [b"\0", b"\1", b"\2", b"\x10", b"\xff", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\xf0\x0f"]


@FEW_OR_MANY
def test_a_forged_database_is_read_or_refused_and_kills_nobody(tmp_path: Path, many: bool) -> None:
    """In a child, since what must not happen is that it dies: no exception would tell."""
    values = {key(n): bytes([n]) * (20, 900, 5000, 20_000)[n % 4] for n in range(60)}
    sound = (write(tmp_path / "sound_lmdb", values) / "data.mdb").read_bytes()
    folder = tmp_path / "forged_lmdb"
    folder.mkdir()

    def check(changes: list[tuple[int, int, bytes]]) -> None:
        data = bytearray(sound)
        for page, at, other in changes:
            data[page * 4096 + at : page * 4096 + at + len(other)] = other
        (folder / "data.mdb").write_bytes(data)
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os._exit(_read(folder))
            os._exit(9)
        assert os.waitpid(child, 0)[1] == 0

    place = st.one_of(st.integers(0, 40), st.integers(0, 400), st.integers(3000, 4090))
    change = st.tuples(st.integers(0, len(sound) // 4096 - 1), place, st.sampled_from(FORGED))
    tried(check, st.lists(change, min_size=1, max_size=5), few=4, many=many and 400)


def _read(folder: Path) -> int:
    """0 where everything is read, or refused on purpose."""
    with contextlib.suppress(LhqError):
        source = Lsun([folder])
        fetching = source.fetcher().open(ANY)
        for one in ids(source):
            with contextlib.suppress(LhqError):
                fetching.fetch(Wanted(one, folder.name))
    return 0


@pytest.mark.parametrize(
    ("files", "error", "says"),
    [
        (None, MisuseError, "no such folder.*must be unpacked"),
        ({}, SetupError, "holds: nothing"),
        ({"a.txt": b"x", "b.jpg": b"y"}, SetupError, r"is no LMDB and holds none \(it holds: a\.txt, b\.jpg\)"),
        ({"data.mdb": b"not a database" * 1000}, SetupError, "cannot be opened as LMDB"),
        ({"x_lmdb/data.mdb": b""}, SetupError, "cannot be opened as LMDB"),
    ],
)
def test_what_is_no_lmdb_folder_is_named(
    tmp_path: Path, files: dict[str, bytes] | None, error: type[LhqError], says: str
) -> None:
    place = tmp_path / "p"
    for name, data in (files or {}).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    if files == {}:
        place.mkdir()
    with pytest.raises(error, match=says):
        Lsun([place])


def test_an_empty_database_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="empty database"):
        Lsun([write(tmp_path / "x_lmdb", {})])


def test_two_databases_of_one_name_are_refused(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
        write(tmp_path / parent / "x_lmdb", {b"k": b"v"})
    with pytest.raises(MisuseError, match="two databases are called x_lmdb"):
        Lsun([tmp_path / "a", tmp_path / "b"])


# The crawl.


@pytest.mark.slow
def test_four_workers_read_every_value_of_two_databases(sets: Path, tmp_path: Path) -> None:
    dataset = Dataset.open_or_create(tmp_path / "d", "0.1.0")
    with open_pool(4) as pool:
        crawled = crawl.run(dataset, [Lsun([sets])], pool)
    assert (crawled.found, crawled.fetched, crawled.failed, crawled.given_up) == (150, 150, 0, {})
    files = {row["photo_id"]: row for row in dataset.files().to_pylist()}
    assert files.keys() == {f"lsun:{key(n).decode()}" for n in range(150)}
    for n in range(150):
        row = files[f"lsun:{key(n).decode()}"]
        assert (dataset.root / row["path"]).read_bytes() == picture(n)
        assert row["format"] == ("jpeg" if n % 3 == 0 else "webp")
        assert row["path"].endswith("jpg" if n % 3 == 0 else "webp")
        assert (row["width"], row["height"]) == (32, 24)


@pytest.mark.slow
def test_a_second_crawl_reads_only_the_database_it_names(sets: Path, tmp_path: Path) -> None:
    dataset = Dataset.open_or_create(tmp_path / "d", "0.1.0")
    with open_pool(0) as pool:
        first = crawl.run(dataset, [Lsun([sets / "tower_train_lmdb"], limit=10)], pool)
        second = crawl.run(dataset, [Lsun([sets / "bridge_train_lmdb"])], pool)
        third = crawl.run(dataset, [Lsun([sets])], pool)
    assert [one.fetched for one in (first, second, third)] == [10, 60, 80]


@pytest.mark.slow
def test_a_value_that_is_no_picture_is_one_row(tmp_path: Path) -> None:
    write(tmp_path / "x_lmdb", {b"bad": b"no picture", b"none": b"", b"good": picture(1), b"cut": picture(1)[:-9]})
    dataset = Dataset.open_or_create(tmp_path / "d", "0.1.0")
    with open_pool(0) as pool:
        crawled = crawl.run(dataset, [Lsun([tmp_path / "x_lmdb"])], pool)
    assert crawled.fetched == 1
    assert sum(crawled.given_up.values()) == 3


def test_the_module_is_not_imported_with_the_command_line() -> None:
    code = "import sys, lhq_toolkit.cli; sys.exit('lmdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
