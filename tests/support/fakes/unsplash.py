"""The made-up Unsplash API: search, details, the download ping."""

from __future__ import annotations

from typing import Any

from fakes.chance import number, pick, token, unit
from fakes.faults import Fault
from fakes.messages import Reply, Request, as_json
from fakes.world import Shot, World

KEY = "UnsplashTestKey-9f86d081884c7d659a2feaa0c55ad015"
PAGES = 200  # a later page is empty, whatever the query
MOST_PER_PAGE = 30
MOST_TOTAL = 10_000


class UnsplashApi:
    """Answers as api.unsplash.com does; `base` and `images` are the addresses of the two hosts."""

    def __init__(self, world: World, base: str, images: str) -> None:
        self.world, self.base, self.images = world, base, images

    def item(self, request: Request) -> str:
        """What the request is about: `search QUERY PAGE`, `details ID` or `ping ID`."""
        parts = request.path.strip("/").split("/")
        if request.path == "/search/photos":
            return f"search {request.query.get('query', '')} {request.query.get('page', '1')}"
        if len(parts) == 2 and parts[0] == "photos":
            return f"details {parts[1]}"
        if len(parts) == 3 and parts[0] == "photos" and parts[2] == "download":
            return f"ping {parts[1]}"
        return f"unknown {request.path}"

    def answer(self, request: Request, fault: Fault | None) -> Reply:
        """The honest reply, with quota headers that a cache may have made old."""
        if request.headers.get("Authorization") != f"Client-ID {KEY}":
            return as_json({"errors": ["OAuth error: The access token is invalid"]}, 401)
        kind, _, rest = self.item(request).partition(" ")
        if kind == "search":
            reply = self._search(request)
        elif kind in ("details", "ping"):
            shot = self.world.shots.get(f"unsplash:{rest}")
            if shot is None or shot.photo_id in self.world.gone:
                reply = as_json({"errors": ["Couldn't find Photo"]}, 404)
            elif kind == "details":
                reply = as_json({**self._row(shot), **_details(shot)})
            else:
                reply = self._ping(request, shot)
        else:
            reply = as_json({"errors": ["The requested resource could not be found."]}, 404)
        reply.headers |= {"X-Ratelimit-Limit": "5000", "X-Ratelimit-Remaining": "4991", "X-Unsplash-Version": "v1"}
        if fault is not None and fault.kind == "stale_quota":
            reply.headers |= {"X-Ratelimit-Remaining": "0", "Age": "2356", "X-Cache": "MISS, HIT"}
        return reply

    def _search(self, request: Request) -> Reply:
        text = request.query.get("query", "")
        if not text:
            return as_json({"errors": ["query is missing"]}, 400)
        if text in self.world.spam:
            return as_json({"errors": ["Query flagged as spam"]}, 410)
        page = max(1, int(request.query.get("page", "1")))
        size = min(MOST_PER_PAGE, int(request.query.get("per_page", "10")))
        found = self.world.find_unsplash(text)
        total = min(len(found), MOST_TOTAL)
        rows = [] if page > PAGES else found[(page - 1) * size : page * size]
        pages = -(-total // size) if page <= PAGES else 0
        answer = {"total": total, "total_pages": pages, "results": [self._row(shot) for shot in rows]}
        reply = as_json(answer, X_Total=str(total + 1), X_Per_Page=str(size))
        reply.headers["Warning"] = "The tags property in this endpoint is deprecated."
        if page > PAGES and len(found) > PAGES * size:
            reply.note = "page_cap"
        return reply

    def _ping(self, request: Request, shot: Shot) -> Reply:
        if request.query.get("ixid") != ixid(shot) or "&" in request.target:
            return as_json({"errors": ["download_location must be called as it was given"]}, 400)
        return as_json({"url": f"{self.images}{image_path(shot)}?ixid={ixid(shot)}&q=85&fm=jpg&crop=entropy&cs=srgb"})

    def _row(self, shot: Shot) -> dict[str, Any]:
        raw = f"{self.images}{image_path(shot)}?ixid={ixid(shot)}&ixlib=rb-4.0.3"
        width, height = shot.promised
        slug = f"a-picture-{shot.id}"
        names = {"name": shot.author, "first_name": shot.author.split()[0], "last_name": shot.author.split()[1]}
        row = {
            "id": shot.id,
            "slug": slug,
            "created_at": pick(["2023-06-21T15:14:49Z", "2019-03-01T02:03:04-04:00"], "created", shot.id),
            "updated_at": "2023-09-03T17:39:23Z",
            "promoted_at": None,
            "width": width,
            "height": height,
            "color": pick(["#404026", None], "color", shot.id),
            "blur_hash": pick(["L7E.;E5jk:}?m-%49uS%4m%GxVE0", None], "blur", shot.id),
            "description": pick(["Evening, at last", None, ""], "description", shot.id),
            "alt_description": pick(["a lake between two mountains", None], "alt", shot.id),
            "breadcrumbs": [],
            "urls": {
                "raw": raw,
                "full": f"{raw}&q=85&fm=jpg&crop=entropy&cs=srgb",
                "regular": f"{raw}&w=1080",
                "small": f"{raw}&w=400",
                "thumb": f"{raw}&w=200",
            },
            "links": {
                "self": f"{self.base}/photos/{slug}",
                "html": f"https://unsplash.com/photos/{slug}",
                "download": f"https://unsplash.com/photos/{shot.id}/download?ixid={ixid(shot)}",
                "download_location": f"{self.base}/photos/{shot.id}/download?ixid={ixid(shot)}",
            },
            "likes": number("likes", shot.id) % 500,
            "sponsorship": None,
            "topic_submissions": {},
            "user": {
                "id": token(11, "user", shot.author),
                "username": f"user{number('author', shot.id) % 997}",
                **names,
                "location": None,
                "portfolio_url": None,
                "links": {"html": f"https://unsplash.com/@user{number('author', shot.id) % 997}"},
                "social": {"instagram_username": None},
            },
            "tags": [{"type": "search", "title": shot.tags[0].lower()}] if shot.tags else [],
        }
        if unit("mononym", shot.id) < 0.2:
            row["user"] |= {"name": None, "last_name": None}
        if shot.kind == "sponsored":
            row["sponsorship"] = {"impression_urls": [], "tagline": "Buy it", "sponsor": {"id": "ad"}}
        if shot.kind == "premium":
            way = number("premium", shot.id) % 3
            row |= {"premium": way == 0, "plus": way == 1}
            if way == 2:
                row["urls"] = {name: url.replace("images.", "plus.") for name, url in row["urls"].items()}
                row["urls"]["raw"] = f"https://plus.unsplash.com{image_path(shot)}?ixid={ixid(shot)}"
        return row


def ixid(shot: Shot) -> str:
    """The tracking token that belongs to the photo's addresses."""
    return f"M3wx{token(20, 'ixid', shot.id)}"


def image_path(shot: Shot) -> str:
    """Where the image host keeps it; the photo's id does not stand there."""
    return f"/photo-{1_600_000_000_000 + number('path', shot.id) % 10**11}-{token(12, 'path', shot.id)}"


def _details(shot: Shot) -> dict[str, Any]:
    place = {"latitude": 46.5, "longitude": 7.9} if unit("place", shot.id) < 0.5 else {}
    return {
        "tags": [{"type": "landing_page", "title": tag, "source": {}} for tag in shot.tags],
        "exif": {"make": None, "model": None, "iso": None} if unit("exif", shot.id) < 0.5 else None,
        "location": {"name": None, "city": None, "country": None, "position": {"latitude": None, **place}},
        "downloads": 12,
        "views": 345,
        "public_domain": False,
    }
