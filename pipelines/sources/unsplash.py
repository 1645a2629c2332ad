"""The `unsplash` source: the official search API, politely (https://unsplash.com/documentation).

Search rows are brief: their tags are few and deprecated, so `full_tags` asks for each photo's details too. Before a
download the photo's `download_location` is called exactly as it was given, as the API's guidelines demand.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from manifests.errors import InputError, SetupError
from manifests.licenses import UNSPLASH, attribution
from manifests.records import Photo
from manifests.tags import normalise_tags
from pipelines.sources.base import Fetcher, Found, Listing, Page, RefusedError, Source, UnavailableError
from pipelines.sources.stored import photos_of
from pipelines.web.api import KEY, Api, RefusalError, Trouble, checked_url
from pipelines.web.fields import mapping, moment, pixels, sequence, stored, text, whole
from pipelines.web.keys import UNSPLASH_KEY, Secret
from pipelines.web.quota import Quota
from pipelines.web.rate import Rate

URL = "https://api.unsplash.com"
HOSTS = ("images.unsplash.com",)
PER_PAGE = 30  # the most the API gives
QUOTA = Rate(50, 3600.0)  # of a demo key
ABOUT_THE_QUERY = (400, 410, 422)  # with these statuses one search is refused; with others, we are
LAST_PAGE = 1_000  # the API ends at 200; nothing may go on for ever
NO_PERMISSION = (
    "Unsplash does not allow its API to be used for machine learning and points to the Unsplash Dataset "
    "(--source unsplash-dataset): metadata only; with a permission of theirs, add --have-permission unsplash"
)
JPEG_QUALITY = 95  # of pictures that are made smaller on the way

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
PREMIUM = "premium photos"
_REFUSED = "refused: "  # begins the cursor of a query that the API does not answer
_CREDIT = {"utm_source": "lhq_toolkit", "utm_medium": "referral"}  # links in credits carry it (API guidelines)


def connect(key: Secret, quota: Quota, user_agent: str, *, url: str = URL, **more: Any) -> Api:
    """The API under this key; `url` is for tests (LHQ_UNSPLASH_URL), `more` goes to `Api`."""
    headers = {"Authorization": f"Client-ID {KEY}", "Accept-Version": "v1"}
    return Api(
        "Unsplash", checked_url(url, "LHQ_UNSPLASH_URL"), key, quota, user_agent, headers=headers, judge=judge, **more
    )


def judge(data: Any) -> Trouble | None:
    """What is passingly wrong with a reply: every good one is an object."""
    return None if isinstance(data, dict) else Trouble("the reply is not what the API sends", 200)


class Unsplash(Source):
    """Photos that the queries find. `permission`: Unsplash has allowed this use; without it nothing is downloaded.

    `max_side`: the longer side of the pictures fetched, in pixels (never enlarged); None: as uploaded.
    """

    name = "unsplash"

    def __init__(
        self,
        queries: Sequence[str],
        api: Api,
        fetcher: Fetcher,
        *,
        permission: bool = False,
        max_side: int | None = None,
        full_tags: bool = False,
    ) -> None:
        self.no_download = None if permission else NO_PERMISSION
        self._queries, self._api, self._fetcher = list(dict.fromkeys(queries)), api, fetcher
        self._base = api.url.rstrip("/")
        self._max_side, self._full_tags = max_side, full_tags
        self._skipped = Counter[str]()
        self._refused: dict[str, str] = {}

    def pages(self, listing: Listing) -> Iterator[Page]:
        """Every query to its empty page; then, with `full_tags`, the details of every photo that lacks them."""
        for query in self._queries:
            task = f"search {query}"
            if not listing.is_done(task):
                yield from self._search(query, task, whole(listing.cursor(task)) or 1)
            elif (told := listing.cursor(task) or "").startswith(_REFUSED):
                self._refused[query] = told.removeprefix(_REFUSED)
        if self._full_tags:
            yield from self._details(listing, "details", lambda extra: not extra.get("full_tags"))

    def recheck(self, listing: Listing) -> Iterator[Page]:
        """Every known photo looked up: `extra` tells `gone` where Unsplash has it no more, `premium` where it sells
        it."""
        yield from self._details(listing, "recheck", lambda _: True, after=listing.cursor("recheck") or "")

    def prepare(self, photo: Mapping[str, Any]) -> str | None:
        """Call the photo's `download_location`, then give the address of its picture, with the size asked for."""
        place = text(mapping(stored(photo["extra"])).get("download_location"))
        if place is None or not photo["image_url"]:
            raise InputError("Unsplash named no place to download it from")
        try:
            self._ask(place)
        except RefusalError as error:
            raise RefusedError(f"Unsplash gives no download: {error}", error.status) from None
        return sized(photo["image_url"], self._max_side)

    def fetcher(self) -> Fetcher:
        return self._fetcher

    def stop(self) -> None:
        self._api.stop()

    def notes(self) -> Sequence[str]:
        lines = [f"left out: {what} ({count:,})" for what, count in sorted(self._skipped.items())]
        return lines + [f"query {query!r} is refused by Unsplash: {why}" for query, why in self._refused.items()]

    def _search(self, query: str, task: str, first: int) -> Iterator[Page]:
        for number in range(first, LAST_PAGE + 1):
            try:
                values = {"query": query, "page": str(number), "per_page": str(PER_PAGE)}
                rows = self._ask(f"{self._base}/search/photos", values).get("results")
            except RefusalError as error:
                if error.status not in ABOUT_THE_QUERY:
                    raise SetupError(f"Unsplash refuses to search (HTTP {error.status}): {error}") from None
                self._refused[query] = str(error)
                yield Page((), task, f"{_REFUSED}{error}", done=True)
                return
            if not isinstance(rows, list):
                raise UnavailableError("Unsplash's search replies without results", 200)
            found = list(self._found(rows, query, (number - 1) * PER_PAGE))
            yield Page(found, task, str(number + 1), done=not rows)
            if not rows:
                return
        self._skipped[f"pages of {query!r} after page {LAST_PAGE}"] += 1

    def _found(self, rows: Sequence[Any], query: str, rank: int) -> Iterator[Found]:
        now = datetime.now(UTC)
        for at, row in enumerate(rows):
            if why := _unwanted(mapping(row)):
                self._skipped[why] += 1
            elif photo := _photo(row, now, full=False):
                yield Found(photo, query, rank + at, brief=True)
            else:
                self._skipped["rows without an id or an address"] += 1

    def _details(self, listing: Listing, task: str, wanted: Any, after: str = "") -> Iterator[Page]:
        """One page per photo, in order of id; the task's cursor is the last one's id."""
        for photo in photos_of(listing):
            extra = mapping(stored(photo.extra))
            if photo.photo_id <= after or not wanted(extra):
                continue
            now = datetime.now(UTC)
            try:
                row = self._ask(f"{self._base}/photos/{photo.source_id}")
            except RefusalError as error:
                if error.status not in (403, 404, 410):
                    raise SetupError(f"Unsplash refuses to tell of {photo.photo_id} (HTTP {error.status})") from None
                gone = {} if error.status == 403 else {"gone": True}
                found = _with_extra(photo, now, extra | gone | {"full_tags": True})
            else:
                found = _photo(row, now, full=True) or photo
                if found.photo_id != photo.photo_id:  # not the photo asked for: what is stored stays
                    found = _with_extra(photo, now, extra | {"full_tags": True})
                elif _unwanted(row) == PREMIUM:
                    found = _with_extra(found, now, mapping(stored(found.extra)) | {"premium": True})
            yield Page([Found(found, None)], task, photo.photo_id)

    def _ask(self, url: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
        try:
            return mapping(self._api.get(url, params).data)
        except RefusalError as error:
            if error.status == 401:
                raise SetupError(f"Unsplash does not accept {UNSPLASH_KEY} ({error}): mend it") from None
            raise


def sized(raw: str, max_side: int | None) -> str:
    """The raw address with imgix parameters that fit the picture into a square, never enlarging it."""
    if max_side is None:
        return raw
    try:
        parts = urlsplit(raw)
    except ValueError:  # no address: it is refused as it is
        return raw
    wanted = {"fm": "jpg", "q": str(JPEG_QUALITY), "w": str(max_side), "h": str(max_side), "fit": "max"}
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in wanted]
    return urlunsplit(parts._replace(query=urlencode([*kept, *wanted.items()])))


def _unwanted(row: Mapping[str, Any]) -> str | None:
    """Why a row of the search is no photo for us."""
    raw = text(mapping(row.get("urls")).get("raw")) or ""
    if row.get("sponsorship"):
        return "advertisements"
    if row.get("premium") or row.get("plus") or re.match(r"https?://plus\.unsplash\.com[/:]", raw, re.IGNORECASE):
        return PREMIUM
    if row.get("asset_type", "photo") not in ("photo", None):
        return "rows that are no photo"
    return None


def _photo(row: Any, now: datetime, *, full: bool) -> Photo | None:
    """The table's row of one photo; None where it has no usable id or address."""
    row = mapping(row)
    one, raw = text(row.get("id")), text(mapping(row.get("urls")).get("raw"))
    if one is None or not _ID.fullmatch(one) or raw is None:
        return None
    links, user = mapping(row.get("links")), mapping(row.get("user"))
    title, author, page = text(row.get("alt_description")), _name(user), text(links.get("html"))
    tags = [tag for one in sequence(row.get("tags")) if (tag := text(mapping(one).get("title")))]
    extra = {"download_location": text(links.get("download_location"))}
    return Photo(
        photo_id=f"unsplash:{one}",
        source=Unsplash.name,
        source_id=one,
        seen_at=now,
        page_url=page,
        image_url=raw,
        width=pixels(row.get("width")),
        height=pixels(row.get("height")),
        title=title,
        description=text(row.get("description")),
        tags_raw=tuple(tags),
        tags=normalise_tags(tags),
        author=author,
        author_url=text(mapping(user.get("links")).get("html")),
        license=UNSPLASH.spdx,
        license_url=UNSPLASH.url,
        attribution=attribution(title, author, UNSPLASH, f"{page}?{urlencode(_CREDIT)}" if page else None),
        uploaded_at=moment(row.get("created_at")),
        extra=json.dumps(extra | ({"full_tags": True} if full else {}), sort_keys=True),
    )


def _name(user: Mapping[str, Any]) -> str | None:
    parts = [part for part in (text(user.get("first_name")), text(user.get("last_name"))) if part]
    return text(user.get("name")) or " ".join(parts) or text(user.get("username"))


def _with_extra(photo: Photo, now: datetime, extra: Mapping[str, Any]) -> Photo:
    return dataclasses.replace(photo, seen_at=now, extra=json.dumps(extra, sort_keys=True))
