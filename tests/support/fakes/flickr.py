"""The made-up Flickr API: search with its quirks, licences, details; errors come with HTTP 200."""

from __future__ import annotations

import json
import re
from typing import Any

from fakes.chance import number, pick, token, unit
from fakes.faults import Fault
from fakes.messages import Reply, Request, as_json
from fakes.world import LAST_UPLOAD, Shot, World

KEY = "flickrtestkey4e07408562bedb8b60ce05c1decfe3ad"
SECRET = "flickrtestsecret4b227777d4dd1fc6"
MOST_FOUND = 4000  # behind them earlier pages come again
MOST_PER_PAGE = 500
UNDER_REPORT = 750
SIDES = {"6k": 6144, "5k": 5120, "4k": 4096, "3k": 3072, "k": 2048, "h": 1600, "l": 1024}  # longest side, pixels
ALWAYS = ("id", "owner", "secret", "server", "farm", "title", "ispublic", "isfriend", "isfamily")
EXTRAS = {
    "license": ("license",),
    "description": ("description",),
    "date_upload": ("dateupload",),
    "date_taken": ("datetaken", "datetakengranularity", "datetakenunknown"),
    "owner_name": ("ownername",),
    "tags": ("tags",),
    "o_dims": ("o_width", "o_height"),
    "original_format": ("originalsecret", "originalformat"),
    "media": ("media", "media_status"),
    "path_alias": ("pathalias",),
    "views": ("views",),
    **{f"url_{size}": (f"url_{size}", f"width_{size}", f"height_{size}") for size in ("o", *SIDES)},
}
LICENSES = {
    "0": ("All Rights Reserved", ""),
    "1": ("CC BY-NC-SA 2.0", "https://creativecommons.org/licenses/by-nc-sa/2.0/"),
    "2": ("CC BY-NC 2.0", "https://creativecommons.org/licenses/by-nc/2.0/"),
    "3": ("CC BY-NC-ND 2.0", "https://creativecommons.org/licenses/by-nc-nd/2.0/"),
    "4": ("CC BY 2.0", "https://creativecommons.org/licenses/by/2.0/"),
    "5": ("CC BY-SA 2.0", "https://creativecommons.org/licenses/by-sa/2.0/"),
    "6": ("CC BY-ND 2.0", "https://creativecommons.org/licenses/by-nd/2.0/"),
    "7": ("No known copyright restrictions", "https://www.flickr.com/commons/usage/"),
    "8": ("United States Government Work", "http://www.usa.gov/copyright.shtml"),
    "9": ("Public Domain Dedication (CC0)", "https://creativecommons.org/publicdomain/zero/1.0/"),
    "10": ("Public Domain Mark", "https://creativecommons.org/publicdomain/mark/1.0/"),
    "11": ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "12": ("CC BY-SA 4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
    "13": ("CC BY-ND 4.0", "https://creativecommons.org/licenses/by-nd/4.0/"),
    "14": ("CC BY-NC 4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
    "15": ("CC BY-NC-SA 4.0", "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
    "16": ("CC BY-NC-ND 4.0", "https://creativecommons.org/licenses/by-nc-nd/4.0/"),
}


class FlickrApi:
    """Answers as api.flickr.com/services/rest/ does; `images` is the address of the image host."""

    def __init__(self, world: World, images: str) -> None:
        self.world, self.images = world, images
        self._rows: dict[str, dict[str, Any]] = {}

    def item(self, request: Request) -> str:
        """What the request is about: `search TEXT LICENCE FIRST LAST PAGE`, `details ID` or another method.

        LAST is `now` where no photo is younger, so that the faults of a plan do not depend on the time of day.
        """
        form = dict(request.form)
        if form.get("max_upload_date", "").isdigit() and int(form["max_upload_date"]) >= LAST_UPLOAD:
            form["max_upload_date"] = "now"
        method = form.get("method", "")
        if method == "flickr.photos.search":
            names = ("text", "license", "min_upload_date", "max_upload_date", "page")
            return " ".join(["search", *(form.get(name, "") for name in names)])
        return f"details {form.get('photo_id', '')}" if method == "flickr.photos.getInfo" else method

    def answer(self, request: Request, fault: Fault | None) -> Reply:
        """The honest reply; the fault may falsify its total."""
        form = request.form
        signed = re.search(r'oauth_consumer_key="([^"]*)"', request.headers.get("Authorization", ""))
        key = form.get("api_key") or (signed[1] if signed else "")
        if request.method != "POST":
            return _fail(1, "These tests want no key in an address: POST a form")
        if key != KEY:
            return _fail(100, "Invalid API Key (Key has invalid format)")
        if form.get("format") != "json" or form.get("nojsoncallback") != "1":
            return Reply(200, b'<?xml version="1.0" encoding="utf-8" ?>\n<rsp stat="ok"></rsp>', "text/xml")
        match form.get("method"):
            case "flickr.photos.search":
                return self._search(request, fault)
            case "flickr.photos.licenses.getInfo":
                rows = [{"id": int(one), "name": name, "url": url} for one, (name, url) in LICENSES.items()]
                return as_json({"licenses": {"license": rows}, "stat": "ok"})
            case "flickr.photos.getInfo":
                return self._details(form.get("photo_id", ""))
        return _fail(112, f'Method "{form.get("method")}" not found')

    def _search(self, request: Request, fault: Fault | None) -> Reply:
        form = request.form
        text, first, last = (form.get(name, "") for name in ("text", "min_upload_date", "max_upload_date"))
        if not text:
            return _fail(3, "Parameterless searches have been disabled. Please use flickr.photos.getRecent instead.")
        found = [
            shot
            for license_ in form.get("license", "").split(",")
            for shot in self.world.find_flickr(text, license_, int(first or 0), int(last or 2**40))
        ]
        found.sort(key=lambda shot: (shot.uploaded, shot.id), reverse=form.get("sort") != "date-posted-asc")
        page, size = max(1, int(form.get("page", "1"))), min(MOST_PER_PAGE, int(form.get("per_page", "100")))
        total: int | str = len(found)
        note = ""
        if page > MOST_FOUND // size and len(found) > MOST_FOUND:
            page, note = 1 + (page - 1) % (MOST_FOUND // size), "repeated_page"
        rows = found[(page - 1) * size : page * size]
        pages = -(-len(found) // size)
        match fault.kind if fault else pick(["number", "total_text"], "total", self.item(request)):
            case "total_low":
                total = max(0, len(found) - UNDER_REPORT)
                pages = -(-total // size)
            case "total_empty":
                total = ""
            case "total_text":
                total = str(len(found))
        extras = {name for extra in form.get("extras", "").split(",") for name in EXTRAS.get(extra, ())}
        wanted = extras.union(ALWAYS)
        every = [{name: value for name, value in self._row(shot).items() if name in wanted} for shot in rows]
        reply = as_json(
            {"photos": {"page": page, "pages": pages, "perpage": size, "total": total, "photo": every}, "stat": "ok"}
        )
        reply.note = note
        return reply

    def _row(self, shot: Shot) -> dict[str, Any]:
        """All that the search can tell of a photo; made once."""
        if shot.id not in self._rows:
            self._rows[shot.id] = self._made(shot)
        return {**self._rows[shot.id], "license": self.world.license_of(shot)}

    def _made(self, shot: Shot) -> dict[str, Any]:
        width, height = shot.promised
        stored = (height, width) if shot.turned and unit("dims", shot.id) < 0.5 else (width, height)
        row: dict[str, Any] = {
            "id": shot.id,
            "owner": f"{number('owner', shot.author) % 10**8}@N0{number('owner', shot.author) % 9}",
            "secret": token(10, "secret", shot.id),
            "server": "65535",
            "farm": 66,
            "title": pick(["Evening", "", "Зимний лес"], "title", shot.id),
            "ispublic": 1,
            "isfriend": 0,
            "isfamily": 0,
            "description": {"_content": pick(["", "<b>Seen</b> on a walk &amp; liked"], "description", shot.id)},
            "o_width": str(stored[0]),
            "o_height": str(stored[1]),
            "dateupload": str(shot.uploaded),
            "datetaken": pick(["2019-09-07 16:26:44", "2019-00-01 00:00:00", "0000-00-00 00:00:00"], "taken", shot.id),
            "datetakengranularity": "0",
            "datetakenunknown": pick(["0", 1], "unknown", shot.id),
            "ownername": shot.author,
            "views": "70",
            "tags": " ".join(re.sub(r"\W", "", tag.casefold()) for tag in shot.tags),
            "originalsecret": token(10, "original", shot.id),
            "originalformat": "jpg",
            "media": "photo",
            "media_status": "ready",
            "pathalias": pick([None, f"alias{number('owner', shot.author) % 10**8}"], "alias", shot.author),
        }
        kind = pick([int, str], "kind", shot.id)
        for size in sizes(shot):
            longest = max(width, height)
            scale = 1.0 if size == "o" else SIDES[size] / longest
            shown = stored if size == "o" else (width, height)
            row[f"url_{size}"] = self.images + image_path(shot, size)
            row[f"width_{size}"], row[f"height_{size}"] = (kind(round(side * scale)) for side in shown)
        return row

    def _details(self, one: str) -> Reply:
        shot = self.world.shots.get(f"flickr:{one}")
        if shot is None or shot.photo_id in self.world.gone:
            return _fail(1, f'Photo "{one}" not found (invalid ID)')
        photo = {
            "id": shot.id,
            "license": self.world.license_of(shot),
            "owner": {"nsid": "1@N01", "username": shot.author, "realname": ""},
            "title": {"_content": ""},
            "visibility": {"ispublic": 1, "isfriend": 0, "isfamily": 0},
            "media": "photo",
        }
        return as_json({"photo": photo, "stat": "ok"})


def sizes(shot: Shot) -> list[str]:
    """The sizes that the search offers: the original is missing for some, the others must be smaller than it."""
    longest = max(shot.promised)
    offered = ["o"] if unit("original", shot.id) < 0.7 else []
    return offered + [
        size for size, side in SIDES.items() if (side < longest and unit(size, shot.id) < 0.8) or size == "l"
    ]


def image_path(shot: Shot, size: str) -> str:
    """Where the image host keeps one size; from 1,600 pixels on each has a secret of its own."""
    secret = {"l": token(10, "secret", shot.id), "o": token(10, "original", shot.id)}.get(
        size, token(10, size, shot.id)
    )
    return f"/65535/{shot.id}_{secret}_{'b' if size == 'l' else size}.jpg"


def _fail(code: int, message: str) -> Reply:
    return as_json({"stat": "fail", "code": code, "message": message})


def unavailable(item: str) -> Reply:
    """The ways in which the service says that it is down, all with HTTP 200."""
    sorry = "Sorry, the Flickr API service is not currently available."
    way = number("unavailable", item) % 4
    if way == 0:
        return _fail(105, "Service currently unavailable")
    if way == 1:
        return _fail(10, "Sorry, the Flickr search API is not currently available.")
    if way == 2:
        return _fail(0, sorry)
    return Reply(200, json.dumps({"stat": "fail", "code": 201, "message": sorry})[:-1].encode() + b"},", "text/xml")
