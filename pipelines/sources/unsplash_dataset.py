"""The `unsplash-dataset` source: the files of the Unsplash Dataset, Lite or Full (https://github.com/unsplash/datasets).

Photos and keywords stand in two large tables in no common order. They are divided by photo id into buckets small
enough to hold, in nameless temporary files, and joined bucket by bucket, so memory does not grow with the release: each
bucket takes some 64 MB of keywords as written, several times that when held. `TMPDIR` must have room for the photos'
table and the kept keywords: well under 1 GB for Lite, some 10 GB for Full.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import re
import tempfile
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from manifests.errors import InputError, MisuseError, TransientError
from manifests.licenses import UNSPLASH, attribution
from manifests.records import Photo
from manifests.tags import normalise_tags
from pipelines.sources import delimited
from pipelines.sources.base import Fetcher, Found, Listing, Page, RefusedError, Source
from pipelines.sources.unsplash import HOSTS, PREMIUM, sized
from pipelines.web.fields import moment, pixels, text, whole
from pipelines.web.hosts import AllowList

MIN_CONFIDENCE = 50.0  # percent
PAGE = 4096  # rows
BUCKET_BYTES = 64 * 1024**2  # of keywords as written
MOST_BUCKETS = 128  # twice as many files are open
TERMS = (
    "the terms of the Unsplash Dataset allow no redistribution of any portion of it: keep these rows, and manifests "
    "made of them, to yourself (Lite: any internal use; Full: non-commercial only); https://github.com/unsplash/datasets"
)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PREMIUM_HOST = "plus.unsplash.com"
_CONFIDENCES = ("ai_service_1_confidence", "ai_service_2_confidence")
_SAID_SO = ("suggested_by_user", "confirmed_by_ai_service_3")  # by a person, or by a service that gives no number
_KEYWORDS = ("photo_id", "keyword", *_CONFIDENCES, *_SAID_SO)
_EXTRA = (
    "photo_featured",
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
    "ai_primary_landmark_name",
    "ai_primary_landmark_latitude",
    "ai_primary_landmark_longitude",
    "ai_primary_landmark_confidence",
)
_PHOTOS = (
    "photo_id",
    "photo_image_url",
    "photo_url",
    "photo_submitted_at",
    "photo_width",
    "photo_height",
    "photo_description",
    "ai_description",
    "photographer_username",
    "photographer_first_name",
    "photographer_last_name",
    *_EXTRA,
)


class UnsplashDataset(Source):
    """Every photo of a release at `path`, a folder or a zip. Ids are those of the `unsplash` source.

    A keyword becomes a tag when a person suggested it, an AI service confirmed it, or one is at least
    `min_confidence` percent sure. `max_side`: as for `unsplash`. `fetcher` must allow `HOSTS`;
    `loopback`: LHQ_ALLOW_PRIVATE_HOSTS=1.
    Raises MisuseError for a confidence out of range, SetupError where there is no release.
    """

    name = "unsplash-dataset"

    def __init__(
        self,
        path: Path,
        fetcher: Fetcher,
        *,
        min_confidence: float = MIN_CONFIDENCE,
        max_side: int | None = None,
        loopback: bool = False,
    ) -> None:
        if not 0 <= min_confidence <= 100:
            raise MisuseError(f"a confidence is between 0 and 100 percent, not {min_confidence}")
        if not path.exists():
            raise MisuseError(f"--path {path}: there is no such folder or zip file")
        self._fetcher, self._min_confidence, self._max_side = fetcher, min_confidence, max_side
        self._photos = delimited.find(path, "photos")
        self._keywords = delimited.find(path, "keywords")
        if not self._photos:
            raise MisuseError(
                f"{path} holds no photos.tsv000 (or .csv000): give the release's folder or zip with --path"
            )
        self._allowed = AllowList(frozenset(HOSTS), loopback)
        self._skipped = Counter[str]()
        self._stopped = threading.Event()

    def pages(self, listing: Listing) -> Iterator[Page]:
        """All photos, bucket by bucket; a bucket's cursor counts the rows read of it."""
        count = min(MOST_BUCKETS, 1 + sum(part.size for part in self._keywords) // BUCKET_BYTES)
        tasks = [f"{self._release()} {number}/{count}" for number in range(1, count + 1)]
        if all(listing.is_done(task) for task in tasks):
            return
        with contextlib.ExitStack() as stack:
            photos, keywords = ([stack.enter_context(_spill()) for _ in tasks] for _ in range(2))
            self._divide(photos, keywords)
            for task, own, tags in zip(tasks, photos, keywords, strict=True):
                if not listing.is_done(task):
                    yield from self._join(task, own, tags, whole(listing.cursor(task)) or 0)

    def sizes(self) -> Iterator[tuple[int, int] | None]:
        """Width and height of every photo that `pages` would list, in pixels; None where the release does not tell."""
        for cells in self._until_stopped(self._photos, _PHOTOS, Counter()):
            row = dict(zip(_PHOTOS, cells, strict=True))
            if self._refused(row) is None:
                width, height = pixels(row["photo_width"]), pixels(row["photo_height"])
                yield (width, height) if width and height else None

    def prepare(self, photo: Mapping[str, Any]) -> str | None:
        """The address of the photo's picture, with the size asked for."""
        if not photo["image_url"]:
            raise InputError("the release names no address of its picture")
        return sized(photo["image_url"], self._max_side)

    def fetcher(self) -> Fetcher:
        return self._fetcher

    def stop(self) -> None:
        self._stopped.set()

    def notes(self) -> Sequence[str]:
        lines = [] if self._keywords else ["the release holds no keywords.tsv000: its photos have no tags"]
        return [TERMS, *lines, *(f"left out: {what} ({count:,})" for what, count in sorted(self._skipped.items()))]

    def _release(self) -> str:
        """Names these files and what is made of them: another release, or another confidence, is read anew."""
        facts = [(part.name.rpartition("/")[2], part.size) for part in (*self._photos, *self._keywords)]
        digest = hashlib.sha256(json.dumps([facts, self._min_confidence]).encode()).hexdigest()
        return f"release {digest[:16]}"

    def _divide(self, photos: Sequence[TextIO], keywords: Sequence[TextIO]) -> None:
        """Write the rows that count into the bucket of their photo."""
        into = [csv.writer(file) for file in photos]
        for number, cells in enumerate(self._until_stopped(self._photos, _PHOTOS, self._skipped)):
            into[_bucket(cells[0], len(into))].writerow([number, *cells])
        into = [csv.writer(file) for file in keywords]
        for cells in self._until_stopped(self._keywords, _KEYWORDS, Counter()):
            sure, word = _sureness(cells[2:]), text(cells[1])
            if word and sure >= self._min_confidence:
                into[_bucket(cells[0], len(into))].writerow([cells[0], sure, word])

    def _until_stopped(
        self, parts: Sequence[delimited.Part], columns: Sequence[str], skipped: Counter[str]
    ) -> Iterator[list[str]]:
        """The rows of a table; dividing a large one takes minutes, in which nobody asks for a page."""
        for cells in delimited.rows(parts, columns, columns[:2], skipped):
            if self._stopped.is_set():
                raise TransientError("the release was not read to its end")
            yield cells

    def _join(self, task: str, photos: TextIO, keywords: TextIO, read: int) -> Iterator[Page]:
        """The photos of one bucket with their tags, from row `read` on."""
        now = datetime.now(UTC)
        tags = _tags(keywords)
        photos.seek(0)
        found: list[Found] = []
        at = 0
        for at, (number, *cells) in enumerate(csv.reader(photos), start=1):
            if at <= read:
                continue
            photo = self._photo(dict(zip(_PHOTOS, cells, strict=True)), tags, now)
            if photo is not None:
                found.append(Found(photo, self.name, int(number)))
            if at % PAGE == 0:
                yield Page(found, task, str(at))
                found = []
        yield Page(found, task, str(at), done=True)

    def _refused(self, cells: Mapping[str, str]) -> str | None:
        """Why a row is no photo for us."""
        image = text(cells["photo_image_url"])
        if not _ID.fullmatch(cells["photo_id"]) or image is None:
            return "rows without an id or an address"
        try:
            self._allowed.check(image)
        except RefusedError:
            return PREMIUM if _https_host(image) == _PREMIUM_HOST else "rows whose picture lies elsewhere"
        return None

    def _photo(self, cells: Mapping[str, str], tags: Mapping[str, list[str]], now: datetime) -> Photo | None:
        if why := self._refused(cells):
            self._skipped[why] += 1
            return None
        one, image = cells["photo_id"], text(cells["photo_image_url"])
        title, page, user = (
            text(cells["ai_description"]),
            text(cells["photo_url"]),
            text(cells["photographer_username"]),
        )
        names = (text(cells["photographer_first_name"]), text(cells["photographer_last_name"]))
        author = " ".join(name for name in names if name) or user
        raw = tuple(tags.get(one, ()))
        return Photo(
            photo_id=f"unsplash:{one}",
            source=self.name,
            source_id=one,
            seen_at=now,
            page_url=page,
            image_url=image,
            width=pixels(cells["photo_width"]),
            height=pixels(cells["photo_height"]),
            title=title,
            description=text(cells["photo_description"]),
            tags_raw=raw,
            tags=normalise_tags(raw),
            author=author,
            author_url=f"https://unsplash.com/@{user}" if user else None,
            license=UNSPLASH.spdx,
            license_url=UNSPLASH.url,
            attribution=attribution(title, author, UNSPLASH, page),
            uploaded_at=moment(cells["photo_submitted_at"]),
            extra=json.dumps({name: value for name in _EXTRA if (value := text(cells[name]))}, sort_keys=True),
        )


def _spill() -> contextlib.AbstractContextManager[TextIO]:
    """A temporary file without a name: it is gone with the process, however that ends."""
    return tempfile.TemporaryFile("w+", encoding="utf-8", newline="")


def _bucket(photo_id: str, count: int) -> int:
    return zlib.crc32(photo_id.encode()) % count


def _sureness(cells: Sequence[str]) -> float:
    """How sure a keyword is, in percent; 101 where somebody said so."""
    if any(cell in ("t", "true") for cell in cells[len(_CONFIDENCES) :]):
        return 101.0
    return max(map(_percent, cells[: len(_CONFIDENCES)]))


def _percent(cell: str) -> float:
    try:
        value = float(cell) if cell else -1.0
    except ValueError:
        return -1.0
    return value if 0 <= value <= 100 else -1.0


def _tags(keywords: TextIO) -> dict[str, list[str]]:
    """Keywords by photo, the surest first; each word is held once."""
    keywords.seek(0)
    words: dict[str, str] = {}
    found: dict[str, list[tuple[float, str]]] = {}
    for photo_id, sure, word in csv.reader(keywords):
        found.setdefault(photo_id, []).append((-float(sure), words.setdefault(word, word)))
    return {photo_id: list(dict.fromkeys(word for _, word in sorted(many))) for photo_id, many in found.items()}


def _https_host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.scheme == "https" and parts.port in (None, 443) else None
    except ValueError:
        return None
