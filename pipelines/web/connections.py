"""Connections to image hosts: kept alive, checked at the socket before anything is sent, and cut off in time.

urllib3's pools, one per host and port. They follow no redirect, retry nothing, and look at no environment; a proxy
is used only where asked for, and then its own address is not checked, for it is the user's choice.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from pipelines.web.hosts import Target, check_peer

CONNECT_SECONDS = 10.0
STALL_SECONDS = 15.0  # without a single byte
TICK = 0.5

_current = threading.local()  # .request: what this thread is doing


class _Request:
    """One request on its way: whose peer must be public, and when it is cut off."""

    def __init__(self, loopback: bool, proxied: bool, until: float) -> None:
        self.loopback, self.proxied, self.until = loopback, proxied, until
        self.connection: HTTPConnection | None = None
        self.overdue = False


class _Guarded(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(self, super()._new_conn())

    def request(self, *args: Any, **kwargs: Any) -> None:
        _current.request.connection = self
        super().request(*args, **kwargs)


class _GuardedTls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(self, super()._new_conn())

    def request(self, *args: Any, **kwargs: Any) -> None:
        _current.request.connection = self
        super().request(*args, **kwargs)


def _checked(connection: HTTPConnection, sock: socket.socket) -> socket.socket:
    """The new socket, unless it leads where it must not: then it is closed before a byte is sent."""
    request: _Request = _current.request
    request.connection = connection
    if not request.proxied:
        try:
            check_peer(sock.getpeername()[0], request.loopback)
        except BaseException:
            sock.close()
            raise
    return sock


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


class Connections:
    """Up to `size` connections kept alive per host. Safe to use from several threads, each with one request."""

    def __init__(self, size: int, use_proxy: bool = False, total_seconds: float = 60.0) -> None:
        self._size, self._total = size, total_seconds
        self._overdue = f"not done after {total_seconds:.0f} s"
        self._timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=STALL_SECONDS)
        self._proxies = urllib.request.getproxies() if use_proxy else {}
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}
        self._managers: dict[str, urllib3.ProxyManager] = {}
        self._running: set[_Request] = set()
        self._lock = threading.Lock()
        self._watch: threading.Thread | None = None

    @contextlib.contextmanager
    def get(self, target: Target, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer to one GET, its body unread; after `total_seconds` the connection is cut off.

        Raises urllib3's errors, TimeoutError where it was cut off, RefusedError for an address that is not public.
        A body that was not read to its end closes the connection.
        """
        pool, proxied = self._pool(target)
        request = _Request(target.loopback, proxied, time.monotonic() + self._total)
        _current.request = request
        self._begin(request)
        response = None
        try:
            url = target.target if not proxied or target.scheme == "https" else _whole(target)
            response = pool.urlopen(
                "GET",
                url,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout,
                preload_content=False,
                decode_content=False,
            )
            yield response
            if request.overdue:  # what has no stated length looks whole when it is cut off
                raise TimeoutError(self._overdue)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if request.overdue:
                raise TimeoutError(self._overdue) from error
            raise
        finally:
            with self._lock:
                self._running.discard(request)
            if response is not None:
                if response.length_remaining == 0 and not request.overdue:
                    response.release_conn()
                response.close()

    def _pool(self, target: Target) -> tuple[urllib3.HTTPConnectionPool, bool]:
        key = (target.scheme, target.host, target.port)
        with self._lock:
            proxy = None
            if not target.loopback and self._proxies and not urllib.request.proxy_bypass(target.host):
                proxy = self._proxies.get(target.scheme)
            if key not in self._pools:
                self._pools[key] = self._through(proxy, target) if proxy else self._direct(target)
            return self._pools[key], proxy is not None

    def _direct(self, target: Target) -> urllib3.HTTPConnectionPool:
        if target.scheme == "https":
            return _TlsPool(target.host, target.port, maxsize=self._size, ca_certs=certifi.where())
        return _Pool(target.host, target.port, maxsize=self._size)

    def _through(self, proxy: str, target: Target) -> urllib3.HTTPConnectionPool:
        if proxy not in self._managers:
            manager = urllib3.ProxyManager(proxy, maxsize=self._size, ca_certs=certifi.where())
            manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
            self._managers[proxy] = manager
        return self._managers[proxy].connection_from_host(target.host, target.port, target.scheme)

    def _begin(self, request: _Request) -> None:
        with self._lock:
            self._running.add(request)
            if self._watch is None:
                self._watch = threading.Thread(target=self._cut_off_overdue, daemon=True, name="lhq-deadlines")
                self._watch.start()

    def _cut_off_overdue(self) -> None:
        """Shut the socket of whatever runs too long: a host that sends a byte now and then never stalls."""
        while True:
            time.sleep(TICK)
            now = time.monotonic()
            with self._lock:
                overdue = [request for request in self._running if request.until < now]
            for request in overdue:
                request.overdue = True
                sock = getattr(request.connection, "sock", None)
                if sock is not None:
                    with contextlib.suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)


def _whole(target: Target) -> str:
    return f"{target.scheme}://{target.host}:{target.port}{target.target}"
