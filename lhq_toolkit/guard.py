"""Who may talk to a page of ours: the door that pages for one person on one machine share.

A browser gets in by an address with a token that works once and leaves it a cookie (HttpOnly, SameSite=Strict). Every
request must name a host that we serve, so that a foreign name pointed at this machine gets nothing; one that comes from
another site's page is refused; one that changes something must come from our own page, as JSON. Every answer carries a
policy that lets the page load nothing but ours and run no script that stands in its text.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

from manifests.errors import MisuseError

ENTER = "/enter"
MAX_BODY = 64 * 1024  # bytes of a request
REMOTE = (
    "Let other machines reach the page at --bind ADDRESS. Everything then crosses the network unencrypted: who listens "
    "there sees the pictures and can take over the session."
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# A meta refresh and no redirect: where the address was followed from another site's page, the browser would not send
# the strict cookie with a redirect, but does with a navigation that our own page begins.
_WELCOME = b"""<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<link rel="icon" href="/icon.svg"><title>LHQ Toolkit</title><p><a href="/">Go on</a></p></html>"""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Door:
    """Tokens that work once, and the sessions they were exchanged for; both are kept as hashes, in memory alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}  # hash -> visitor
        self._sessions: dict[str, str] = {}

    def invite(self, visitor: str) -> str:
        """A new token for a visitor."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[_hash(token)] = visitor
        return token

    def enter(self, token: str) -> str | None:
        """Exchange a token for a session; None for one that is wrong or was used."""
        with self._lock:
            mark = next((known for known in self._tokens if hmac.compare_digest(known, _hash(token))), None)
            if mark is None:
                return None
            session = secrets.token_urlsafe(32)
            self._sessions[_hash(session)] = self._tokens.pop(mark)
            return session

    def visitor(self, session: str) -> str | None:
        """Whose session this is."""
        with self._lock:
            return self._sessions.get(_hash(session))


class Guard:
    """ASGI middleware: lets through what comes from a visitor's own page, as `request.state.visitor`."""

    def __init__(self, app: App, door: Door, hosts: Collection[str], cookie: str) -> None:
        """`hosts`: each as the browser's Host header names it, with the port. `cookie`: its name, one per server."""
        self.app, self.door, self.hosts, self.cookie = app, door, frozenset(hosts), cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # an unanswered web socket is closed by the server
        send = _with_headers(send)
        headers = _Headers(scope)
        if refusal := self._refusal(scope["method"], headers):
            await _answer(send, *refusal)
            return
        if scope["path"] == ENTER:
            await self._enter(scope, headers, send)
            return
        visitor = self.door.visitor(self._session(headers))
        if visitor is None:
            await _answer(send, 401, "no session: open the address that the program printed; each works once")
            return
        state = {**scope.get("state", {}), "visitor": visitor}
        await self.app({**scope, "state": state}, receive, send)

    def _refusal(self, method: str, headers: _Headers) -> tuple[int, str] | None:
        """What is wrong with a request, whoever sends it."""
        host, origin, site = headers.one("host"), headers.one("origin"), headers.one("sec-fetch-site")
        other_site = site in ("cross-site", "same-site") and headers.one("sec-fetch-mode") != "navigate"
        length = headers.one("content-length") or ""
        checks = [
            (host is None or host.lower() not in self.hosts, 403, "this host is not served here"),
            (origin not in (None, f"http://{host}"), 403, "a page of another origin may not ask here"),
            (other_site, 403, "a page of another site may not ask here"),
            (method not in ("GET", "HEAD", "POST"), 405, "GET or POST"),
        ]
        if method == "POST":
            kind = (headers.one("content-type") or "").partition(";")[0].strip()
            digits = length if length.isascii() and length.isdigit() else ""
            checks += [
                (origin is None, 403, "a change needs the Origin of our page"),
                (kind != "application/json", 415, "send JSON"),
                (not digits, 411, "say how long the request is"),
                (len(digits) > 9 or int(digits or 0) > MAX_BODY, 413, "the request is too long"),
            ]
        return next(((status, text) for wrong, status, text in checks if wrong), None)

    async def _enter(self, scope: Scope, headers: _Headers, send: Send) -> None:
        """A token becomes a cookie; what looks ahead on its own does not spend it."""
        ahead = "prefetch" in (headers.one("sec-purpose") or headers.one("purpose") or "")
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        session = None if ahead or scope["method"] != "GET" or len(given) != 1 else self.door.enter(given[0])
        if session is None:
            await _answer(send, 403, "this address was used already or is wrong: start the program again for another")
            return
        cookie = f"{self.cookie}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=86400"
        await _answer(send, 200, _WELCOME, "text/html; charset=utf-8", {"Set-Cookie": cookie})

    def _session(self, headers: _Headers) -> str:
        try:
            found = SimpleCookie(headers.one("cookie") or "").get(self.cookie)
        except CookieError:
            return ""
        return found.value if found else ""


class _Headers:
    """A request's headers; one that is sent twice counts as not sent."""

    def __init__(self, scope: Scope) -> None:
        self._all: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            self._all.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def one(self, name: str) -> str | None:
        values = self._all.get(name, [])
        return values[0] if len(values) == 1 else None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            mine = {name.lower() for name, _ in message["headers"]}
            wanted = {**HEADERS} if b"cache-control" in mine else {**HEADERS, "Cache-Control": "no-store"}
            more = [(name.lower().encode(), value.encode()) for name, value in wanted.items()]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


async def _answer(
    send: Send, status: int, body: str | bytes, kind: str = "text/plain; charset=utf-8", more: Mapping[str, str] = {}
) -> None:
    data = body.encode() if isinstance(body, str) else body
    headers = {"content-type": kind, "content-length": str(len(data)), **more}
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": data})


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def listen(address: str, port: int | None, default: int, allow_remote: bool) -> socket.socket:
    """A listening socket; without a `port` the default one, or any where that is taken.

    MisuseError for an address that other machines reach, unless they are to, and for one that is not of one place.
    """
    try:
        place = ip_address(address)
    except ValueError as error:
        raise MisuseError(f"--bind {address}: give an IP address of this machine, such as 127.0.0.1") from error
    if place.is_unspecified:
        raise MisuseError(f"--bind {address} means every network at once: name the one address to be reached at")
    if not place.is_loopback and not allow_remote:
        raise MisuseError(f"--bind {address} is not this machine alone; to do so say --allow-remote. {REMOTE}")
    for one in [port] if port is not None else [default, 0]:
        sock = socket.socket(socket.AF_INET6 if place.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, one))
            sock.listen(128)
            return sock
        except OSError as error:
            sock.close()
            if one in (port, 0):
                raise MisuseError(
                    f"cannot listen at {address}, port {one}: {error.strerror}; choose another"
                ) from error
    raise AssertionError("the last port asked for raises")


def hosts_of(sock: socket.socket) -> list[str]:
    """How a browser may call what listens there; the first is the one to print."""
    address, port = sock.getsockname()[:2]
    place = ip_address(address)
    names = [f"[{address}]" if place.version == 6 else address, *(["localhost"] if place.is_loopback else [])]
    return [f"{name}:{port}" for name in names]
