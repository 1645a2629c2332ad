"""Connections to image hosts: kept alive, checked before anything is sent, and cut off in time.

libcurl, with one handle and so one connection per host for each thread. It follows no redirect, retries nothing, and
looks at no environment; a proxy is used only where asked for, and then its own address is not checked, for it is the
user's choice.
"""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import certifi
import pycurl

from pipelines.web.fields import length
from pipelines.web.hosts import Target, check_peer

CONNECT_SECONDS = 10
STALL_SECONDS = 15  # without a single byte
BUFFER = 256 * 1024  # bytes read from a socket at once

_NO_NAME = frozenset({pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY})
_NO_TLS = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_SSL_ISSUER_ERROR,
    }
)


class BrokenError(Exception):
    """No whole answer came; says why in words without the URL. `http_status`: of an answer that had begun."""

    def __init__(self, text: str, http_status: int | None = None) -> None:
        super().__init__(text)
        self.http_status = http_status


@dataclass(frozen=True)
class Head:
    """What stands above an answer's body. Names of headers are in lower case; each may come several times."""

    status: int
    headers: Mapping[str, list[str]]

    def first(self, name: str) -> str | None:
        """The header's first value."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[str]:
        return self.headers.get(name, [])

    @property
    def length(self) -> int | None:
        """Bytes of the body, where that is said."""
        return length(self.first("content-length"))


@dataclass(frozen=True)
class Answer:
    """`body` None: more bytes were promised or came than were wanted."""

    head: Head
    body: bytes | None


Most = Callable[[Head], int]  # bytes of its body that are wanted


class Connections:
    """Requests with the same headers. Safe to use from several threads."""

    def __init__(self, headers: Mapping[str, str], use_proxy: bool = False, total_seconds: float = 60.0) -> None:
        self._headers = [f"{name}: {value}" for name, value in headers.items()]
        self._total = total_seconds
        self._proxies = urllib.request.getproxies() if use_proxy else {}
        self._of_thread = threading.local()

    def get(self, target: Target, most: Most) -> Answer:
        """The answer to one GET, after `total_seconds` at the latest.

        Raises BrokenError where none came, RefusedError for an address that is not public.
        """
        proxy = self._proxy(target)
        transfer = _Transfer(most, None if proxy else target.loopback)
        handle = self._handle()
        handle.setopt(pycurl.URL, _url(target))
        handle.setopt(pycurl.PROXY, proxy)
        handle.setopt(pycurl.OPENSOCKETFUNCTION, transfer.open)
        handle.setopt(pycurl.PREREQFUNCTION, transfer.check)
        handle.setopt(pycurl.HEADERFUNCTION, transfer.take_header)
        handle.setopt(pycurl.WRITEFUNCTION, transfer.take)
        try:
            handle.perform()
        except pycurl.error as error:
            if transfer.error is not None:
                raise transfer.error from None
            if not transfer.is_cut:
                seconds = handle.getinfo(pycurl.TOTAL_TIME)
                raise BrokenError(self._why(error.args[0], transfer, seconds), transfer.http_status) from None
        return transfer.answer()

    def _handle(self) -> Any:
        """This thread's handle, which keeps its connections."""
        if not hasattr(self._of_thread, "handle"):
            handle = pycurl.Curl()
            for option, value in {
                pycurl.NOSIGNAL: 1,
                pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
                pycurl.HTTPHEADER: self._headers,
                pycurl.PATH_AS_IS: 1,
                pycurl.CAINFO: certifi.where(),
                pycurl.BUFFERSIZE: BUFFER,
                pycurl.CONNECTTIMEOUT: CONNECT_SECONDS,
                pycurl.LOW_SPEED_LIMIT: 1,  # bytes a second
                pycurl.LOW_SPEED_TIME: STALL_SECONDS,
                pycurl.TIMEOUT_MS: round(1000 * self._total),
            }.items():
                handle.setopt(option, value)
            self._of_thread.handle = handle
        return self._of_thread.handle

    def _proxy(self, target: Target) -> str:
        if target.loopback or not self._proxies or urllib.request.proxy_bypass(target.host):
            return ""
        return self._proxies.get(target.scheme, "")

    def _why(self, code: int, transfer: _Transfer, seconds: float) -> str:
        if code == pycurl.E_OPERATION_TIMEDOUT:
            return f"not done after {self._total:.0f} s" if seconds >= self._total else "the host is too slow"
        if code in _NO_NAME:
            return "the host's name is not found"
        if code == pycurl.E_COULDNT_CONNECT:
            return "no connection to the host"
        if code in _NO_TLS:
            return "no trusted TLS connection"
        if code == pycurl.E_PARTIAL_FILE:
            return f"{transfer.size} bytes came of {transfer.promised}"
        return "the connection broke"


@dataclass
class _Transfer:
    """One request on its way. libcurl calls its methods; an error in one of them ends the request and is kept.

    `loopback` None: not checked, because a proxy is asked.
    """

    most: Most
    loopback: bool | None
    error: Exception | None = None
    is_cut: bool = False
    size: int = 0
    _head: Head | None = None
    _wanted: int = 0  # bytes
    _lines: list[bytes] = field(default_factory=list)
    _pieces: list[bytes] = field(default_factory=list)

    @property
    def promised(self) -> int | None:
        return self._head.length if self._head else None

    @property
    def http_status(self) -> int | None:
        return self._head.status if self._head else None

    def answer(self) -> Answer:
        """What came; BrokenError where the headers had no end."""
        if self._head is None:
            raise BrokenError("the connection broke")
        return Answer(self._head, None if self.is_cut else b"".join(self._pieces))

    def open(self, _: int, address: Any) -> Any:
        """The socket to connect with, where its address may be connected to."""
        if not self._may_talk_to(address.addr[0]):
            return pycurl.SOCKET_BAD
        return socket.socket(address.family, address.socktype, address.protocol)

    def check(self, peer: str, *_: object) -> int:
        """Whether the request may be sent to the peer of the connected socket."""
        return int(pycurl.PREREQFUNC_OK if self._may_talk_to(peer) else pycurl.PREREQFUNC_ABORT)

    def _may_talk_to(self, peer: str) -> bool:
        if self.loopback is None:
            return True
        try:
            check_peer(peer, self.loopback)
        except Exception as error:
            self.error = error
            return False
        self.error = None  # the name had another address
        return True

    def take_header(self, line: bytes) -> int | None:
        """A line, with its end; the last one is empty. -1 ends the request."""
        if line.strip():
            self._lines.append(line)
            return None
        status, *lines = self._lines
        self._lines = []
        headers: dict[str, list[str]] = {}
        for name, _, value in (one.decode("latin-1").partition(":") for one in lines):
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        head = Head(int(status.split()[1]), headers)
        if head.status < 200:  # another one follows
            return None
        self._head = head
        try:
            self._wanted = self.most(head)
        except Exception as error:
            self.error = error
            return -1
        self.is_cut = (head.length or 0) > self._wanted
        return -1 if self.is_cut else None

    def take(self, piece: bytes) -> int | None:
        """Bytes of the body. -1 ends the request."""
        self.size += len(piece)
        if self.size > self._wanted:
            self.is_cut = True
            return -1
        self._pieces.append(piece)
        return None


def _url(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{target.scheme}://{host}:{target.port}{target.target}"
