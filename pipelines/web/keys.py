"""API keys: read once from the environment or a `.env` file, and then shown to nobody.

Reading takes them out of the environment, so that no process started later inherits them. A `Secret` cannot be
pickled, so it cannot travel to a worker; printed, logged or formatted it is `<secret>`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, quote_plus

from manifests.errors import SetupError
from manifests.texts import read_lines

UNSPLASH_KEY = "UNSPLASH_ACCESS_KEY"
FLICKR_KEY = "FLICKR_API_KEY"
FLICKR_SECRET = "FLICKR_API_SECRET"  # noqa: S105 (a name)
CONTACT = "LHQ_CONTACT"
_KEYS = (UNSPLASH_KEY, FLICKR_KEY, FLICKR_SECRET)

_LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_]\w*)\s*=\s*(?P<value>.*)")
_KEY = re.compile(r"[!-~]{4,400}")  # visible ASCII, in one piece


class Secret:
    """A text that shows itself only to who asks for it by name, right where it is sent."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def fingerprint(self) -> str:
        """What stands for the key in files of ours: 32 hexadecimal digits that do not lead back to it."""
        return hashlib.sha256(b"lhq key\0" + self._text.encode()).hexdigest()[:32]

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret stays in the process that read it")


@dataclass(frozen=True)
class Credentials:
    """What was found; `contact` (an e-mail or web address, see `identity.py`) is no secret."""

    unsplash: Secret | None = None
    flickr: Secret | None = None
    flickr_secret: Secret | None = None
    contact: str | None = None


def take(environ: MutableMapping[str, str] | None = None, folder: Path | None = None) -> Credentials:
    """The credentials of the environment, else of `.env` in `folder` (the current one); the environment loses them.

    Raises SetupError, which names the variable but does not quote it, for a value that cannot be a key.
    """
    environ = os.environ if environ is None else environ
    written = _read(Path(".env") if folder is None else folder / ".env")
    found = {name: environ.get(name, "").strip() or written.get(name, "") for name in (*_KEYS, CONTACT)}
    for name in _KEYS:
        environ.pop(name, None)
        if found[name] and not _KEY.fullmatch(found[name]):
            raise SetupError(f"{name} is no key: it has spaces, line breaks, other than ASCII, or too few characters")
    unsplash, flickr, secret = (Secret(found[name]) if found[name] else None for name in _KEYS)
    return Credentials(unsplash, flickr, secret, found[CONTACT] or None)


def withhold() -> None:
    """Take the keys out of the environment, unread: what starts now does not inherit them."""
    for name in _KEYS:
        os.environ.pop(name, None)


def scrub(data: bytes, secret: Secret) -> bytes:
    """The data without the secret, also where it stands escaped for a URL or a form."""
    plain = secret.reveal()
    for shape in {plain, quote(plain), quote(plain, safe=""), quote_plus(plain)}:
        data = data.replace(shape.encode(), b"<secret>")
    return data


def _read(file: Path) -> Mapping[str, str]:
    """NAME=value lines; quotes around a value go, as does ` # a comment` after one without quotes."""
    if not file.exists():
        return {}
    values = {}
    for line in read_lines(file.resolve(), "the keys in"):
        if found := _LINE.fullmatch(line.strip()):
            value = found["value"].strip()
            if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
                value = value[1:-1]
            else:
                value = re.split(r"\s+#", value, maxsplit=1)[0]
            values[found["name"]] = value
    return values
