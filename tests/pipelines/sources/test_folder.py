"""The `folder` source: which files become photos, under which ids, and what is refused before anything is written."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from listing import Unread
from PIL import Image

from manifests.dataset import Dataset
from manifests.errors import InputError, MisuseError, SetupError, TransientError
from pipelines import crawl
from pipelines.engine.pool import open_pool
from pipelines.sources.base import StoredFile, Wanted
from pipelines.sources.folder import PAGE, Folder

CAN_FORBID = os.geteuid() != 0


def _files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def _picture(path: Path, shade: int = 0, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (shade, 0, 0)).save(path, kind)
    return path


def _ids(source: Folder) -> list[str]:
    return [found.photo.photo_id for page in source.pages(Unread()) for found in page.found]


def _crawl(dataset: Dataset, source: Folder) -> crawl.Crawled:
    with open_pool(0, None) as pool:
        return crawl.run(dataset, [source], pool)


# What is a photo.


def test_image_files_are_found_at_any_depth_in_any_case_hidden_or_not_and_others_counted(tmp_path: Path) -> None:
    root = _files(
        tmp_path / "walk",
        *(
            "b.jpg",
            "A.JPEG",
            "sub/deep/c.Png",
            ".hidden.jpg",
            ".cache/d.webp",
            "e.tar.gif",
            "line\nbreak.jpg",
            "é.TIFF",
        ),
        *("notes.txt", "sub/notes.TXT", "README", ".jpg", "x.jpg.part"),
    )
    source = Folder.scan(root)
    assert source.files == sorted(
        [".cache/d.webp", ".hidden.jpg", "A.JPEG", "b.jpg", "e.tar.gif", "line\nbreak.jpg", "sub/deep/c.Png", "é.TIFF"]
    )
    assert source.left == {".txt": 2, "without extension": 2, ".part": 1}
    assert source.notes() == [f"5 other files left under {root} (2 .txt, 2 without extension, 1 .part)"]
    assert _ids(source)[0] == "folder:walk/.cache/d.webp"


def test_names_that_are_not_utf8_are_left_and_told(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", "a.jpg")
    bad = os.fsencode(root)
    for name in (b"bad-\xff.jpg", b"bad.\xff"):
        with open(os.path.join(bad, name), "wb") as stream:  # noqa: PTH118, PTH123 (a Path cannot be made of bytes)
            stream.write(b"x")
    os.mkdir(os.path.join(bad, b"dir-\xe9"))  # noqa: PTH102, PTH118
    (Path(os.fsdecode(os.path.join(bad, b"dir-\xe9"))) / "in.jpg").write_bytes(b"x")  # noqa: PTH118
    source = Folder.scan(root)
    assert source.files == ["a.jpg"]
    assert source.left == {"with a name that is not UTF-8": 3}
    "\n".join(source.notes()).encode()


def test_a_folder_below_one_whose_name_is_not_utf8_is_read(tmp_path: Path) -> None:
    root = _files(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")) / "walk", "a.jpg")
    assert _ids(Folder.scan(root)) == ["folder:walk/a.jpg"]


def test_links_to_folders_are_not_entered_but_told_and_loops_end(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", "sub/a.jpg")
    (root / "sub" / "up").symlink_to(root)
    (root / "self").symlink_to("self")
    (root / "loop.jpg").symlink_to("loop.jpg")
    (root / "gone.jpg").symlink_to("nowhere.jpg")
    (root / "link.jpg").symlink_to("sub/a.jpg")
    source = Folder.scan(root)
    assert source.files == ["gone.jpg", "link.jpg", "loop.jpg", "sub/a.jpg"]
    assert source.left == {"links to folders": 1, "without extension": 1}
    fetcher = source.fetcher()
    assert fetcher.fetch(Wanted("folder:walk/link.jpg")).data == b"sub/a.jpg"
    for name in ("loop.jpg", "gone.jpg"):
        with pytest.raises(InputError):
            fetcher.fetch(Wanted(f"folder:walk/{name}"))


def test_a_root_that_is_a_link_is_entered_and_gives_the_label_of_its_target(tmp_path: Path) -> None:
    _files(tmp_path / "real", "a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert _ids(Folder.scan(tmp_path / "link")) == ["folder:real/a.jpg"]


def test_the_dataset_inside_the_crawled_folder_is_not_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = _files(tmp_path / "walk", "a.jpg", "sub/set/images/ab/x.jpg", "set/b.jpg")
    monkeypatch.chdir(root)
    for leave in (root / "sub" / "set", Path("sub/set"), root / "sub" / ".." / "sub" / "set"):
        assert Folder.scan(root, leave=leave).files == ["a.jpg", "set/b.jpg"]
    assert len(Folder.scan(root, leave=tmp_path / "not-made-yet").files) == 3


@pytest.mark.parametrize("path", [".", "images"])
def test_a_dataset_is_not_its_own_source(tmp_path: Path, path: str) -> None:
    root = _files(tmp_path / "set", "images/ab/x.jpg", "dataset.json")
    with pytest.raises(MisuseError, match="own source"):
        Folder.scan(root / path, leave=root)


def test_nothing_to_take_is_refused_and_says_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no such folder"):
        Folder.scan(tmp_path / "none")
    with pytest.raises(SetupError, match="it is empty"):
        Folder.scan(tmp_path)
    with pytest.raises(SetupError, match=r"1 \.txt"):
        Folder.scan(_files(tmp_path, "a.txt"))
    with pytest.raises(MisuseError, match="no such folder"):
        Folder.scan(tmp_path / "a.txt")


# Ids, pages, labels.


def test_ids_are_label_and_path_and_ranks_count_over_pages(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", *(f"{n:05}.jpg" for n in range(PAGE + 2)))
    pages = [page.found for page in Folder.scan(root, "My label: 1").pages(Unread())]
    assert [len(page) for page in pages] == [PAGE, 2]
    found = [one for page in pages for one in page]
    assert [one.rank for one in found] == list(range(PAGE + 2))
    assert {one.query for one in found} == {"My label: 1"}
    last = found[-1].photo
    assert (last.photo_id, last.source, last.source_id) == (
        *("folder:My label: 1/01025.jpg", "folder", "My label: 1/01025.jpg"),
    )
    assert last.license == "LicenseRef-unknown"


@pytest.mark.parametrize("label", ["a/b", "../x", "a\nb", "a\0", "\ud800"])
def test_a_label_that_would_break_ids_is_refused(tmp_path: Path, label: str) -> None:
    with pytest.raises(MisuseError, match="--label"):
        Folder.scan(_files(tmp_path, "a.jpg"), label)


def test_metadata_goes_into_the_photos_and_what_it_misses_is_told(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", "a.jpg", "sub/b.jpg", "c.jpg")
    table = tmp_path / "about.csv"
    table.write_text("file,title,tags,license\nwalk/a.jpg,A,x;y,CC0\nsub/b.jpg,B,,\nmissing.jpg,M,,\n")
    source = Folder.scan(root, None, table)
    photos = {one.photo.source_id: one.photo for page in source.pages(Unread()) for one in page.found}
    assert (photos["walk/a.jpg"].title, photos["walk/a.jpg"].tags, photos["walk/a.jpg"].license) == (
        *("A", ("x", "y"), "CC0-1.0"),
    )
    assert (photos["walk/sub/b.jpg"].title, photos["walk/c.jpg"].title) == ("B", None)
    assert source.notes() == [
        f"1 metadata row matched no file under {root}",
        f"1 photo under {root} without a metadata row",
    ]


def test_a_wrong_table_is_refused_while_scanning_so_that_nothing_is_written(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", "a.jpg")
    (tmp_path / "about.csv").write_text("file,width\na.jpg,wide\n")
    with pytest.raises(SetupError, match="line 2: width"):
        Folder.scan(root, None, tmp_path / "about.csv")


# Fetching.


def test_a_pipe_or_device_or_folder_with_an_image_name_is_an_input_error_and_never_waits(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", "a.jpg")
    os.mkfifo(root / "pipe.jpg")
    (root / "zero.jpg").symlink_to("/dev/zero")
    source = Folder.scan(root)
    assert source.files == ["a.jpg", "pipe.jpg", "zero.jpg"]
    (root / "a.jpg").unlink()
    (root / "a.jpg").mkdir()
    for name in source.files:
        with pytest.raises(InputError, match="not a regular file"):
            source.fetcher().fetch(Wanted(source.photo_id(name)))
    stored = StoredFile("00", 0)  # it was a file when it was fetched
    source.check({source.photo_id(name): stored for name in source.files})


def test_files_that_are_gone_too_large_or_unreadable_are_input_errors(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", "gone.jpg", "large.jpg", "secret.jpg", "sub/under.jpg")
    fetcher = Folder.scan(root).fetcher()
    (root / "gone.jpg").unlink()
    os.truncate(root / "large.jpg", 200_000_001)  # sparse
    with pytest.raises(InputError, match="gone"):
        fetcher.fetch(Wanted("folder:walk/gone.jpg"))
    with pytest.raises(InputError, match="200 MB"):
        fetcher.fetch(Wanted("folder:walk/large.jpg"))
    shutil.rmtree(root / "sub")
    (root / "sub").write_bytes(b"")
    with pytest.raises((InputError, TransientError)):
        fetcher.fetch(Wanted("folder:walk/sub/under.jpg"))
    if CAN_FORBID:
        (root / "secret.jpg").chmod(0)
        with pytest.raises(InputError, match="may not be read"):
            fetcher.fetch(Wanted("folder:walk/secret.jpg"))


# The whole way, and the second crawl.


@pytest.fixture
def crawled(tmp_path: Path) -> tuple[Dataset, Path]:
    """A dataset crawled from a folder whose files are older than the clock's slack."""
    root = tmp_path / "walk"
    for number, name in enumerate(["a.png", "sub/b.png", "named.jpg"]):
        _picture(root / name, number)
    dataset = Dataset.open_or_create(tmp_path / "set", "0.1.0")
    _crawl(dataset, Folder.scan(root))
    return dataset, root


def _state(dataset: Dataset) -> list[list[str]]:
    return [table.version() for table in (dataset.photos_table, dataset.sightings_table, dataset.files_table)]


def test_files_are_stored_as_received_under_their_real_extension(crawled: tuple[Dataset, Path]) -> None:
    dataset, root = crawled
    rows = {row["photo_id"]: row for row in dataset.files().to_pylist()}
    assert set(rows) == {"folder:walk/a.png", "folder:walk/named.jpg", "folder:walk/sub/b.png"}
    named = rows["folder:walk/named.jpg"]
    assert named["path"].endswith(".png")
    assert (dataset.root / named["path"]).read_bytes() == (root / "named.jpg").read_bytes()
    assert dataset.photos()["queries"].to_pylist() == [["walk"]] * 3


def test_the_same_crawl_again_fetches_and_writes_nothing(crawled: tuple[Dataset, Path]) -> None:
    dataset, root = crawled
    before = _state(dataset)
    again = _crawl(dataset, Folder.scan(root))
    assert (again.found, again.new, again.fetched) == (3, 0, 0)
    assert _state(dataset) == before


@pytest.mark.parametrize("how", ["same length", "other length", "old times", "renamed over"])
def test_other_bytes_under_a_known_id_are_refused_before_anything_is_written(
    crawled: tuple[Dataset, Path], how: str
) -> None:
    dataset, root = crawled
    file = root / "sub" / "b.png"
    data = file.read_bytes()
    other = data[:-20] + bytes(20) + (b"more" if how == "other length" else b"")
    if how == "renamed over":
        (root / "new").write_bytes(other)
        (root / "new").rename(file)
    else:
        file.write_bytes(other)
    if how == "old times":
        os.utime(file, (1, 1))
    _picture(root / "new.png", 77)
    before = _state(dataset)
    with pytest.raises(SetupError, match=r"1 file.* other bytes .*folder:walk/sub/b\.png.*another --label"):
        _crawl(dataset, Folder.scan(root))
    assert _state(dataset) == before


def test_another_path_with_the_same_label_and_other_bytes_is_refused(
    crawled: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, root = crawled
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    assert _crawl(dataset, Folder.scan(copy, "walk")).fetched == 0  # the same photos elsewhere
    _picture(copy / "a.png", 200)
    before = _state(dataset)
    with pytest.raises(SetupError, match="other bytes"):
        _crawl(dataset, Folder.scan(copy, "walk"))
    assert _state(dataset) == before
    assert _crawl(dataset, Folder.scan(copy, "copy")).fetched == 3


def test_an_older_file_of_the_same_length_under_another_path_is_refused(tmp_path: Path) -> None:
    """BMP files of one size have one length; both folders lay there long before the first crawl."""
    first, second = tmp_path / "first", tmp_path / "second"
    _picture(first / "a.bmp", 1, "BMP")
    _picture(second / "a.bmp", 2, "BMP")
    data = (first / "a.bmp").read_bytes()
    stored = {"folder:l/a.bmp": StoredFile(hashlib.sha256(data).hexdigest(), len(data))}
    Folder.scan(first, "l").check(stored)
    with pytest.raises(SetupError, match="other bytes"):
        Folder.scan(second, "l").check(stored)


def test_a_touched_file_with_the_same_bytes_and_one_that_is_gone_are_no_trouble(crawled: tuple[Dataset, Path]) -> None:
    dataset, root = crawled
    data = (root / "a.png").read_bytes()
    (root / "a.png").write_bytes(data)
    (root / "named.jpg").unlink()
    again = _crawl(dataset, Folder.scan(root))
    assert (again.found, again.fetched, again.given_up) == (2, 0, {})
    assert dataset.files()["status"].to_pylist() == ["ok"] * 3


def test_a_crawl_of_pipes_links_and_garbage_ends_with_reasons(tmp_path: Path) -> None:
    root = _files(tmp_path / "walk", "garbage.jpg")
    (root / "empty.png").write_bytes(b"")
    os.mkfifo(root / "pipe.jpg")
    (root / "loop.jpg").symlink_to("loop.jpg")
    _picture(root / "good.png")
    code = """
import sys
from pathlib import Path
from manifests.dataset import Dataset
from pipelines import crawl
from pipelines.engine.pool import open_pool
from pipelines.sources.folder import Folder
with open_pool(0, None) as pool:
    crawl.run(Dataset.open_or_create(Path(sys.argv[1]), "0.1.0"), [Folder.scan(Path(sys.argv[2]))], pool)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "set", root], check=True, timeout=60)
    rows = Dataset.open(tmp_path / "set").files().to_pylist()
    assert {row["photo_id"].removeprefix("folder:walk/"): (row["status"], bool(row["error"])) for row in rows} == {
        "empty.png": ("given_up", True),
        "garbage.jpg": ("given_up", True),
        "good.png": ("ok", False),
        "loop.jpg": ("given_up", True),
        "pipe.jpg": ("given_up", True),
    }
