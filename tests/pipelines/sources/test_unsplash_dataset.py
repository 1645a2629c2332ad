"""The files of a release become photos with their keywords as tags, each once, in bounded memory, and go on."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listing import Unread, list_all, photos_by_id

from manifests.errors import InputError, MisuseError, SetupError, TransientError
from pipelines.engine.share import Share
from pipelines.sources import unsplash_dataset
from pipelines.sources.base import Fetching
from pipelines.sources.unsplash_dataset import UnsplashDataset

PHOTOS = [
    "photo_id",
    "photo_url",
    "photo_image_url",
    "photo_submitted_at",
    "photo_featured",
    "photo_width",
    "photo_height",
    "photo_aspect_ratio",
    "photo_description",
    "photographer_username",
    "photographer_first_name",
    "photographer_last_name",
    "exif_camera_make",
    "exif_camera_model",
    "exif_iso",
    "exif_aperture_value",
    "exif_focal_length",
    "exif_exposure_time",
    "photo_location_name",
    "photo_location_latitude",
    "photo_location_longitude",
    "photo_location_country",
    "photo_location_city",
    "stats_views",
    "stats_downloads",
    "ai_description",
    "ai_primary_landmark_name",
    "ai_primary_landmark_latitude",
    "ai_primary_landmark_longitude",
    "ai_primary_landmark_confidence",
    "blur_hash",
]
KEYWORDS = [
    "photo_id",
    "keyword",
    "ai_service_1_confidence",
    "ai_service_2_confidence",
    "suggested_by_user",
    "user_suggestion_source",
    "suggested_by_ai_service_3",
    "confirmed_by_ai_service_3",
]


class Nothing:
    """A fetcher that no test here opens."""

    def open(self, share: Share) -> Fetching:
        raise AssertionError("opened")


def photo_row(photo_id: str, **more: str) -> dict[str, str]:
    row = {
        "photo_id": photo_id,
        "photo_url": f"https://unsplash.com/photos/{photo_id}",
        "photo_image_url": f"https://images.unsplash.com/photo-{photo_id}",
        "photo_width": "6000",
        "photo_height": "4000",
        "photographer_username": "anna",
    }
    return row | more


def write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, str]], delimiter: str = "\t") -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", delimiter=delimiter, extrasaction="raise")
        writer.writeheader()
        writer.writerows(rows)


def keyword(
    photo_id: str, word: str, one: str = "", two: str = "", user: str = "f", third: str = "f"
) -> dict[str, str]:
    names = ("photo_id", "keyword", *KEYWORDS[2:5], "confirmed_by_ai_service_3")
    return dict(zip(names, (photo_id, word, one, two, user, third), strict=True))


def release(folder: Path, photos: Sequence[dict[str, str]], keywords: Sequence[dict[str, str]] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    write(folder / "photos.tsv000", PHOTOS, photos)
    write(folder / "keywords.tsv000", KEYWORDS, keywords)
    return folder


def source(path: Path, **more: object) -> UnsplashDataset:
    return UnsplashDataset(path, Nothing(), **more)  # type: ignore[arg-type]


def test_every_column_finds_its_place(tmp_path: Path) -> None:
    row = photo_row(
        "NqkTxxK_2ZY",
        photo_submitted_at="2014-11-18 19:36:57.08727",
        photo_description='A "lake"\twith tabs,\nand line breaks',
        photographer_first_name="Anna",
        photographer_last_name="Löw",
        ai_description="lake between mountains",
        photo_location_country="Norway",
        exif_iso="100",
        blur_hash="L7E",
        stats_views="12",
    )
    words = [
        keyword("NqkTxxK_2ZY", "Fjord", "41.5", "88.25"),
        keyword("NqkTxxK_2ZY", "boat", "49.9", "30"),
        keyword("NqkTxxK_2ZY", "hut", user="t"),
        keyword("NqkTxxK_2ZY", "snow", third="t"),
        keyword("NqkTxxK_2ZY", "ice", "", "50"),
        keyword("NqkTxxK_2ZY", "", "99"),
        keyword("another_one", "city", "99"),
    ]
    (page,) = list_all(source(release(tmp_path / "r", [row], words)))
    (found,) = page.found
    photo = found.photo
    assert (found.query, found.rank, found.brief) == ("unsplash-dataset", 0, False)
    assert (photo.photo_id, photo.source, photo.source_id) == (
        "unsplash:NqkTxxK_2ZY",
        "unsplash-dataset",
        "NqkTxxK_2ZY",
    )
    assert (photo.width, photo.height) == (6000, 4000)
    assert photo.title == "lake between mountains"
    assert photo.description == 'A "lake"\twith tabs,\nand line breaks'
    assert photo.tags_raw == ("hut", "snow", "Fjord", "ice")
    assert photo.tags == ("hut", "snow", "fjord", "ice")
    assert photo.uploaded_at == datetime(2014, 11, 18, 19, 36, 57, 87270, UTC)
    assert json.loads(photo.extra) == {"photo_location_country": "Norway", "exif_iso": "100"}


def test_every_row_has_its_rights(tmp_path: Path) -> None:
    rows = [photo_row("a"), photo_row("b", photographer_first_name="Bert"), photo_row("c", photographer_username="")]
    photos = photos_by_id(list_all(source(release(tmp_path / "r", rows))))
    assert {photo.license for photo in photos.values()} == {"LicenseRef-Unsplash"}
    assert {photo.license_url for photo in photos.values()} == {"https://unsplash.com/license"}
    assert [photo.author for photo in photos.values()] == ["anna", "Bert", None]
    assert [photo.author_url for photo in photos.values()] == ["https://unsplash.com/@anna"] * 2 + [None]
    for photo in photos.values():
        assert photo.page_url
        assert "Unsplash License (https://unsplash.com/license)" in (photo.attribution or "")
        assert photo.page_url in (photo.attribution or "")


@pytest.mark.parametrize(("confidence", "tags"), [(0, 4), (40, 3), (40.5, 2), (100, 1)])
def test_the_confidence_is_a_parameter(tmp_path: Path, confidence: float, tags: int) -> None:
    words = [keyword("a", "w", "40"), keyword("a", "x", "3", "70"), keyword("a", "y", "0"), keyword("a", "z", user="t")]
    words += [keyword("a", "v", "much"), keyword("a", "u", "nan"), keyword("a", "t", "1e9"), keyword("a", "s")]
    place = release(tmp_path / "r", [photo_row("a")], words)
    (photo,) = photos_by_id(list_all(source(place, min_confidence=confidence))).values()
    assert len(photo.tags) == tags


def test_premium_photos_other_hosts_and_broken_rows_are_left_out_and_told(tmp_path: Path) -> None:
    images = {
        "plus": "https://plus.unsplash.com/premium_photo-1",
        "http": "http://images.unsplash.com/photo-1",
        "else": "https://images.unsplash.com.evil.org/photo-1",
        "user": "https://images.unsplash.com@evil.org/photo-1",
        "port": "https://images.unsplash.com:8443/photo-1",
        "none": "",
        "bad": "https://[::1/x",
    }
    rows = [photo_row(name, photo_image_url=url) for name, url in images.items()]
    rows += [photo_row("../etc"), photo_row(""), photo_row("good")]
    one = source(release(tmp_path / "r", rows))
    assert list(photos_by_id(list_all(one))) == ["unsplash:good"]
    notes = "\n".join(one.notes())
    assert "left out: premium photos (1)" in notes
    assert "left out: rows whose picture lies elsewhere (5)" in notes
    assert "left out: rows without an id or an address (3)" in notes


def test_the_terms_are_told(tmp_path: Path) -> None:
    assert "no redistribution" in source(release(tmp_path / "r", [photo_row("a")])).notes()[0]


def test_a_zip_and_csv_parts_give_the_same_photos(tmp_path: Path) -> None:
    rows = [photo_row(f"id{n}", photo_description=f"{n},\t\n") for n in range(50)]
    words = [keyword(f"id{n}", f"w{n % 7}", "80") for n in range(50)]
    folder = release(tmp_path / "r", rows, words)
    expected = photos_by_id(list_all(source(folder)))
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts" / "photos.csv000", PHOTOS[::-1], rows[:20], ",")
    write(tmp_path / "parts" / "photos.csv001", PHOTOS, rows[20:], ",")
    write(tmp_path / "parts" / "keywords.csv000", KEYWORDS, words, ",")
    with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"unsplash-research-dataset/{file.name}")
    for path in (tmp_path / "parts", tmp_path / "all.zip"):
        got = photos_by_id(list_all(source(path)))
        assert [(one.photo_id, one.description, one.tags) for one in got.values()] == [
            (one.photo_id, one.description, one.tags) for one in expected.values()
        ]


@settings(max_examples=25, deadline=None)
@given(
    words=st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abcde"), st.integers(0, 100)), max_size=60),
    page=st.integers(1, 4),
    bucket=st.integers(20, 400),
    stop=st.integers(0, 12),
)
def test_however_it_is_divided_and_wherever_it_stops_every_photo_comes_once_with_its_tags(
    tmp_path_factory: pytest.TempPathFactory,
    words: list[tuple[int, str, int]],
    page: int,
    bucket: int,
    stop: int,
) -> None:
    place = tmp_path_factory.mktemp("r")
    rows = [photo_row(f"id{n}") for n in range(10)]
    release(place, rows, [keyword(f"id{n}", word, str(sure)) for n, word, sure in words])
    before = unsplash_dataset.PAGE, unsplash_dataset.BUCKET_BYTES
    unsplash_dataset.PAGE, unsplash_dataset.BUCKET_BYTES = page, bucket
    try:
        listing = Unread()
        pages = []
        generator = source(place).pages(listing)
        for _, one in zip(range(stop), generator, strict=False):
            listing.commit(one)
            pages.append(one)
        generator.close()
        pages += list_all(source(place), listing)
        assert list_all(source(place), listing) == []
    finally:
        unsplash_dataset.PAGE, unsplash_dataset.BUCKET_BYTES = before
    shutil.rmtree(place)
    found = [found for one in pages for found in one.found]
    assert sorted(one.photo.source_id for one in found) == [f"id{n}" for n in range(10)]
    assert sorted(one.rank for one in found) == list(range(10))
    for one in found:
        mine = {word for n, word, sure in words if f"id{n}" == one.photo.source_id and sure >= 50}
        assert set(one.photo.tags) == mine
        assert one.photo.source_id == f"id{one.rank}"


def test_another_release_or_confidence_is_read_anew(tmp_path: Path) -> None:
    listing = Unread()
    place = release(tmp_path / "r", [photo_row("a")])
    assert len(list_all(source(place), listing)) == 1
    assert list_all(source(place), listing) == []
    assert len(list_all(source(place, min_confidence=70), listing)) == 1
    release(place, [photo_row("a"), photo_row("b")])
    assert len(list_all(source(place), listing)) == 1


def test_nothing_is_left_in_the_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = release(tmp_path / "r", [photo_row("a")], [keyword("a", "x", "80")])
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    for _ in source(place).pages(Unread()):
        assert list((tmp_path / "tmp").iterdir()) == []


def test_dividing_a_large_release_can_be_stopped(tmp_path: Path) -> None:
    one = source(release(tmp_path / "r", [photo_row("a")]))
    one.stop()
    with pytest.raises(TransientError):
        list_all(one)


def test_a_download_goes_to_the_given_address_at_the_size_asked_for(tmp_path: Path) -> None:
    place = release(tmp_path / "r", [photo_row("a")])
    row = {"photo_id": "unsplash:a", "image_url": "https://images.unsplash.com/photo-a", "extra": "{}"}
    assert source(place).prepare(row) == "https://images.unsplash.com/photo-a"
    assert re.search(r"[?&]w=1024(&|$)", source(place, max_side=1024).prepare(row) or "")
    with pytest.raises(InputError):
        source(place).prepare({**row, "image_url": None})


def test_a_release_without_keywords_says_so(tmp_path: Path) -> None:
    place = release(tmp_path / "r", [photo_row("a")])
    (place / "keywords.tsv000").unlink()
    one = source(place)
    assert list(photos_by_id(list_all(one))) == ["unsplash:a"]
    assert any("no tags" in note for note in one.notes())


def test_what_is_no_release_is_said_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no such folder or zip"):
        source(tmp_path / "none")
    with pytest.raises(SetupError, match=r"holds no photos\.tsv000"):
        source(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(SetupError, match="neither a folder nor a zip"):
        source(tmp_path / "x.txt")
    with pytest.raises(MisuseError, match="between 0 and 100"):
        source(tmp_path, min_confidence=101)
