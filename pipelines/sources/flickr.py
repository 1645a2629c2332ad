"""The `flickr` source: photos under free licences, found by text (https://www.flickr.com/services/api/).

Each query is asked under one licence at a time (totals of several are wrong) and in windows of upload time
(`flickr_windows.py`). Requests are POST forms, so that no key is ever in an address.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from manifests.errors import InputError, MisuseError
from manifests.licenses import FLICKR_NOTICE, UNKNOWN, License, attribution, normalise
from manifests.records import Photo
from pipelines.sources import flickr_windows as windowing
from pipelines.sources.base import Fetcher, Found, Listing, Page, Source
from pipelines.sources.flickr_calls import Calls, NoError, judge
from pipelines.sources.flickr_rows import EXTRAS, is_public_photo, photo_of
from pipelines.sources.flickr_windows import Windows
from pipelines.sources.stored import photos_of
from pipelines.web.api import KEY, Api, checked_url
from pipelines.web.fields import mapping, stored, whole
from pipelines.web.keys import Secret
from pipelines.web.quota import Quota
from pipelines.web.rate import Rate

URL = "https://api.flickr.com/services/rest/"
HOSTS = ("live.staticflickr.com",)
LICENSES = ("2", "4", "8", "9", "10")  # of the LHQ dataset: BY-NC 2.0, BY 2.0, US government, CC0, PDM
QUOTA = Rate(3600, 3600.0)  # under 3,600 an hour across the whole key

_REFUSED = "refused: "  # begins the cursor of a query that the API does not answer
SEARCH = {  # in every search
    "sort": "date-posted-asc",
    "media": "photos",
    "content_type": "1",  # photographs, no screenshots
    "safe_search": "1",
    "extras": EXTRAS,
    "per_page": str(windowing.PER_PAGE),
}


def connect(key: Secret, quota: Quota, user_agent: str, *, url: str = URL, **more: Any) -> Api:
    """The API under this key; `url` is for tests (LHQ_FLICKR_URL), `more` goes to `Api`."""
    form = {"api_key": KEY, "format": "json", "nojsoncallback": "1"}
    return Api("Flickr", checked_url(url, "LHQ_FLICKR_URL"), key, quota, user_agent, form=form, judge=judge, **more)


class Flickr(Source):
    """Photos that the queries find under the licences, given by Flickr's numbers.

    Raises MisuseError for numbers that are none, or for 0, which is All Rights Reserved.
    """

    name = "flickr"

    def __init__(
        self, queries: Sequence[str], api: Api, fetcher: Fetcher, *, licenses: Sequence[str] = LICENSES
    ) -> None:
        if not licenses or not all(re.fullmatch(r"[1-9][0-9]{0,2}", one) for one in licenses):
            raise MisuseError("--flickr-licenses: give Flickr's licence numbers, such as 2,4,8,9,10 (0 is no licence)")
        self._queries, self._api, self._fetcher = list(dict.fromkeys(queries)), api, fetcher
        self._calls = Calls(api)
        self._asked = list(dict.fromkeys(licenses))
        self._licenses: dict[str, License] = {}  # what Flickr's numbers mean, of all it has
        self._left_out = Counter[str]()
        self._remarks: list[str] = []

    def pages(self, listing: Listing) -> Iterator[Page]:
        """The licences, once; then every query under each, window by window in order of upload."""
        yield from self._learn_licenses(listing, "licenses")
        for query in self._queries:
            for number in self._asked:
                task = f"search {number} {query}"
                cursor = listing.cursor(task)
                if not listing.is_done(task):
                    yield from self._search(query, number, task, cursor)
                elif cursor and cursor.startswith(_REFUSED):
                    self._remarks.append(f"query {query!r} is refused by Flickr: {cursor.removeprefix(_REFUSED)}")

    def recheck(self, listing: Listing) -> Iterator[Page]:
        """Every known photo looked up: its licence as it is now, and `gone` in `extra` where Flickr has it no more."""
        yield from self._learn_licenses(listing, "recheck licenses")
        after = listing.cursor("recheck") or ""
        for photo in photos_of(listing):
            if photo.photo_id > after:
                yield Page([Found(self._looked_up(photo), None)], "recheck", photo.photo_id)

    def prepare(self, photo: Mapping[str, Any]) -> str | None:
        """The address of the largest size; InputError where Flickr offers none."""
        if not photo["image_url"]:
            raise InputError("Flickr offers no size of 1,024 pixels or more")
        return str(photo["image_url"])

    def fetcher(self) -> Fetcher:
        return self._fetcher

    def stop(self) -> None:
        self._api.stop()

    def notes(self) -> Sequence[str]:
        left_out = [f"left out: {what} ({count:,})" for what, count in sorted(self._left_out.items())]
        return [*left_out, *dict.fromkeys(self._remarks), FLICKR_NOTICE]

    def _search(self, query: str, number: str, task: str, cursor: str | None) -> Iterator[Page]:
        windows = Windows.read(cursor) or Windows.begin(time.time())
        seen = set[str]()  # ids in the window being read
        while not windows.done:
            window = windows.left[0]
            times = {"min_upload_date": str(window[0]), "max_upload_date": str(window[1]), "page": str(windows.page)}
            try:
                photos = self._calls.search({**SEARCH, **times, "text": query, "license": number})
            except NoError as error:
                self._remarks.append(f"query {query!r} is refused by Flickr: {error}")
                yield Page((), task, f"{_REFUSED}{error}", done=True)
                return
            rows = [mapping(row) for row in photos["photo"]]
            ids = {str(row.get("id")) for row in rows}
            answer = windowing.Answer(
                len(rows), len(ids - seen), whole(photos.get("total")), whole(photos.get("pages"))
            )
            found = list(self._found(rows, query, windows.rank))
            step = windowing.after(windows, answer)
            if step.lost:
                self._remarks.append(f"query {query!r}, licence {number}: {step.lost}; some may be missing")
            windows, seen = step.windows, seen | ids if step.windows.left[:1] == (window,) else set()
            yield Page(found, task, windows.written(), done=windows.done)

    def _found(self, rows: Sequence[Mapping[str, Any]], query: str, rank: int) -> Iterator[Found]:
        now = datetime.now(UTC)
        for at, row in enumerate(rows):
            number = str(row.get("license"))
            if not is_public_photo(row):
                self._left_out["rows that are no public photo"] += 1
            elif number not in self._asked:
                self._left_out["photos under another licence than asked for"] += 1
            elif photo := photo_of(row, now, number, self._licenses[number]):
                yield Found(photo, query, rank + at)
            else:
                self._left_out["rows without an id"] += 1

    def _learn_licenses(self, listing: Listing, task: str) -> Iterator[Page]:
        """What Flickr's numbers mean: asked once per dataset and recheck, because the numbers are Flickr's to give."""
        told = _licenses(listing.cursor(task)) if listing.is_done(task) else None
        if told is None:
            told = self._calls.licenses()
            yield Page((), task, json.dumps(told, sort_keys=True), done=True)
        for number, (name, url) in told.items():
            self._licenses[number] = next((one for one in map(normalise, (url, name)) if one != UNKNOWN), UNKNOWN)
        for number in self._asked:
            if self._licenses.get(number, UNKNOWN) == UNKNOWN:
                known = ", ".join(number for number, one in self._licenses.items() if one != UNKNOWN)
                raise MisuseError(f"--flickr-licenses: {number} is no free licence of Flickr's; those are {known}")

    def _looked_up(self, photo: Photo) -> Photo:
        now, extra = datetime.now(UTC), mapping(stored(photo.extra))
        extra.pop("gone", None)
        told = self._calls.photo(photo.source_id)
        number = str(told.get("license")) if told else None
        if told is None:
            extra["gone"] = True
        elif number != extra.get("license_id") and number in self._licenses:
            extra |= {"license_id": number, "license_before": photo.license}
            new = self._licenses[number]
            credit = attribution(photo.title, photo.author, new, photo.page_url)
            photo = dataclasses.replace(photo, license=new.spdx, license_url=new.url, attribution=credit)
        return dataclasses.replace(photo, seen_at=now, extra=json.dumps(extra, sort_keys=True))


def _licenses(cursor: str | None) -> Mapping[str, Sequence[str | None]] | None:
    """Name and address by number, as they were noted; None where that is none."""
    told = mapping(stored(cursor))
    pairs = [pair if isinstance(pair, list) else [] for pair in told.values()]
    if not pairs or any(len(pair) != 2 or any(not isinstance(one, str | None) for one in pair) for pair in pairs):
        return None
    return told
