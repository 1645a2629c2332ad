"""Web addresses in the one form they are compared in: two addresses of one photo or one person become equal."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

# Hosts whose path alone names the photo or person; their queries only say how it was found or how large it is wanted.
_PATH_SAYS_IT_ALL = frozenset({"unsplash.com", "images.unsplash.com", "flickr.com", "live.staticflickr.com"})
_UNSPLASH_PHOTO = re.compile(r"/photos/(?:[^/]*-)?(?P<id>[A-Za-z0-9_-]{11})(?:/.*)?")
_FLICKR_PHOTO = re.compile(r"/photos/[^/]+/(?P<id>\d+)(?:/.*)?")
_FLICKR_PERSON = re.compile(r"/(?:people|photos)/(?P<name>[^/]+)(?:/.*)?")
_FLICKR_FILE = re.compile(r"/(?:\d+/)+(?P<id>\d+)_[0-9a-f]+(?:_[0-9a-z]+)?\.\w+")
_TRACKING = re.compile(r"utm_\w+|ixid|ixlib|fbclid|gclid")


def photo_key(url: str) -> str | None:
    """What a photo's page or file address is compared by; None for a text that is no http(s) address.

    Scheme, `www.`, port 80 or 443, fragment, a closing slash, the host's letter case and the way characters are
    escaped make no difference; nor do parameters that only track. Of Unsplash and Flickr the photo's id counts, so
    that every page and every size of one photo are the same.
    """
    parts = _split(url)
    if parts is None:
        return None
    host, path = _host(parts), _path(parts)
    if host == "unsplash.com" and (found := _UNSPLASH_PHOTO.fullmatch(path)):
        return f"unsplash.com/photos/{found['id']}"
    if host == "flickr.com" and (found := _FLICKR_PHOTO.fullmatch(path)):
        return f"flickr.com/photos/{found['id']}"
    if host.endswith(".staticflickr.com") and (found := _FLICKR_FILE.fullmatch(path)):
        return f"flickr.com/photos/{found['id']}"
    return _plain(parts)


def author_key(url: str) -> str | None:
    """What an author's address is compared by, as `photo_key`; letter case makes no difference, and on Flickr neither
    does whether it is the person's page or the page of their photos."""
    parts = _split(url)
    if parts is None:
        return None
    if _host(parts) == "flickr.com" and (found := _FLICKR_PERSON.fullmatch(_path(parts))):
        return f"flickr.com/people/{found['name']}".casefold()
    return _plain(parts).casefold()


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(unicodedata.normalize("NFC", url.strip()))
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != -1
    except ValueError:  # a bracket or a port that is none
        return None
    return parts if known else None


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").rstrip(".").removeprefix("www.")


def _path(parts: SplitResult) -> str:
    return unquote(parts.path, errors="surrogateescape").rstrip("/")


def _plain(parts: SplitResult) -> str:
    host = _host(parts)
    port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    query = ""
    if host not in _PATH_SAYS_IT_ALL:
        kept = [(name, value) for name, value in parse_qsl(parts.query, True) if not _TRACKING.fullmatch(name)]
        query = f"?{urlencode(sorted(kept), errors='surrogateescape')}" if kept else ""
    return f"{host}{port}{_path(parts)}{query}"
