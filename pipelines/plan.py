"""`lhq crawl --plan`: what a crawl from the beginning would ask, how long its quotas make it, and how much it fetches.

For an API the first page of each search is asked, as far as the quota has room now; what was not asked is taken for the
mean of what was. Offline, or with nothing to go by, the numbers of LHQ's own crawl stand in: 450,000 photographs by
400 queries (lhq.md of the ALIS repository), divided between the sources as the 90,000 that it kept are.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from manifests.errors import InputError, SetupError
from manifests.licenses import UNKNOWN
from pipelines.engine.progress import Progress
from pipelines.sources import flickr as flickr_source
from pipelines.sources import flickr_windows
from pipelines.sources import unsplash as unsplash_source
from pipelines.sources.base import UnavailableError
from pipelines.sources.flickr_calls import Calls
from pipelines.sources.flickr_rows import photo_of
from pipelines.web.api import Api, RefusalError
from pipelines.web.fields import mapping, pixels, sequence, whole
from pipelines.web.rate import Rate

LHQ_FOUND, LHQ_QUERIES = 450_000, 400
LHQ_KEPT = {"unsplash": 64_669, "flickr": 25_331}
UNSPLASH_MOST = 200 * unsplash_source.PER_PAGE  # photos that one search shows
BYTES_PER_PIXEL = 0.23  # mean over 55 landscape photographs as published (JPEG; samples/ and Debian's wallpapers)
BYTES_PER_PIXEL_MADE = 0.35  # mean over the same, scaled to 1,024 pixels at quality 95

Size = tuple[int, int]  # width, height in pixels

ASSUMED_SIZE: Size = (5472, 3648)  # of a photograph nobody asked about: 20 megapixels, a common camera's


@dataclass(frozen=True)
class Outlook:
    """What one source would bring, and cost."""

    source: str
    photos: int  # rows listed; one photo that several searches find counts each time
    requests: int  # to the API
    hours: float  # that these take under the quota
    files: int  # to fetch
    gigabytes: float | None  # None: nothing to tell it by
    fetch_hours: float | None  # that the files take under the image rate; None: it is no limit
    basis: Sequence[str]  # what the numbers rest on


@dataclass(frozen=True)
class Choices:
    """What of the command line changes the numbers."""

    limit: int | None = None
    metadata_only: bool = False
    full_tags: bool = False
    max_side: int | None = None
    permission: bool = False
    image_rate: Rate | None = None


@dataclass(frozen=True)
class First:
    """What the first page of one search tells: how many there are, and the sizes of those on it."""

    total: int
    sizes: Sequence[Size | None] = ()  # None: not offered in a size worth fetching


def unsplash(queries: Sequence[str], rate: Rate, choices: Choices, api: Api | None) -> Outlook:
    """Searches to their empty page, a ping before each download, with `full_tags` one request for each photo."""

    def ask(api: Api, query: str) -> First:
        values = {"query": query, "page": "1", "per_page": str(unsplash_source.PER_PAGE)}
        data = mapping(api.get(f"{api.url.rstrip('/')}/search/photos", values).data)
        rows = [mapping(row) for row in sequence(data.get("results"))]
        sizes = [_size(pixels(row.get("width")), pixels(row.get("height"))) for row in rows]
        return First(min(whole(data.get("total")) or len(rows), UNSPLASH_MOST), sizes)

    firsts, basis = _asked("unsplash", list(queries), api, ask, _lhq_mean("unsplash", len(queries)))
    found = sum(one.total for one in firsts)
    photos = found if choices.limit is None else min(found, choices.limit)
    searches = sum(math.ceil(one.total / unsplash_source.PER_PAGE) + 1 for one in firsts)
    fetched = photos if choices.permission and not choices.metadata_only else 0
    requests = _part(searches, photos, found) + fetched + (photos if choices.full_tags else 0)
    if not choices.permission:
        basis.append("without --have-permission unsplash only metadata is written")
    return _outlook("unsplash", photos, requests, rate, fetched, _areas(firsts, choices.max_side), basis, choices)


def flickr(queries: Sequence[str], licenses: Sequence[str], rate: Rate, choices: Choices, api: Api | None) -> Outlook:
    """Every search under each licence, in windows of upload time."""
    now = datetime.now(UTC)

    def ask(api: Api, search: tuple[str, str]) -> First:
        query, number = search
        page = Calls(api).search(
            {**flickr_source.SEARCH, "text": query, "license": number, "page": "1", **_since_the_beginning(now)}
        )
        rows = [photo_of(mapping(row), now, number, UNKNOWN) for row in sequence(page.get("photo"))]
        sizes = [_size(row.width, row.height) if row.image_url else None for row in rows if row]
        return First(max(whole(page.get("total")) or 0, len(rows)), sizes)

    searches = [(query, number) for query in queries for number in licenses]
    firsts, basis = _asked(
        "flickr", searches, api, ask, _lhq_mean("flickr", len(queries) * len(licenses), len(queries))
    )
    found = sum(one.total for one in firsts)
    photos = found if choices.limit is None else min(found, choices.limit)
    requests = 1 + _part(sum(flickr_requests(one.total) for one in firsts), photos, found)
    choices = replace(choices, max_side=None)
    areas = _areas(firsts, None)
    large = sum(area is not None for area in areas) / len(areas) if areas else 1.0
    fetched = 0 if choices.metadata_only else round(photos * large)
    return _outlook("flickr", photos, requests, rate, fetched, areas, basis, choices)


def flickr_requests(total: int) -> int:
    """Pages read of a search with so many photos, if they were uploaded evenly over the time (`flickr_windows`)."""
    if total >= flickr_windows.HALVED_FROM:
        return 1 + flickr_requests(total // 2) + flickr_requests(total - total // 2)
    last = total % flickr_windows.PER_PAGE or min(total, flickr_windows.PER_PAGE)
    return max(1, math.ceil(total / flickr_windows.PER_PAGE)) + (last > flickr_windows.PER_PAGE // 2)


def release(sizes: Iterable[Size | None], choices: Choices) -> Outlook:
    """Of the Unsplash Dataset: every photo's size is in its files."""
    areas = [_area(size, choices.max_side) for size in itertools.islice(sizes, choices.limit)]
    basis = ["photos and their sizes are counted in the release's files"]
    fetched = 0 if choices.metadata_only else len(areas)
    return _outlook("unsplash-dataset", len(areas), 0, None, fetched, areas, basis, choices)


def local(source: str, photos: int, size: int | None, choices: Choices, what: str) -> Outlook:
    """Of a source on this machine: so many photos, so many bytes of all (None: unknown)."""
    taken = photos if choices.limit is None else min(photos, choices.limit)
    fetched = 0 if choices.metadata_only else taken
    gigabytes = None if size is None else size / 1e9 * (fetched / photos if photos else 0)
    return Outlook(source, taken, 0, 0.0, fetched, gigabytes, None, [what])


def _outlook(
    source: str,
    photos: int,
    requests: int,
    rate: Rate | None,
    fetched: int,
    areas: Sequence[float | None],
    basis: list[str],
    choices: Choices,
) -> Outlook:
    """`areas`: pixels of photos that stand for all."""
    known = [area for area in areas if area is not None]
    assumed = _area(ASSUMED_SIZE, choices.max_side) or 0.0
    area = sum(known) / len(known) if known else assumed
    per_pixel = BYTES_PER_PIXEL if choices.max_side is None else BYTES_PER_PIXEL_MADE
    if fetched:
        megapixels = f"{ASSUMED_SIZE[0] * ASSUMED_SIZE[1] / 1e6:.0f} megapixels"
        about = f"of {len(known):,} photos" if known else f"assumed: {megapixels}"
        basis.append(f"sizes {about}; {per_pixel} bytes per pixel, as measured on 55 landscape photographs")
    hours = requests * rate.seconds / rate.count / 3600 if rate else 0.0
    fetch = choices.image_rate
    return Outlook(
        source,
        photos,
        requests,
        hours,
        fetched,
        fetched * area * per_pixel / 1e9,
        fetched * fetch.seconds / fetch.count / 3600 if fetch else None,
        basis,
    )


def _area(size: Size | None, max_side: int | None) -> float | None:
    """Pixels of what is fetched of a photo of this size."""
    if size is None:
        return None
    scale = min(1.0, max_side / max(size)) if max_side else 1.0
    return size[0] * size[1] * scale**2


def _areas(firsts: Sequence[First], max_side: int | None) -> list[float | None]:
    return [_area(size, max_side) for one in firsts for size in one.sizes]


def _asked(
    source: str, searches: Sequence[Any], api: Api | None, ask: Callable[[Api, Any], First], otherwise: First
) -> tuple[list[First], list[str]]:
    """One `First` per search, asked or estimated, and a line on which."""
    answers: list[First] = []
    stopped = ""
    if api is not None:
        order = random.Random(0).sample(list(searches), len(searches))  # so that those asked stand for the others
        with Progress(f"{source}: plan", len(order), "searches") as progress:
            for search in order:
                if api.quota.wait() > 0:
                    stopped = ": the quota has no room for more now"
                    break
                try:
                    answers.append(ask(api, search))
                except UnavailableError as error:
                    stopped = f": {error}"
                    break
                except InputError as error:
                    if isinstance(error, RefusalError) and error.status not in unsplash_source.ABOUT_THE_QUERY:
                        raise SetupError(f"{source} refuses to search (HTTP {error.status}): {error}") from None
                    answers.append(First(0))  # the crawl will note why
                progress.advance(1)
    left = len(searches) - len(answers)
    if not answers:
        why = f"nothing was asked{stopped}" if api is not None else "offline"
        basis = f"{why}; estimated from LHQ's own crawl: {LHQ_FOUND:,} photos by {LHQ_QUERIES} queries"
        return [otherwise] * left, [basis]
    mean = First(round(sum(one.total for one in answers) / len(answers)))
    basis = f"first pages of {len(answers):,} of {len(searches):,} searches" + (stopped if left else "")
    return answers + [mean] * left, [basis, "a photo that several searches find counts each time"]


def _lhq_mean(source: str, searches: int, queries: int | None = None) -> First:
    """Photos per search as in LHQ's crawl."""
    per_query = LHQ_FOUND / LHQ_QUERIES * LHQ_KEPT[source] / sum(LHQ_KEPT.values())
    return First(round(per_query * (queries or searches) / max(1, searches)))


def _part(searches: int, photos: int, found: int) -> int:
    """Requests of searches that are broken off once there are enough photos."""
    return math.ceil(searches * photos / found) if found else searches


def _size(width: int | None, height: int | None) -> Size | None:
    return (width, height) if width and height else None


def _since_the_beginning(now: datetime) -> dict[str, str]:
    ((first, last),) = flickr_windows.Windows.begin(now.timestamp()).left
    return {"min_upload_date": str(first), "max_upload_date": str(last)}
