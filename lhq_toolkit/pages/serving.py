"""Serves a page of ours until it is interrupted: its own files, behind the guard, to those who were invited."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from lhq_toolkit.guard import ENTER, Door, Guard, hosts_of
from manifests.settings import must

FILES = Path(__file__).parent / "files"
SHARED = {"/ask.js": FILES / "ask.js", "/base.css": FILES / "base.css", "/icon.svg": FILES / "icon.svg"}
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}

LONGEST = 500  # characters of a refusal
GRACE = 5  # seconds that requests are given to end after Ctrl-C

Ready = Callable[[dict[str, str]], None]  # is told each visitor's address, which works once


def app_of(folder: Path, names: Sequence[str]) -> FastAPI:
    """An application that serves these files of a page's folder, and those that all pages share.

    index.html stands at `/`. Whom it lets in is for `guard.Guard` to say.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    own = {"/" if name == "index.html" else f"/{name}": folder / name for name in names}
    for path, file in {**SHARED, **own}.items():
        app.get(path)(_file(file))

    @app.exception_handler(RequestValidationError)
    async def wrong(_: Request, error: RequestValidationError) -> Response:
        told = (f"{'.'.join(map(str, one['loc']))}: {must(one)}" for one in error.errors())
        return refusal(422, "; ".join(told)[:LONGEST])

    return app


def refusal(status: int, why: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that says why not; what someone sent may stand in it, even if it is no text that can be written."""
    return JSONResponse({"detail": why.encode(errors="replace").decode()}, status, headers)


def _file(path: Path) -> Callable[[], Response]:
    data, kind = path.read_bytes(), KINDS[path.suffix]

    def serve() -> Response:
        return Response(data, media_type=kind)

    return serve


def run(app: FastAPI, sock: socket.socket, cookie: str, visitors: Sequence[str], ready: Ready) -> None:
    """Serve until SIGINT or SIGTERM. `cookie`: what kind of page it is."""
    hosts = hosts_of(sock)
    door = Door()
    server = uvicorn.Server(
        uvicorn.Config(
            Guard(app, door, hosts, cookie_of(cookie, sock)),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=GRACE,
        )
    )
    ready({one: f"http://{hosts[0]}{ENTER}?token={door.invite(one)}" for one in visitors})
    server.run(sockets=[sock])


def cookie_of(kind: str, sock: socket.socket) -> str:
    """The session's name: browsers keep cookies by host, whatever the port."""
    return f"lhq-{kind}-{sock.getsockname()[1]}"
