"""Four real HTTP servers on loopback, one per place, that log what they are asked and break on demand."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fakes import flickr, pictures, unsplash
from fakes.chance import number, pick
from fakes.faults import FLICKR_API, FLICKR_IMAGES, IMAGES, UNSPLASH_API, UNSPLASH_IMAGES, Fault, Place, Plan
from fakes.images import ELSEWHERE, PLACEHOLDER, WITHIN, ImageHost
from fakes.messages import Reply, Request
from fakes.world import FLICKR, UNSPLASH, World

PIECES = 20  # a slow body comes in so many


@dataclass(frozen=True)
class Entry:
    """One request: when it came (time.monotonic), what it was about, what it got. `fault`: planned, or a quirk."""

    at: float
    place: Place
    method: str
    target: str
    item: str
    status: int
    fault: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


class FakeWeb:
    """The made-up web, while its `with` block lasts.

    `quotas`: how many requests an API takes in how many seconds before it refuses, as the real ones do. `script`, set
    at any time, may answer a request in its own way.
    """

    def __init__(
        self, world: World, plan: Plan | None = None, quotas: Mapping[Place, tuple[int, float]] | None = None
    ) -> None:
        self.world, self.plan, self.quotas = world, plan or Plan(), quotas or {}
        self.script: Callable[[Place, Request], Reply | None] | None = None
        self.log: list[Entry] = []
        self._lock = threading.Lock()
        self._servers: dict[Place, _Server] = {}
        self._recent: dict[Place, list[float]] = {}

    def __enter__(self) -> FakeWeb:
        for place in (UNSPLASH_API, FLICKR_API, UNSPLASH_IMAGES, FLICKR_IMAGES):
            self._servers[place] = _Server(self, place)
        images = {place: self.url(place) for place in IMAGES}
        self.unsplash = unsplash.UnsplashApi(self.world, self.url(UNSPLASH_API), images[UNSPLASH_IMAGES])
        self.flickr = flickr.FlickrApi(self.world, images[FLICKR_IMAGES])
        self._hosts = {UNSPLASH_IMAGES: ImageHost(self.world, UNSPLASH), FLICKR_IMAGES: ImageHost(self.world, FLICKR)}
        for server in self._servers.values():
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def url(self, place: Place) -> str:
        """`http://127.0.0.1:port` of one place."""
        return f"http://127.0.0.1:{self._servers[place].server_address[1]}"

    @property
    def env(self) -> dict[str, str]:
        """What `lhq crawl` needs in its environment to meet this web instead of the real one."""
        return {
            "LHQ_UNSPLASH_URL": self.url(UNSPLASH_API),
            "LHQ_FLICKR_URL": self.url(FLICKR_API) + "/services/rest/",
            "LHQ_ALLOW_PRIVATE_HOSTS": "1",
            "UNSPLASH_ACCESS_KEY": unsplash.KEY,
            "FLICKR_API_KEY": flickr.KEY,
            "FLICKR_API_SECRET": flickr.SECRET,
            "LHQ_CONTACT": "tests@example.org",
        }

    def entries(self, *places: Place, fault: str | None = None) -> list[Entry]:
        """The log of some places (all by default), in order; with `fault`, of that kind only."""
        with self._lock:
            log = list(self.log)
        return [one for one in log if (not places or one.place in places) and fault in (None, one.fault)]

    def faults(self, *places: Place) -> Counter[str]:
        """How often each fault and quirk occurred."""
        return Counter(one.fault for one in self.entries(*places) if one.fault)

    def busiest(self, place: Place, seconds: float) -> int:
        """The most requests that any window of so many seconds holds."""
        times = sorted(one.at for one in self.entries(place))
        most = first = 0
        for last, at in enumerate(times):
            while times[first] <= at - seconds:
                first += 1
            most = max(most, last + 1 - first)
        return most

    def doomed(self, photo_id: str) -> Fault | None:
        """The final fault that the photo's bytes meet."""
        site, _, one = photo_id.partition(":")
        return self.plan.doom(UNSPLASH_IMAGES if site == UNSPLASH else FLICKR_IMAGES, one)

    def answer(self, place: Place, request: Request) -> Reply:
        """What a place answers, written into the log."""
        at = time.monotonic()
        site = self._site(place)
        item = site.item(request)
        if self._over_quota(place, at):
            fault, reply = "over_quota", _refusal(place, None)
        elif self.script and (scripted := self.script(place, request)):
            fault, reply = "scripted", scripted
        else:
            draw = self.plan.doom if request.path.startswith(WITHIN) else self.plan.draw
            drawn = None if "unknown" in item else draw(place, item)
            reply = self._reply(place, site, request, item, drawn)
            fault = drawn.kind if drawn else reply.note
        entry = Entry(
            at, place, request.method, request.target, item, reply.status, fault, request.headers, request.form
        )
        with self._lock:
            self.log.append(entry)
        return reply

    def _site(self, place: Place) -> Any:
        return {UNSPLASH_API: self.unsplash, FLICKR_API: self.flickr, **self._hosts}[place]

    def _over_quota(self, place: Place, at: float) -> bool:
        if place not in self.quotas:
            return False
        most, seconds = self.quotas[place]
        with self._lock:
            recent = [one for one in self._recent.get(place, []) if one > at - seconds]
            self._recent[place] = [*recent, at]
        return len(recent) >= most

    def _reply(self, place: Place, site: Any, request: Request, item: str, fault: Fault | None) -> Reply:
        def honest() -> Reply:
            return site.answer(request) if place in IMAGES else site.answer(request, fault)

        if fault is None:
            return honest()
        return _instead(place, request, item, fault) or _spoilt(honest(), item, fault)


def _instead(place: Place, request: Request, item: str, fault: Fault) -> Reply | None:
    """The reply of a fault that replaces the honest one."""
    page = b"<!DOCTYPE html><html><title>Making sure you're not a bot!</title></html>"
    match fault.kind:
        case "rate_limit" | "too_many":
            return _refusal(place, None, 429 if fault.kind == "too_many" else None)
        case "too_many_retry_after":
            return _refusal(place, fault.seconds, 429)
        case "server_error":
            return Reply(pick([500, 502, 503, 504], "server_error", item), page, "text/html")
        case "reset":
            return Reply(0, hang_up=True)
        case "html":
            return Reply(200, page, "text/html")
        case "malformed" if place == UNSPLASH_API:
            return Reply(200, b'{"total":133,"total_pages":7,"results":[{"id":"LBI7cgq3pbM"')
        case "malformed":
            return Reply(200, b'{"photos":{"page":1,"pages":1,"perpage":500,"total":"3","photo":[{"id":')
        case "unavailable":
            return flickr.unavailable(item)
        case "missing" | "gone" | "forbidden":
            return Reply({"missing": 404, "gone": 410, "forbidden": 403}[fault.kind], page, "text/html")
        case "empty":
            return Reply(200, b"", "image/jpeg")
        case "bomb":
            return Reply(200, pictures.bomb(), "image/png")
        case "gzip_bomb":
            return Reply(200, pictures.gzip_bomb(), "image/jpeg", {"Content-Encoding": "gzip"})
        case "huge":
            return Reply(200, pictures.huge(item), "image/jpeg")
        case "placeholder_directly":
            return Reply(200, pictures.placeholder(), "image/png")
    return _redirect(request, item, fault)


def _redirect(request: Request, item: str, fault: Fault) -> Reply | None:
    targets = {
        "placeholder": PLACEHOLDER,
        "redirect_within": WITHIN + request.target,
        "redirect_loopback": f"http://{request.headers['Host']}{ELSEWHERE}{item}",
        "redirect_private": "http://169.254.169.254/latest/meta-data/",
        "redirect_elsewhere": f"https://pictures.example.com/{item}.jpg",
        "redirect_loop": request.target,
    }
    if fault.kind not in targets:
        return None
    return Reply(pick([301, 302, 307], "redirect", item), b"", headers={"Location": targets[fault.kind]})


def _spoilt(reply: Reply, item: str, fault: Fault) -> Reply:
    """The honest reply, damaged or slowed."""
    match fault.kind:
        case "cut":
            reply.cut_after = len(reply.body) // 2
        case "wrong_length":
            shift = 1 + number("shift", item) % 40
            reply.length = max(1, len(reply.body) - shift) if number("shorter", item) % 2 else len(reply.body) + shift
        case "slow":
            reply.over_seconds = fault.seconds
        case "noai":
            reply.headers["X-Robots-Tag"] = pick(["noai", "noimageai, nofollow", "noindex", "noml"], "robots", item)
        case "tdm":
            reply.headers["tdm-reservation"] = "1"
    return reply


def _refusal(place: Place, retry_after: float | None, status: int | None = None) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": f"{max(1, round(retry_after))}"}
    status = status or (403 if place == UNSPLASH_API else 429)
    kind = "application/json" if place == UNSPLASH_API else "text/plain"  # the text is no JSON, whatever it says
    return Reply(status, b"Rate Limit Exceeded\n", kind, headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, web: FakeWeb, place: Place) -> None:
        self.web, self.place = web, place
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is none of our business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    timeout = 120
    server: _Server

    def do_GET(self) -> None:
        self._serve({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._serve(dict(parse_qsl(body.decode(), keep_blank_values=True)))

    def _serve(self, form: dict[str, str]) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, self.path, parts.path, query, form, dict(self.headers.items()))
        reply = self.server.web.answer(self.server.place, request)
        with contextlib.suppress(ConnectionError, TimeoutError):
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        if reply.hang_up:
            self._hang_up()
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in _pieces(reply):
            self.wfile.write(piece)
            if reply.over_seconds:
                self.wfile.flush()
                time.sleep(reply.over_seconds / PIECES)
        self.wfile.flush()
        if reply.cut_after is not None or reply.length is not None:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is http.server's)
        """Quiet: the log is FakeWeb.log."""


def _pieces(reply: Reply) -> Iterator[bytes]:
    body = reply.body[: reply.cut_after]
    size = -(-len(body) // PIECES) if reply.over_seconds else len(body)
    return (body[at : at + size] for at in range(0, len(body), max(1, size)))
