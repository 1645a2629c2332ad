"""A real HTTP server on this machine that serves files by name, with ranges, and can be told to misbehave."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """What is served, how, and what was asked for."""

    files: dict[str, bytes]
    cuts: list[int] = field(default_factory=list)  # break off after so many bytes, one entry per answer
    statuses: list[int] = field(default_factory=list)  # answer so instead, one entry per request
    redirect: str | None = None  # where every request is sent to
    ranges: bool = True
    announce: bool = True  # Content-Length
    asked: list[str | None] = field(default_factory=list)  # the Range of every request
    url: str = ""


@contextmanager
def serving(files: Mapping[str, bytes]) -> Iterator[Served]:
    """A server on a free port of the loopback, while the context lasts."""
    served = Served(dict(files))
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client may hang up
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    served: Served
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served = self.served
        served.asked.append(self.headers.get("Range"))
        if served.redirect is not None:
            self._head(302, {"Location": served.redirect, "Content-Length": "0"})
            return
        data = served.files.get(self.path.lstrip("/"))
        status = served.statuses.pop(0) if served.statuses else (200 if data is not None else 404)
        if status != 200 or data is None:
            self._head(status, {"Content-Length": "0"})
            return
        start = int((self.headers.get("Range") or "bytes=0-")[len("bytes=") : -1]) if served.ranges else 0
        if start and start >= len(data):
            self._head(416, {"Content-Range": f"bytes */{len(data)}", "Content-Length": "0"})
            return
        headers = {"Content-Length": str(len(data) - start)} if served.announce else {"Connection": "close"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._head(206 if start else 200, headers)
        cut = served.cuts.pop(0) if served.cuts else None
        self.wfile.write(data[start:] if cut is None else data[start : start + cut])
        self.wfile.flush()
        if cut is not None or not served.announce:
            self.close_connection = True

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass
