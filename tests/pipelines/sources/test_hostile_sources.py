"""Files of photographs and words about them that are broken, or made to break: read, counted, or refused by name."""

from __future__ import annotations

import io
import os
import tracemalloc
import zipfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from listing import list_all
from mangling import FEW_OR_MANY, mangled, mangled_parquet, tried

from manifests import lines
from manifests.dataset import Dataset
from manifests.errors import LhqError, SetupError
from pipelines import crawl
from pipelines.engine.pool import InProcess
from pipelines.engine.share import Share
from pipelines.sources import delimited, metadata
from pipelines.sources.base import Wanted
from pipelines.sources.folder import Folder, FolderFetcher
from pipelines.sources.unsplash_dataset import UnsplashDataset

pytestmark = pytest.mark.slow

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
HEADER = "photo_id\tphoto_image_url\tphoto_width\tphoto_height\tphotographer_username\tphoto_submitted_at"
PHOTOS = "".join(
    f"id{n}\thttps://images.unsplash.com/photo-{n}\t4000\t3000\tsomebody\t2020-01-01 00:00:00\n" for n in range(40)
)
KEYWORDS = "photo_id\tkeyword\tai_service_1_confidence\tai_service_2_confidence\tsuggested_by_user\n" + "".join(
    f"id{n}\tsea {n % 5}\t{n * 2}\t\tf\n" for n in range(40)
)


def refused(error: LhqError, *files: Path) -> None:
    """Its text names one of these files."""
    assert any(str(file) in str(error) for file in files), error


def release(method: int) -> bytes:
    """A release as a zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("r/photos.tsv000", f"{HEADER}\n{PHOTOS}")
        archive.writestr("r/keywords.tsv000", KEYWORDS)
    return out.getvalue()


@FEW_OR_MANY
def test_a_release_that_is_packed(tmp_path, many):
    place = tmp_path / "release.zip"
    fetcher = FolderFetcher(tmp_path, 0)

    def check(data: bytes) -> None:
        place.write_bytes(data)
        try:
            for page in list_all(UnsplashDataset(place, fetcher)):
                assert all(found.photo.photo_id.startswith("unsplash:") for found in page.found)
        except LhqError as error:
            refused(error, place)

    tried(check, st.sampled_from([release(method) for method in METHODS]).flatmap(mangled), few=40, many=many)


@FEW_OR_MANY
def test_a_release_that_lies_open(tmp_path, many):
    fetcher = FolderFetcher(tmp_path, 0)

    def check(tables: tuple[bytes, bytes]) -> None:
        for name, data in zip(("photos.tsv000", "keywords.tsv000"), tables, strict=True):
            (tmp_path / name).write_bytes(data)
        try:
            source = UnsplashDataset(tmp_path, fetcher)
            for page in list_all(source):
                for found in page.found:
                    source.prepare({"image_url": found.photo.image_url})
        except LhqError as error:
            refused(error, tmp_path)

    both = st.tuples(mangled(f"{HEADER}\n{PHOTOS}".encode()), mangled(KEYWORDS.encode()))
    tried(check, both, few=25, many=many)


def test_members_of_a_zip_with_numbers_of_thousands_of_digits_are_left(tmp_path):
    place = tmp_path / "release.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr(f"photos.tsv{'9' * 5000}", HEADER)
        archive.writestr("photos.tsv001", f"{HEADER}\n{PHOTOS}")
    assert [part.member for part in delimited.find(place, "photos")] == ["photos.tsv001"]


@pytest.mark.parametrize(
    ("longest", "most"),
    [
        pytest.param(2**18, 12_000_000, id="small"),
        pytest.param(lines.LONGEST_ROW, 600_000_000, id="real", marks=pytest.mark.long),
    ],
)
def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path, monkeypatch, longest, most):
    """Of what is read a row holds `longest` characters, in cells of two letters."""
    monkeypatch.setattr(lines, "LONGEST_ROW", longest)
    place = tmp_path / "release.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("photos.tsv000", "w") as member:
        member.write(f"{HEADER}\n".encode())
        for _ in range(40):
            member.write(b'"x\n"\t' * (longest // 50))  # each quote ends on the next line, where another begins
    assert place.stat().st_size < longest // 16
    tracemalloc.start()
    try:
        with pytest.raises(SetupError, match=rf"photos\.tsv000 has a row of over {longest:,} characters"):
            list(delimited.rows(delimited.find(place, "photos"), ["photo_id"], ["photo_id"], Counter()))
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def table() -> bytes:
    out = io.BytesIO()
    count = 30
    columns = {
        "file": [f"{n}.jpg" for n in range(count)],
        "title": pa.array(["a", None, "b"] * (count // 3)).dictionary_encode(),
        "tags": [["sea", "sky"], [], None] * (count // 3),
        "width": pa.array([4000, None] * (count // 2), pa.int32()),
        "taken_at": pa.array([datetime(2020, 1, 1, tzinfo=UTC)] * count, pa.timestamp("ns", "UTC")),
        "license": ["CC0"] * count,
        "place": [{"latitude": 1.5, "name": "x"}] * count,
        "map": pa.array([[("a", 1)]] * count, pa.map_(pa.string(), pa.int64())),
        "price": pa.array([None] * count, pa.decimal128(38, 5)),
        "span": pa.array([5] * count, pa.duration("s")),
    }
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def read_or_refused(path: Path, data: bytes) -> None:
    """A metadata file of any content."""
    path.write_bytes(data)
    try:
        for values in metadata.read(path).rows.values():
            assert isinstance(values["extra"], str)
    except SetupError as error:
        refused(error, path)


@FEW_OR_MANY
def test_words_about_photographs_in_parquet(table, tmp_path, many):
    path = tmp_path / "about.parquet"
    path.write_bytes(table)
    assert len(metadata.read(path).rows) == 30

    tried(lambda data: read_or_refused(path, data), mangled_parquet(table), few=40, many=many)


def test_a_small_parquet_that_unpacks_to_gigabytes_is_refused_before_it_does(tmp_path, monkeypatch):
    path = tmp_path / "about.parquet"
    pq.write_table(pa.table({"file": pa.array(["x" * 100_000] * 4000).dictionary_encode()}), path)  # 400 MB of text
    assert path.stat().st_size < 1_000_000
    monkeypatch.setattr(metadata, "LARGEST", 2**26)
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    with pytest.raises(SetupError, match=r"about\.parquet: it unpacks to over 67,108,864 bytes"):
        metadata.read(path)
    assert pool.bytes_allocated() - before < 2**27


def test_lists_in_lists_without_end_are_refused(tmp_path):
    kind = pa.string()
    for _ in range(400):
        kind = pa.list_(kind)
    path = tmp_path / "about.parquet"
    deep = pa.array([None], kind)
    pq.write_table(pa.table({"file": ["a.jpg"], "deep": deep}), path)
    try:
        assert metadata.read(path).rows["a.jpg"]
    except SetupError as error:
        refused(error, path)


@FEW_OR_MANY
def test_words_about_photographs_as_csv(tmp_path, many):
    path = tmp_path / "about.csv"
    sound = b"file,title,tags,width,taken_at,license,more\n" + b"".join(
        b'%d.jpg,"one, two",sea;sky,4000,2020-01-01T00:00:00Z,CC0,{"a": 1}\n' % n for n in range(9)
    )

    tried(lambda data: read_or_refused(path, data), mangled(sound), few=40, many=many)


ODD = [
    "\n",
    "\r",
    "\t",
    "\x1b[31m",
    "\u202e",
    "\x7f",
    " ",
    "'",
    '"',
    "\\",
    "%00",
    "*",
    "é",
    "e\u0301",
    "\U0001f3d4",
    "=",
    "-",
]
NAMES = st.one_of(
    st.lists(st.sampled_from(ODD) | st.sampled_from("abc"), min_size=1, max_size=12).map(
        lambda some: os.fsencode("".join(some))
    ),
    st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & {0, ord("/")} and name not in (b".", b"..")),
)


@FEW_OR_MANY
def test_a_folder_with_names_of_any_bytes(tmp_path_factory, many):
    picture = b"no picture"

    def check(names: list[bytes]) -> None:
        place = tmp_path_factory.mktemp("odd")
        root = place / "p"
        (root / "a.jpg").parent.mkdir()
        (root / "a.jpg").write_bytes(picture)
        for name in names:
            Path(os.fsdecode(os.fsencode(root) + b"/" + name + b".jpg")).write_bytes(picture)
        source = Folder.scan(root, "odd")
        fetching = source.fetcher().open(Share())
        for page in list_all(source):
            for found in page.found:
                assert fetching.fetch(Wanted(found.photo.photo_id)).data == picture
        assert len(source.files) + sum(source.left.values()) == len(list(root.iterdir()))
        crawled = crawl.run(Dataset.open_or_create(place / "d", "test"), [Folder.scan(root, "odd")], InProcess())
        assert sum(crawled.given_up.values()) == len(source.files)
        assert {path.name for path in place.iterdir()} == {"p", "d"}

    tried(check, st.lists(NAMES, max_size=4), few=8, many=many and 300)
