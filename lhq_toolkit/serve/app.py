"""The web application of the viewer: a page of our own files, and the tiles that it asks for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from lhq_toolkit.pages.serving import app_of, refusal
from lhq_toolkit.serve import world
from lhq_toolkit.serve.painter import Painter
from lhq_toolkit.serve.tiles import ATONCE, BusyError, GoneError, Tiles
from lhq_toolkit.serve.world import Tile
from manifests.errors import InputError, SetupError

PAGE = Path(__file__).parent / "page"
FILES = "index.html", "page.js", "place.js", "strip.js", "tiles.js", "moves.js", "style.css"
LATER = {"Retry-After": "1"}  # seconds


@dataclass(frozen=True)
class About:
    """What the page says of the run it shows."""

    run: str
    model: str
    images: int  # seen in training
    device: str


def make_app(painter: Painter, about: About, limit: int) -> FastAPI:
    """The application. `limit`: bytes of tiles that are kept."""
    app = app_of(PAGE, FILES)
    grid = painter.grid
    tiles: Tiles[Tile] = Tiles(painter.png, limit, ThreadPoolExecutor(ATONCE, "tiles"))

    @app.exception_handler(InputError)
    async def wrong(_: Request, error: InputError) -> Response:
        return refusal(400, str(error))

    @app.exception_handler(SetupError)
    async def trouble(_: Request, error: SetupError) -> Response:
        return refusal(503, str(error), LATER)

    @app.get("/api/start")
    async def start() -> dict[str, Any]:
        return {
            "run": about.run,
            "model": about.model,
            "images": about.images,
            "device": about.device,
            "frame": grid.height,
            "tile": grid.width,
            "tiles": grid.limit,
            "span": None if grid.span is None else grid.span * grid.column_width,
            "redrawn": world.REDRAWN,
            "anchors": world.ANCHORS,
        }

    @app.get("/api/numbers")
    async def numbers() -> dict[str, Any]:
        return tiles.told()

    @app.get("/tile/{index}")
    async def tile(request: Request, index: str, seed: str = "0", truncation: str = "1", edits: str = "") -> Response:
        wanted = world.tile(grid, index, seed, truncation, edits)
        began = time.perf_counter()
        try:
            data = await tiles.get(wanted, request.state.visitor, lambda: _left(request))
        except BusyError:
            return refusal(503, "too many tiles are waited for: ask again later", LATER)
        except GoneError:
            return Response(status_code=204)
        took = 1e3 * (time.perf_counter() - began)
        return Response(data, media_type="image/png", headers={"Server-Timing": f"tile;dur={took:.1f}"})

    return app


async def _left(request: Request) -> None:
    """Ends when the client has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
