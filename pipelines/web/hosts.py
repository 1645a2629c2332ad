"""Where a download may go: the hosts of its source by name, and no address inside anybody's network."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pipelines.sources.base import RefusedError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Target:
    """A URL that passed the check, in the pieces a request is made of. `target`: path and query."""

    scheme: str
    host: str
    port: int
    target: str
    loopback: bool  # the URL itself names this machine, as tests may be allowed to


@dataclass(frozen=True)
class AllowList:
    """The image hosts of one source, https on the usual port only.

    `loopback` (LHQ_ALLOW_PRIVATE_HOSTS=1) adds loopback addresses, any port, http; nothing else changes.
    """

    hosts: frozenset[str]
    loopback: bool = False

    def check(self, url: str | None) -> Target:
        """The URL's pieces; RefusedError where it may not be asked."""
        parts, port = _split(url)
        host = (parts.hostname or "").rstrip(".")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if self.loopback and parts.scheme in ("http", "https") and _names_loopback(host):
            return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target, True)
        if parts.scheme != "https":
            raise RefusedError(f"the URL is {parts.scheme or 'without a scheme'}, not https")
        if host not in self.hosts:
            raise RefusedError(f"the host {host or '(none)'} is not one of its source")
        if parts.username is not None or parts.password is not None or port not in (None, 443):
            raise RefusedError("the URL has a user name or an unusual port")
        return Target("https", host, 443, target, False)


def _split(url: str | None) -> tuple[SplitResult, int | None]:
    if not url:
        raise RefusedError("its source gives no URL for it")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise RefusedError("the URL has characters that no URL may have")
    try:
        parts = urlsplit(url)
        return parts, parts.port
    except ValueError:
        raise RefusedError("the URL cannot be read") from None


def _names_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_peer(peer: str, loopback: bool) -> None:
    """RefusedError unless the address a socket is connected to is a public one, or where `loopback` this machine."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    if loopback:
        public = all(one.is_loopback for one in _inner(address))
    else:
        public = all(one.is_global and not one.is_multicast for one in _inner(address))
    if not public:
        raise RefusedError(f"its host leads to {peer}, which is no public address")


def _inner(address: Address) -> list[Address]:
    """The address itself, or the IPv4 addresses that an IPv6 address leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    inner: list[Address] = [address]
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.extend(address.teredo)
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return inner
