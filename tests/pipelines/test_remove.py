"""A take-down leaves nothing of its photos, nothing else is touched, and a killed one ends as an unbroken one."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import signal
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from comparing import assert_equal_datasets, assert_equal_rows, files_of
from matrices import mostly_long
from PIL import Image
from running import run_until_killed

from manifests import removal, reviews, schema, thumbnails
from manifests.dataset import CRAWL_LOCK, Dataset
from manifests.errors import LockedError, MisuseError, SetupError
from manifests.records import Photo
from manifests.tombstones import Tombstones
from pipelines import remove
from pipelines.discovery import rows_of
from pipelines.frontier import Frontier, databases, path_of
from pipelines.removal_request import Request

NOW = datetime(2024, 2, 3, tzinfo=UTC)
ANNA, BERT = "https://www.flickr.com/people/anna@N01/", "https://www.flickr.com/people/bert@N02/"
AUTHORS = {
    "a": ("Anna", ANNA),
    "b": ("Bert", BERT),
    "c": ("Chris", "https://c.org/one"),
    "d": ("Chris", "https://c.org/2"),
}
NAMES = ["a0.png", "a1.png", "b0.png", "b1.png", "c0.png", "d0.png", "nobody.png"]
COLUMNS = {"value": pa.float64()}


def _page(name: str) -> str:
    return f"https://www.flickr.com/photos/x/{1000 + NAMES.index(name)}/"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, lhq) -> Path:
    """Seven photos of four authors; b1 has the bytes of a1. With measurements, reviews, a cache and an export."""
    place = tmp_path_factory.mktemp("remove")
    folder = place / "pictures"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        noise = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / name)
    shutil.copy(folder / "a1.png", folder / "b1.png")
    with (folder / "metadata.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "title", "author", "author_url", "page_url"])
        for name in NAMES[:-1]:
            writer.writerow([name, f"secret title of {name}", *AUTHORS[name[0]], _page(name)])
        writer.writerow(["nobody.png", "secret title of nobody.png", "Dora", "", ""])
    root = place / "d"
    crawl = ("crawl", root, "--source", "folder", "--path", folder, "--metadata", folder / "metadata.csv")
    assert lhq(*crawl, "--workers", "0").code == 0
    dataset = Dataset.open(root)
    shas = dataset.files()["sha256"].to_pylist()
    rows = [{"sha256": sha, "fingerprint": "f", "error": None, "value": 1.0} for sha in dict.fromkeys(shas)]
    table = dataset.measurements_table("sharpness", COLUMNS)  # of a stage that this toolkit does not know
    table.append(pa.Table.from_pylist(rows, schema=table.schema))
    with reviews.Reviews(root) as database:
        for name in NAMES:
            database.decide(_id(name), "anna", reviews.KEEP, token=f"token of {name}")
    for row in dataset.files().to_pylist():
        thumbnails.thumbnail(root, row["sha256"], row["path"])
    assert lhq("manifest", root, "-o", place / "all.parquet").code == 0
    assert lhq("export", root, place / "out", "--format", "folder", "--resolution", "8", "--workers", "0").code == 0
    return root


@pytest.fixture
def dataset(original: Path, tmp_path: Path) -> Dataset:
    return Dataset.open(shutil.copytree(original, tmp_path / "d"))


def _id(name: str) -> str:
    return f"folder:pictures/{name}"


def _names(dataset: Dataset) -> list[str]:
    rows = Dataset.open(dataset.root).photos()["photo_id"].to_pylist()
    return sorted(photo_id.rpartition("/")[2] for photo_id in rows)


def _bytes(root: Path) -> bytes:
    """Everything in the dataset but lock files and lines about exports, Parquet decoded."""
    found = b""
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.parent.name != "locks" and path.name != "exports.jsonl":
            found += path.read_bytes()
            if path.suffix == ".parquet":
                found += repr(pq.read_table(path).to_pylist()).encode()
    return found


def test_one_photo_leaves_every_table_database_cache_and_the_image_store(dataset: Dataset) -> None:
    root, name = dataset.root, "a0.png"
    sha256 = dict(zip(*(dataset.files()[one].to_pylist() for one in ("photo_id", "sha256")), strict=True))[_id(name)]
    shutil.copy(root / "subsets" / "curated.parquet", root / "subsets" / ".tmp-1-ab-curated.parquet")
    for trace in (_id(name), sha256, f"secret title of {name}"):
        assert trace.encode() in _bytes(root), trace
    findings = remove.run(dataset, Request(ids=(_id(name),)))
    assert [photo["photo_id"] for photo in findings.photos] == [_id(name)]
    assert findings.rows == {
        "sightings": 1,
        "photos": 1,
        "files": 1,
        "measurements_sharpness": 1,
        "reviews.sqlite": 1,
    }
    assert list(findings.files) == [sha256]
    assert not thumbnails.path_of(root, sha256).exists()
    assert len(files_of(root / thumbnails.FOLDER)) == 5, "those of the others stay"
    for trace in (_id(name), sha256, f"secret title of {name}"):
        assert trace.encode() not in _bytes(root), trace
    assert _names(dataset) == NAMES[1:]
    assert not (root / removal.JOURNAL).exists()
    assert not list((root / "subsets").glob("*.parquet"))
    stones = Dataset.open(root).tombstones_table.read()
    assert stones.column_names == ["kind", "removed_at", "hash"]
    assert stones["kind"].to_pylist() == ["id"]


def test_a_task_of_the_crawl_that_stopped_at_the_photo_begins_anew(dataset: Dataset) -> None:
    with Frontier(path_of(dataset.root)) as frontier:
        frontier.record("unsplash", "recheck", _id("a0.png"), False)
        frontier.record("unsplash", "search lake", "7", False)
    findings = remove.run(dataset, Request(ids=(_id("a0.png"),)))
    assert findings.rows["crawl.sqlite"] == 1
    assert _id("a0.png").encode() not in _bytes(dataset.root)
    with Frontier(path_of(dataset.root)) as frontier:
        assert frontier.cursor("unsplash", "recheck") == ""
        assert frontier.cursor("unsplash", "search lake") == "7"


@pytest.mark.slow
def test_a_later_crawl_leaves_out_what_was_taken_down(lhq, original, tmp_path) -> None:
    root, pictures = shutil.copytree(original, tmp_path / "d"), original.parent / "pictures"
    assert lhq("remove", root, "--author", ANNA, "--url", _page("c0.png"), "--yes").code == 0
    gone = ["a0.png", "a1.png", "c0.png"]
    crawl = ("crawl", root, "--source", "folder", "--path", pictures, "--metadata", pictures / "metadata.csv")
    ran = lhq(*crawl, "--workers", "0", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["fetched"] == ran.json["new"] == 0
    assert any("taken down before (lhq remove): 3 photos" in note for note in ran.json["notes"])
    assert _names(Dataset.open(root)) == [name for name in NAMES if name not in gone]
    for name in gone:
        assert _id(name).encode() not in _bytes(root)


def test_what_was_not_asked_for_stays_as_it_was(dataset: Dataset, original: Path) -> None:
    before = Dataset.open(original)
    remove.run(dataset, Request(ids=(_id("a0.png"),)))
    after = Dataset.open(dataset.root)
    for view in (Dataset.photos, Dataset.files):
        rows = view(before)
        kept = rows.filter(pc.not_equal(rows["photo_id"], _id("a0.png")))
        assert_equal_rows(view(after).to_pylist(), kept.to_pylist(), view.__name__)
    assert after.measurements_table("sharpness", COLUMNS).row_count() == 5
    images = files_of(dataset.root / "images")
    assert len(images) == 5
    assert images.items() < files_of(original / "images").items()


def test_a_file_that_another_photo_has_too_stays_until_that_one_goes(dataset: Dataset) -> None:
    findings = remove.run(dataset, Request(ids=(_id("a1.png"),)))
    assert not findings.files
    (path,) = findings.shared
    assert (dataset.root / path).is_file()
    assert Dataset.open(dataset.root).measurements_table("sharpness", COLUMNS).row_count() == 6
    findings = remove.run(Dataset.open(dataset.root), Request(ids=(_id("b1.png"),)))
    assert list(findings.files.values()) == [path]
    assert not (dataset.root / path).exists()


@pytest.mark.parametrize(
    ("request_", "gone"),
    [
        (Request(authors=(ANNA,)), ["a0.png", "a1.png"]),
        (Request(authors=("https://flickr.com/photos/ANNA@N01",)), ["a0.png", "a1.png"]),
        (Request(authors=(" anna ",)), ["a0.png", "a1.png"]),
        (Request(authors=("dora",)), ["nobody.png"]),
        (Request(authors=("https://c.org/one",)), ["c0.png"]),
        (Request(urls=(f"{_page('b0.png')}in/photolist-1",)), ["b0.png"]),
        (Request(urls=("https://live.staticflickr.com/1/1002_ab_b.jpg",)), ["b0.png"]),
        (
            Request(ids=(_id("d0.png"),), authors=(BERT,), urls=(_page("a0.png"),)),
            ["a0.png", "b0.png", "b1.png", "d0.png"],
        ),
    ],
)
def test_authors_and_addresses_find_their_photos_and_are_remembered(
    dataset: Dataset, original: Path, request_: Request, gone: list[str]
) -> None:
    before = Dataset.open(original).photos_table.current("photo_id").to_pylist()
    remove.run(dataset, request_)
    assert _names(dataset) == [name for name in NAMES if name not in gone]
    stones = Tombstones.load(Dataset.open(dataset.root))
    covered = [row["photo_id"].rpartition("/")[2] for row in before if stones.covers(Photo(**row))]
    assert covered == gone
    again = remove.run(Dataset.open(dataset.root), request_)
    assert not again.photos
    assert not again.stones
    assert again.laid_before == len(request_.ids) + len(request_.authors) + len(request_.urls)


def test_photos_of_a_removed_author_that_no_one_had_seen_are_covered_too(dataset: Dataset) -> None:
    remove.run(dataset, Request(authors=(ANNA,)))
    stones = Tombstones.load(Dataset.open(dataset.root))
    new = Photo("flickr:9", "flickr", "9", NOW, author="Anna B.", author_url="https://www.flickr.com/photos/anna@n01/")
    assert stones.covers(new)
    assert not stones.covers(Photo("flickr:9", "flickr", "9", NOW, author="Anna", author_url=BERT))


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (Request(), "say what to remove"),
        (Request(ids=("a0.png",)), "ids are written as in the tables"),
        (Request(ids=("folder:pictures/none.png",)), "fits no photo"),
        (Request(ids=(_id("a0.png"), "folder:pictures/none.png")), "none.png fits no photo"),
        (Request(urls=("flickr.com/photos/x/1",)), "begins with https://"),
        (Request(urls=("https://www.flickr.com/photos/x/1",)), "fits no photo"),
        (Request(authors=("https://",)), "begins with https://"),
        (Request(authors=(" ",)), "address or name"),
        (Request(authors=("Emil",)), "fits no photo"),
        (Request(authors=("chris",)), r"2 authors have this name.*https://c\.org/2, https://c\.org/one"),
    ],
)
def test_a_wrong_request_says_what_is_wrong_and_changes_nothing(dataset: Dataset, request_: Request, says: str) -> None:
    before = files_of(dataset.root, "*.lock")
    for act in (remove.preview, remove.run):
        with pytest.raises(MisuseError, match=says):
            act(dataset, request_)
    assert files_of(dataset.root, "*.lock") == before


@pytest.mark.parametrize("photo_id", ["my_source2:one", "folder: hills/a.png", "folder:hills/two\nlines.png"])
def test_every_id_that_a_source_may_give_can_be_named(dataset: Dataset, photo_id: str) -> None:
    source, _, source_id = photo_id.partition(":")
    rows = rows_of([Photo(photo_id, source, source_id, NOW)], schema.PHOTOS)
    dataset.photos_table.append(rows)
    findings = remove.run(dataset, Request(ids=(photo_id,)))
    assert [photo["photo_id"] for photo in findings.photos] == [photo_id]
    assert _names(dataset) == NAMES


def test_superseded_rows_are_found_and_removed_too(dataset: Dataset) -> None:
    row = dataset.photos_table.current("photo_id").to_pylist()[0]
    renamed = {**row, "author_url": "https://c.org/new-address", "title": "another"}
    dataset.photos_table.append(pa.Table.from_pylist([renamed], schema=schema.PHOTOS))
    findings = remove.run(dataset, Request(authors=(ANNA,)))
    assert findings.rows["photos"] == 3
    assert b"new-address" not in _bytes(dataset.root)


def test_exports_that_hold_the_photo_are_told_with_the_picture(dataset: Dataset) -> None:
    (export,) = remove.preview(dataset, Request(ids=(_id("a0.png"),))).exports
    assert export["holds"] == {_id("a0.png"): ["images/0000000.png"]}
    line = {"out": str(dataset.root / "elsewhere"), "subset": "curated"}
    with (dataset.root / "exports.jsonl").open("a") as stream:
        stream.write(json.dumps(line) + "\nnot json\n")
    found = remove.preview(dataset, Request(ids=(_id("a0.png"),))).exports
    assert found == [export, {**line, "holds": None, "asked": True}]


def test_an_address_that_a_dataset_names_is_asked_only_where_the_person_names_it_too(dataset: Dataset) -> None:
    asked = []

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = f"file,photo_id\n7.png,{_id('a0.png')}\n8.png,{_id('a0.png')}\n9.png,x\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/secret"
        (dataset.root / "exports.jsonl").write_text(json.dumps({"out": url}) + "\n")
        request = Request(ids=(_id("a0.png"),))
        assert remove.preview(dataset, request).exports == [{"out": url, "holds": None, "asked": False}]
        with pytest.raises(MisuseError, match=rf"no export of this dataset went there; there are: {url}$"):
            remove.preview(dataset, replace(request, look_into=(f"{url}/other",)))
        assert asked == []
        (found,) = remove.preview(dataset, replace(request, look_into=(url,))).exports
        assert (found["holds"], asked) == ({_id("a0.png"): ["7.png", "8.png"]}, ["/secret/ATTRIBUTION.csv"])
        server.shutdown()


@pytest.mark.parametrize("name", [CRAWL_LOCK, "stage-invariance", "stage-sharpness", "export-0123"])
def test_whoever_writes_is_not_disturbed(dataset: Dataset, name: str) -> None:
    with dataset.lock(name), pytest.raises(LockedError, match="being written"):
        remove.run(dataset, Request(ids=(_id("a0.png"),)))
    assert _names(dataset) == NAMES


def test_a_reader_of_the_old_generation_is_told_and_not_given_an_empty_table(dataset: Dataset) -> None:
    remove.run(dataset, Request(ids=(_id("a0.png"),)))
    with pytest.raises(SetupError, match="run the command again"):
        dataset.photos()


def test_a_dataset_made_before_tombstones_gets_its_salt(dataset: Dataset) -> None:
    path = dataset.root / "dataset.json"
    facts = json.loads(path.read_text())
    del facts["salt"]
    path.write_text(json.dumps(facts))
    remove.run(dataset, Request(ids=(_id("a0.png"),)))
    stones = Tombstones.load(Dataset.open(dataset.root))
    assert len(stones.salt) == 16
    assert stones.holds("id", _id("a0.png"))


POINTS = (
    "generation.inside",
    "generation.inside:2",
    "part.write.inside",
    "generation.before_name",
    "remove.named",
    "remove.inside",
)


@pytest.mark.slow
@pytest.mark.parametrize("point", mostly_long(POINTS, ("generation.inside:2", "remove.named")))
def test_a_removal_killed_at_a_named_point_ends_as_an_unbroken_one(lhq, original, tmp_path, point):
    arguments = ("--author", ANNA, "--url", _page("c0.png"), "--yes")
    for name in ("killed", "whole"):
        shutil.copytree(original, tmp_path / name)
    assert lhq("remove", tmp_path / "whole", *arguments).code == 0
    assert run_until_killed(["remove", tmp_path / "killed", *arguments], {"LHQ_FAULT": point}) == -signal.SIGKILL
    ran = lhq("remove", tmp_path / "killed", *arguments)
    assert ran.code == 0, ran.err
    assert_equal_datasets(tmp_path / "killed", tmp_path / "whole")
    assert _bytes(tmp_path / "killed").count(b"secret title") == _bytes(tmp_path / "whole").count(b"secret title")
    assert not list((tmp_path / "killed").rglob(".tmp-*"))
    assert [len(list(table.iterdir())) for table in (tmp_path / "killed" / "tables").iterdir()] == [1] * 5
    assert not (tmp_path / "killed" / removal.JOURNAL).exists()


def test_a_killed_removal_is_completed_by_whoever_holds_the_crawl_lock_next(dataset: Dataset, monkeypatch) -> None:
    def die(name: str) -> None:
        if name == "remove.named":
            raise KeyboardInterrupt

    monkeypatch.setattr("manifests.faults.point", die)
    with pytest.raises(KeyboardInterrupt):
        remove.run(dataset, Request(ids=(_id("a0.png"),)))
    now = Dataset.open(dataset.root)
    assert len(files_of(dataset.root / "images")) == 6
    with now.lock(CRAWL_LOCK, [now.photos_table]):
        assert removal.finish(now, databases(now.root))
        assert not removal.finish(now, databases(now.root))
    assert len(files_of(dataset.root / "images")) == 5
    with sqlite3.connect(dataset.root / "reviews.sqlite") as database:
        assert database.execute("SELECT count(*) FROM decisions").fetchone() == (6,)
    database.close()


def test_a_removal_that_meets_a_full_disk_gives_its_room_back_and_changes_nothing(
    dataset: Dataset, monkeypatch
) -> None:
    before = files_of(dataset.root)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("manifests.generations.name", full)
        with pytest.raises(OSError, match="No space"):
            remove.run(dataset, Request(ids=(_id("a0.png"),)))
    after = files_of(dataset.root)
    assert {name for name in before.keys() ^ after.keys() if not name.startswith("locks/")} == set()
    assert {name for name, digest in before.items() if after[name] != digest and not name.startswith("locks/")} == set()
    remove.run(dataset, Request(ids=(_id("a0.png"),)))
    assert "a0.png" not in _names(dataset)


def test_databases_that_cannot_be_used_are_named(dataset: Dataset) -> None:
    path = path_of(dataset.root)
    path.unlink()
    path.mkdir()
    with pytest.raises(SetupError, match=r"crawl\.sqlite cannot be used .*run the same command again"):
        Frontier(path)
    with pytest.raises(SetupError, match=r"crawl\.sqlite cannot be used .*run the same command again"):
        removal.forget(path, ["folder:a"], [])
