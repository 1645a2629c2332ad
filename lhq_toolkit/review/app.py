"""The web application of the review: a page of our own files, and what it asks for as JSON and JPEG."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi import Query as InAddress
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, StringConstraints

from lhq_toolkit.pages.serving import app_of, refusal
from lhq_toolkit.review.desk import Desk, GoneError
from lhq_toolkit.review.index import Query
from manifests import store
from manifests.errors import InputError, LhqError
from manifests.thumbnails import reduced, thumbnail

PAGE = Path(__file__).parent / "page"
FILES = "index.html", "page.js", "lists.js", "grid.js", "server.js", "show.js", "style.css"
VIEW = 1920, 1440  # pixels into which a single picture fits
VIEWS_KEPT = 24  # single pictures kept in memory, about half a megabyte each
LARGE = 40_000_000  # pixels: only one picture of this size is decoded at once
KEPT_BY_BROWSER = {"Cache-Control": "private, max-age=600"}  # seconds; short, for a photo may be taken down

Text = Annotated[str, StringConstraints(max_length=4096)]
Kind = Literal[
    "all", "in", "out", "sample", "stage", "near", "author", "disagreements", "keep", "reject", "flag"
]  # as in review.index


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _List(_Body):
    kind: Kind = "in"
    stage: Text | None = None
    reason: Text | None = None
    author: Text | None = None
    undecided: bool = True
    sort: Text | None = None
    down: bool = False


class _Decide(_Body):
    photo: Text
    verdict: Literal["keep", "reject", "flag", "undecided"]
    token: Annotated[str, StringConstraints(min_length=8, max_length=64)]


class _Undo(_Body):
    token: Annotated[str, StringConstraints(min_length=8, max_length=64)]


def make_app(desk: Desk, decoders: int = 2) -> FastAPI:
    """The application; `decoders` pictures are decoded at once."""
    app = app_of(PAGE, FILES)
    pictures = _Pictures(desk, decoders)

    @app.exception_handler(LhqError)
    def trouble(request: Request, error: LhqError) -> Response:  # noqa: ARG001
        return refusal(503, str(error))

    @app.get("/api/start")
    def start(request: Request) -> dict[str, Any]:
        return desk.start(request.state.visitor)

    @app.post("/api/list")
    def open_list(request: Request, body: _List) -> Response:
        try:
            return JSONResponse(desk.open_list(Query(**body.model_dump()), request.state.visitor))
        except KeyError as error:
            raise HTTPException(404, "the recipe has no such stage") from error

    @app.get("/api/items")
    def items(
        request: Request,
        list_: Annotated[str, InAddress(alias="list")] = "",
        first: int = 0,
        count: Annotated[int, InAddress(ge=1, le=500)] = 100,
    ) -> Response:
        try:
            return JSONResponse(desk.items(list_, max(0, first), count, request.state.visitor))
        except GoneError as error:
            raise HTTPException(410, "this list is closed: make it anew") from error

    @app.post("/api/decide")
    def decide(request: Request, body: _Decide) -> dict[str, Any]:
        try:
            desk.decide(body.photo, request.state.visitor, body.verdict, body.token)
        except GoneError as error:
            raise HTTPException(404, "the dataset has no such photo, or not any more") from error
        return desk.counts(request.state.visitor)

    @app.post("/api/undo")
    def undo(request: Request, body: _Undo) -> dict[str, Any]:
        done = desk.reviews.undo(request.state.visitor, body.token)
        told = {"photo": done.photo_id, "verdict": done.verdict} if done else {"photo": None, "verdict": None}
        return {**told, **desk.counts(request.state.visitor)}

    @app.get("/api/agreement")
    def agreed() -> dict[str, Any]:
        return desk.agreement()

    @app.get("/api/authors")
    def authors(has: Text = "") -> list[str]:
        return desk.index().authors(has)

    @app.get("/thumb/{sha256}")
    async def thumb(request: Request, sha256: str) -> Response:
        return await pictures.answer(request, sha256, lambda path: thumbnail(desk.root, sha256, path))

    @app.get("/view/{sha256}")
    async def view(request: Request, sha256: str) -> Response:
        return await pictures.answer(request, sha256, lambda path: pictures.view(sha256, path))

    return app


class _Pictures:
    """Makes pictures, a few at once, so that neither memory nor the machine is overrun."""

    def __init__(self, desk: Desk, decoders: int) -> None:
        self._desk = desk
        self._turn, self._large_turn = asyncio.Semaphore(decoders), asyncio.Semaphore(1)
        self._lock = threading.Lock()
        self._views: OrderedDict[str, bytes] = OrderedDict()

    async def answer(self, request: Request, sha256: str, make: Callable[[str], bytes]) -> Response:
        """A JPEG of a file of the dataset; 404 for any other name, 410 where it is damaged or gone."""
        index = await asyncio.to_thread(self._desk.index)
        path = index.path(sha256)
        if path is None:
            raise HTTPException(404, "the dataset has no such file")
        turn = self._large_turn if index.pixels(sha256) > LARGE else self._turn
        async with turn:
            if await request.is_disconnected():  # scrolled away while it waited
                return Response(status_code=204)
            try:
                data = await asyncio.to_thread(make, path)
            except (InputError, OSError) as error:
                raise HTTPException(410, "the picture is damaged, or its file is gone") from error
        return Response(data, media_type="image/jpeg", headers=KEPT_BY_BROWSER)

    def view(self, sha256: str, path: str) -> bytes:
        """A picture to fill a screen; the last few are kept."""
        with self._lock:
            if (kept := self._views.get(sha256)) is not None:
                self._views.move_to_end(sha256)
                return kept
        data = reduced(store.read(self._desk.root, path), *VIEW, quality=88)
        with self._lock:
            self._views[sha256] = data
            while len(self._views) > VIEWS_KEPT:
                self._views.popitem(last=False)
        return data
