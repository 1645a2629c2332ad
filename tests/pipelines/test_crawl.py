"""The crawl takes every good picture, gives up every broken one with a reason, and writes only what is new."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import struct
import subprocess
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from running import lhq_command

from manifests import atomic, schema
from manifests.dataset import Dataset
from manifests.errors import InputError, SetupError, TransientError
from manifests.records import Photo
from manifests.store import ImageStore, Written
from pipelines import crawl, fetch
from pipelines.engine.pool import InProcess
from pipelines.engine.share import Share
from pipelines.sources.base import Fetched, Fetcher, Found, Listing, Page, Source, Wanted

pytestmark = pytest.mark.slow  # each runs the program several times

HERE = ("--workers", "0")


def crawl_folder(dataset: Path, folder: Path, *more: object) -> tuple[object, ...]:
    return ("crawl", dataset, "--source", "folder", "--path", folder, *HERE, "--json", *more)


def rows_of(dataset: Path, table: str) -> list[dict]:
    """What a plain reader of all parts sees, in order of number."""
    parts = sorted((dataset / "tables" / table / "1").glob("part-*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def parts_of(dataset: Path) -> list[Path]:
    return sorted((dataset / "tables").rglob("*.parquet"))


def scene(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A sky over a ground with some noise, uint8 [height, width, 3]."""
    down = np.linspace(0, 1, height)[:, None, None]
    image = 255 * ((1 - down) * (0.4, 0.6, 0.9) + down * (0.3, 0.5, 0.2)) * np.ones((1, width, 1))
    noise = np.random.default_rng(seed).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_all(folder: Path, files: Mapping[str, bytes]) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


# Broken files.


def png_header_only(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds nothing."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + end


def broken_files() -> dict[str, bytes]:
    whole = encoded(Image.fromarray(scene(160, 120)), "JPEG", quality=90)
    files = {f"cut{tenth}.jpg": whole[: len(whole) * tenth // 10] for tenth in range(1, 10)}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("a.txt", "a")
    frames = [Image.fromarray(scene(40, 30, seed)) for seed in range(3)]
    moving = {"save_all": True, "append_images": frames[1:], "duration": 100, "loop": 0}
    return files | {
        "text.jpg": b"this is no picture\n" * 20,
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "zip.jpg": archive.getvalue(),
        "empty.jpg": b"",
        "huge.png": png_header_only(60_000, 60_000),
        "moving.gif": encoded(frames[0], "GIF", **moving),
        "moving.png": encoded(frames[0], "PNG", **moving),
        "moving.webp": encoded(frames[0], "WEBP", **moving),
        "pages.tif": encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
    }


def test_every_broken_file_is_given_up_with_its_reason_and_nothing_of_it_is_kept(lhq, tmp_path):
    files = broken_files()
    folder = write_all(tmp_path / "broken", files)
    dataset = tmp_path / "d"
    ran = lhq(*crawl_folder(dataset, folder))
    assert ran.code == 0, ran.err
    assert ran.json["fetched"] == ran.json["failed"] == 0
    assert sum(ran.json["given_up"].values()) == len(files)
    rows = {row["photo_id"].rpartition("/")[2]: row for row in rows_of(dataset, "files")}
    assert rows.keys() == files.keys()
    for name, row in rows.items():
        assert row["status"] == schema.GIVEN_UP, name
        assert row["error"], name
        assert row["sha256"] is row["path"] is row["width"] is None, name
    for name, says in {
        "cut5.jpg": "cut short",
        "page.jpg": "not a JPEG",
        "empty.jpg": "empty",
        "huge.png": "million pixels",
        "moving.gif": "animation",
        "moving.png": "animation",
        "moving.webp": "animation",
        "pages.tif": "more than one picture",
    }.items():
        assert says in rows[name]["error"], name
    status = lhq("status", dataset, "--json").json
    assert status["photos"] == len(files)
    assert status["files"] == {"ok": 0, "failed": len(files)}
    assert status["curated"] == 0
    assert not [path for path in (dataset / "images").rglob("*") if path.is_file()]
    before = parts_of(dataset)
    assert lhq(*crawl_folder(dataset, folder)).code == 0
    assert parts_of(dataset) == before, "what was given up is not tried again"


# Odd but good files.


def wide_gamut_profile() -> bytes:
    """An ICC v2 matrix profile with primaries wider than sRGB's (near Adobe RGB), gamma 2.2."""

    def fixed(*numbers: float) -> bytes:
        return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)

    def xyz(*numbers: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*numbers)

    curve = b"curv\0\0\0\0" + struct.pack(">IHH", 1, 563, 0)
    name = b"wide"
    text = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(78)
    tags = {
        b"desc": text + bytes(-len(text) % 4),
        b"cprt": b"text\0\0\0\0none",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.6097, 0.3111, 0.0195),
        b"gXYZ": xyz(0.2053, 0.6257, 0.0609),
        b"bXYZ": xyz(0.1492, 0.0632, 0.7446),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1.0, 0.8249)
    return header + bytes(128 - len(header)) + table + body


@dataclass(frozen=True)
class Odd:
    data: bytes
    size: tuple[int, int]  # width and height as a viewer shows it
    extension: str  # by content


def odd_files() -> dict[str, Odd]:
    size = (96, 72)
    rgb = Image.fromarray(scene(*size))
    alpha = Image.fromarray(np.tile(np.linspace(0, 255, 96).astype(np.uint8), (72, 1)))
    rgba, la = rgb.copy(), rgb.convert("L")
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    turned = Image.Exif()
    turned[274] = 6
    wide = wide_gamut_profile()
    grey16 = Image.fromarray(np.linspace(0, 65_535, 96 * 72).astype(np.uint16).reshape(72, 96))
    palette = rgb.quantize(16)
    return {
        "cmyk.jpg": Odd(encoded(rgb.convert("CMYK"), "JPEG"), size, "jpg"),
        "grey16.png": Odd(encoded(grey16, "PNG"), size, "png"),
        "rgb16.png": Odd(png_rgb16(scene(*size).astype(np.uint16) * 257), size, "png"),
        "palette.png": Odd(encoded(palette, "PNG", transparency=3), size, "png"),
        "rgba.png": Odd(encoded(rgba, "PNG"), size, "png"),
        "la.png": Odd(encoded(la, "PNG"), size, "png"),
        "wide.jpg": Odd(encoded(rgb, "JPEG", icc_profile=wide), size, "jpg"),
        "wide.png": Odd(encoded(rgb, "PNG", icc_profile=wide), size, "png"),
        "turned.jpg": Odd(encoded(rgb, "JPEG", exif=turned), (72, 96), "jpg"),
        "dot.png": Odd(encoded(Image.new("RGB", (1, 1), (9, 9, 9)), "PNG"), (1, 1), "png"),
        "strip.jpg": Odd(encoded(Image.fromarray(scene(30_000, 8)), "JPEG"), (30_000, 8), "jpg"),
        "progressive.jpg": Odd(encoded(rgb, "JPEG", progressive=True, quality=80), size, "jpg"),
        "lossy.webp": Odd(encoded(rgb, "WEBP"), size, "webp"),
        "lossless.webp": Odd(encoded(rgba, "WEBP", lossless=True), size, "webp"),
        "strips.tif": Odd(encoded(rgb, "TIFF", compression="tiff_lzw"), size, "tif"),
        "plain.bmp": Odd(encoded(rgb, "BMP"), size, "bmp"),
        "still.gif": Odd(encoded(palette, "GIF"), size, "gif"),
        "trailing.jpg": Odd(encoded(Image.fromarray(scene(*size, 1)), "JPEG") + b"\0" * 999, size, "jpg"),
        "misnamed.png": Odd(encoded(Image.fromarray(scene(*size, 2)), "JPEG"), size, "jpg"),
        "misnamed.jpg": Odd(encoded(Image.fromarray(scene(*size, 3)), "WEBP"), size, "webp"),
    }


def png_rgb16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, which Pillow cannot write; `values` uint16 [height, width, 3]."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in chunks:
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data


def test_odd_but_good_files_are_kept_by_content_and_go_the_whole_road(lhq, tmp_path):
    files = odd_files()
    folder = write_all(tmp_path / "odd", {name: odd.data for name, odd in files.items()})
    dataset = tmp_path / "d"
    ran = lhq(*crawl_folder(dataset, folder))
    assert ran.code == 0, ran.err
    assert (ran.json["fetched"], ran.json["given_up"]) == (len(files), {})
    for row in rows_of(dataset, "files"):
        name = row["photo_id"].rpartition("/")[2]
        odd = files[name]
        assert (row["width"], row["height"]) == odd.size, name
        assert Path(row["path"]).suffix == f".{odd.extension}", name
        assert (dataset / row["path"]).read_bytes() == odd.data, name
        assert row["bytes"] == len(odd.data), name

    stages = ("--resolution", "--invariance", "--set", "resolution.min_side=1", "--set", "invariance.folds=2")
    filtered = lhq("filter", dataset, *stages, "--set", "invariance.threshold=1", *HERE, "--json")
    assert filtered.code == 0, filtered.err
    assert filtered.json["stages"]["resolution"]["kept"] == len(files)
    invariance = filtered.json["stages"]["invariance"]
    assert (invariance["errors"], invariance["pending"]) == (0, 0), invariance
    assert invariance["kept"] + invariance["rejected"] == len(files)
    assert filtered.json["measured"]["invariance"]["images"] == len(files)

    assert lhq("filter", dataset, "--subset", "all", "--resolution", "--set", "resolution.min_side=1").code == 0
    export = ("export", dataset, tmp_path / "out", "--format", "folder", "--resolution", 16, "--subset", "all")
    exported = lhq(*export, *HERE, "--json")
    assert exported.code == 0, exported.err
    assert (exported.json["pictures"], exported.json["errors"]) == (len(files), {})


# What is written, and what is not.


def test_ids_sightings_and_ranks_are_those_of_the_folder(lhq, tmp_path):
    names = ["a.png", "b.png", "deep/c.png", "ü ñ.png"]
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for at, name in enumerate(names):
        Image.new("RGB", (8, 6), (at, 0, 0)).save(folder / name)
    dataset = tmp_path / "d"
    assert lhq(*crawl_folder(dataset, folder, "--label", "hills")).json["new"] == 4
    photos, sightings = rows_of(dataset, "photos"), rows_of(dataset, "sightings")
    ids = [f"folder:hills/{name}" for name in names]
    assert [row["photo_id"] for row in photos] == ids
    assert [row["source_id"] for row in photos] == [f"hills/{name}" for name in names]
    assert {row["license"] for row in photos} == {"LicenseRef-unknown"}
    assert [(row["photo_id"], row["query"], row["rank"]) for row in sightings] == [
        (photo_id, "hills", rank) for rank, photo_id in enumerate(ids)
    ]
    assert {row["source"] for row in photos + sightings} == {"folder"}


def test_the_same_bytes_under_two_labels_are_two_photos_of_one_file(lhq, tmp_path):
    folder = write_all(tmp_path / "pictures", {"a.jpg": encoded(Image.fromarray(scene(60, 40)), "JPEG")})
    shutil.copy(folder / "a.jpg", folder / "again.jpg")
    dataset = tmp_path / "d"
    for label in ("one", "two"):
        assert lhq(*crawl_folder(dataset, folder, "--label", label)).code == 0
    files = rows_of(dataset, "files")
    assert len(files) == 4
    assert len({row["path"] for row in files}) == len(list((dataset / "images").rglob("*.jpg"))) == 1
    status = lhq("status", dataset, "--json").json
    assert (status["photos"], status["files"]["ok"]) == (4, 4), "files are counted per photo"


def test_a_changed_metadata_file_supersedes_rows_and_an_unchanged_one_writes_nothing(lhq, tmp_path):
    folder = write_all(
        tmp_path / "pictures",
        {f"{at}.png": encoded(Image.fromarray(scene(20, 20, at)), "PNG") for at in range(3)},
    )
    table = tmp_path / "meta.csv"
    head = "file,title,tags,taken_at,license,camera"
    first = ["0.png,Hill,hill;sky,2020-01-02T03:04:05,CC BY 4.0,A", "1.png,Lake,lake,,CC0,B", "2.png,,,,,"]
    table.write_text("\n".join([head, *first]))
    dataset = tmp_path / "d"
    again = crawl_folder(dataset, folder, "--metadata", table)
    assert lhq(*again).json["new"] == 3
    before = parts_of(dataset)
    ran = lhq(*again)
    assert (ran.code, ran.json["new"], ran.json["fetched"]) == (0, 0, 0)
    assert parts_of(dataset) == before

    table.write_text("\n".join([head, first[0], "1.png,Loch,lake,,CC0,B", first[2]]))
    ran = lhq(*again)
    assert (ran.code, ran.json["new"], ran.json["fetched"]) == (0, 0, 0)
    written = sorted(set(parts_of(dataset)) - set(before))
    assert [path.parent.parent.name for path in written] == ["photos"]
    assert [(row["photo_id"], row["title"]) for row in rows_of(dataset, "photos")[3:]] == [
        ("folder:pictures/1.png", "Loch")
    ]
    current = {row["photo_id"]: row for row in Dataset.open(dataset).photos().to_pylist()}
    assert [row["title"] for row in current.values()] == ["Hill", "Loch", None]
    assert all(row["queries"] == ["pictures"] for row in current.values())
    assert lhq("status", dataset, "--json").json["photos"] == 3


@pytest.mark.parametrize(
    ("named", "stray"),
    [
        ("synthetic", ("--path", ".")),
        ("synthetic", ("--label", "a")),
        ("folder", ("--limit", 3)),
        ("folder", ("--seed", 0)),
    ],
)
def test_an_option_of_a_source_that_is_not_named_is_misuse(lhq, tmp_path, named, stray):
    needed = {"synthetic": ("--limit", 1), "folder": ("--path", tmp_path)}[named]
    ran = lhq("crawl", tmp_path / "d", "--source", named, *needed, *stray)
    assert ran.code == 2
    assert stray[0] in ran.err
    assert not (tmp_path / "d").exists()


# Trouble that may pass.


@dataclass(frozen=True)
class Listed(Source):
    """A source of photos that never change, with a fetcher of the test's own."""

    ids: Sequence[str]
    fetch: Fetcher
    queries: Sequence[str] = ("all",)
    name: str = "trial"
    lists_anew: bool = True

    def pages(self, listing: Listing) -> Iterator[Page]:
        now = datetime.now(UTC)
        for query in self.queries:
            photos = [Photo(f"{self.name}:{one}", self.name, one, now) for one in self.ids]
            yield Page([Found(photo, query, rank) for rank, photo in enumerate(photos)])

    def fetcher(self) -> Fetcher:
        return self.fetch


PICTURE = encoded(Image.new("RGB", (4, 4)), "PNG")


@dataclass(frozen=True)
class Fetching:
    """Fetches one picture; what `trouble` returns for a photo id is raised instead."""

    trouble: Callable[[str], Exception | None]
    each_its_own: bool = False  # bytes
    parallel: int = 1
    most_workers: int | None = None

    def open(self, share: Share) -> Fetching:
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        if (error := self.trouble(wanted.photo_id)) is not None:
            raise error
        return Fetched(PICTURE + wanted.photo_id.encode() if self.each_its_own else PICTURE)


def unreachable(photo_id: str) -> Exception:
    return TransientError("the host does not answer")


def numbered(count: int) -> list[str]:
    return [f"{at:05d}" for at in range(count)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.open_or_create(tmp_path / "d", "test")


def run(dataset: Dataset, source: Listed, **wish: bool) -> crawl.Crawled:
    with InProcess() as pool:
        return crawl.run(dataset, [source], pool, crawl.Wish(**wish))


def states(dataset: Dataset) -> dict[str, int]:
    found = dataset.files()["status"].to_pylist()
    return {state: found.count(state) for state in set(found)}


def test_one_photo_of_two_queries_has_one_row_two_sightings_and_is_fetched_once(dataset):
    asked: list[str] = []
    source = Listed(numbered(5), Fetching(asked.append), queries=("lake", "hill"))
    done = run(dataset, source)
    assert (done.found, done.new, done.fetched) == (5, 5, 5)
    assert asked == [f"trial:{one}" for one in numbered(5)]
    assert dataset.photos_table.row_count() == 5
    assert dataset.sightings_table.row_count() == 10
    assert dataset.photos()["queries"].to_pylist() == [["hill", "lake"]] * 5


def test_so_many_passing_troubles_in_a_row_stop_the_run_with_failed_rows(dataset, monkeypatch):
    monkeypatch.setattr(fetch, "BATCH", 64)
    source = Listed(numbered(crawl.BROKEN_RUN + 200), Fetching(unreachable))
    with pytest.raises(SetupError, match="the host does not answer") as caught:
        run(dataset, source)
    assert str(crawl.BROKEN_RUN) in str(caught.value)
    assert "run the same command again" in str(caught.value)
    tried = states(dataset)[schema.FAILED]
    assert states(dataset) == {schema.FAILED: tried}
    assert crawl.BROKEN_RUN <= tried < crawl.BROKEN_RUN + 64
    done = run(dataset, Listed(source.ids, Fetching(lambda _: None)))
    assert (done.fetched, done.failed) == (len(source.ids), 0)
    assert states(dataset) == {schema.OK: len(source.ids)}


def test_a_broken_run_is_told_from_one_in_which_anything_succeeds(dataset):
    last = numbered(crawl.BROKEN_RUN)[-1]
    ids = numbered(2 * crawl.BROKEN_RUN - 1)
    done = run(dataset, Listed(ids, Fetching(lambda one: None if one.endswith(last) else unreachable(one))))
    assert (done.fetched, done.failed) == (1, len(ids) - 1)


def test_bad_inputs_never_stop_a_run_however_many(dataset):
    ids = numbered(crawl.BROKEN_RUN + 50)
    done = run(dataset, Listed(ids, Fetching(lambda _: InputError("gone"))))
    assert done.given_up == {"gone": len(ids)}
    assert (done.failed, states(dataset)) == (0, {schema.GIVEN_UP: len(ids)})


def test_attempts_run_out_and_the_photo_is_given_up_until_it_is_asked_for_again(dataset):
    source = Listed(["shy", "good"], Fetching(lambda one: unreachable(one) if one.endswith("shy") else None))
    for attempt in range(1, crawl.ATTEMPTS):
        done = run(dataset, source)
        assert (done.failed, done.given_up) == (1, {}), attempt
    done = run(dataset, source)
    assert (done.failed, done.given_up) == (0, {"out of attempts: the host does not answer": 1})
    rows = dataset.files_table.row_count()
    assert run(dataset, source).given_up == {}
    assert dataset.files_table.row_count() == rows
    for _ in range(2):
        done = run(dataset, source, retry_failed=True)
        assert (done.failed, done.given_up) == (1, {}), "asked for, it gets all its attempts again"
    assert run(dataset, source).failed == 1
    done = run(dataset, Listed(source.ids, Fetching(lambda _: None)), retry_failed=True)
    assert (done.fetched, states(dataset)) == (1, {schema.OK: 2})


def test_an_outage_stops_every_run_also_the_one_in_which_attempts_run_out(dataset, monkeypatch):
    monkeypatch.setattr(crawl, "BROKEN_RUN", 20)
    monkeypatch.setattr(fetch, "BATCH", 8)
    source = Listed(numbered(100), Fetching(unreachable))
    for _ in range(crawl.ATTEMPTS + 2):
        with pytest.raises(SetupError, match="the last 20 attempts all failed"):
            run(dataset, source)
    assert schema.GIVEN_UP not in states(dataset), "an outage is not the photos' fault"
    assert run(dataset, Listed(source.ids, Fetching(lambda _: None))).fetched == len(source.ids)


def test_a_bug_of_ours_stops_the_run_and_leaves_no_row_for_it(dataset, monkeypatch):
    monkeypatch.setattr(fetch, "BATCH", 4)
    ids = numbered(12)
    with pytest.raises(ZeroDivisionError):
        run(dataset, Listed(ids, Fetching(lambda one: ZeroDivisionError() if one.endswith(ids[9]) else None)))
    assert states(dataset) == {schema.OK: 8}
    assert not list(dataset.root.rglob(f"{atomic.TEMPORARY}*"))


def test_a_crawl_that_ends_by_an_error_leaves_nothing_of_what_its_threads_were_writing(dataset, monkeypatch):
    place = ImageStore.name

    def place_slowly(store: ImageStore, images: Sequence[Written]) -> None:
        time.sleep(0.2)  # so that others are written meanwhile, and wait
        place(store, images)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(ImageStore, "name", place_slowly)
    monkeypatch.setattr(fetch, "PART", 1)
    monkeypatch.setattr(crawl._Crawl, "_commit_batch", full)
    with pytest.raises(OSError, match="no space left"):
        run(dataset, Listed(numbered(40), Fetching(lambda _: None, each_its_own=True, parallel=4)))
    for _ in range(2):
        assert not list(dataset.root.rglob(f"{atomic.TEMPORARY}*"))
        time.sleep(0.5)  # nor does a thread write any more


# Ray.


def children_of(pid: int) -> dict[int, str]:
    """Processes below a process, by number, with their command lines."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # ended meanwhile
    found = {pid}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return {one: command for one in found - {pid} if (command := command_of(one))}


def command_of(pid: int) -> str:
    """The command line of a living process; empty where it has ended, also as a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_killed_driver_leaves_no_ray_processes_behind(tmp_path):
    """Ray's two agents, small and idle, end by themselves half a minute later; that is not waited for."""
    dataset = tmp_path / "d"
    command = lhq_command("crawl", dataset, "--source", "synthetic", "--limit", "5000", "--workers", "2")
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list(dataset.glob("tables/files/1/part-*")):
            assert driver.poll() is None
            time.sleep(0.1)
        children = {pid: name for pid, name in children_of(driver.pid).items() if "Agent" not in name}
        assert any("raylet" in name for name in children.values())
        assert any("gcs_server" in name for name in children.values())
        assert sum("ray::_Actor" in name for name in children.values()) == 2
    finally:
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(command_of(pid) for pid in children):
        time.sleep(0.2)
    left = [name[:80] for pid, name in children.items() if command_of(pid)]
    assert left == []
