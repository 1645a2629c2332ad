"""Brings a file of pretrained weights into the cache folder: goes on where it was cut off, and checks its hash.

What has come stands in `<file>.partial` until it is whole and its hash is right; only then it gets its name. Only
https is spoken, also where a redirect leads. `LHQ_WEIGHTS_URL` names another place that holds the files under their
names (a mirror); with `LHQ_ALLOW_PRIVATE_HOSTS=1` http to this machine itself is allowed too. `LHQ_OFFLINE=1`
forbids every connection.
"""

from __future__ import annotations

import errno
import fcntl
import ipaddress
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from lhq_toolkit import __version__
from manifests import atomic
from manifests.errors import SetupError, TransientError
from models.weights import Weights, read_sha256
from pipelines.engine.progress import Progress
from pipelines.web.fields import length

if TYPE_CHECKING:
    from requests import Response, Session

MEBIBYTE = 1024**2
LARGEST = 1024 * MEBIBYTE  # bytes, where a file's size is not published
CONNECT_SECONDS, SILENCE_SECONDS = 10.0, 30.0
LIMIT_SECONDS = 3600.0  # for one file
ATTEMPTS = 5  # in a row that bring nothing new
PAUSE_SECONDS = 1.0  # before the next attempt; doubled while nothing new comes
REDIRECTS = 5
CHUNK = MEBIBYTE


def offline() -> bool:
    """Whether `LHQ_OFFLINE=1` forbids every connection."""
    return os.environ.get("LHQ_OFFLINE") == "1"


def address(wanted: Weights) -> str:
    """Where a file is fetched from."""
    mirror = os.environ.get("LHQ_WEIGHTS_URL")
    return f"{mirror.rstrip('/')}/{wanted.file}" if mirror else wanted.url


def fetch(wanted: Weights, folder: Path) -> Path:
    """The whole, checked file in `folder`, fetched where it is not there yet.

    Raises SetupError for a wrong hash, a refusal, a full disk or an address that is not https; TransientError when
    the host cannot be reached or keeps breaking off. What has come is kept for the same command.
    """
    path = folder / wanted.file
    if path.exists():
        found = read_sha256(path)
        if wanted.fits(found):
            return path
        raise SetupError(f"{path} is not {wanted.name}: its SHA-256 is {found}; delete it and fetch again")
    url = address(wanted)
    if offline():
        raise SetupError(f"LHQ_OFFLINE=1 forbids downloads: unset it, or bring {wanted.url} to {path} by hand")
    _refuse_plain(url)
    atomic.make_folder(folder)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with _held(partial) as stream:
            _bring(_Download(wanted, url, partial, stream, time.monotonic() + LIMIT_SECONDS))
            try:
                os.fsync(stream.fileno())
            except OSError:  # what came is perhaps lost, and the next sync would not tell
                partial.unlink()
                raise
            partial.replace(path)
            atomic.fsync(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(partial) from error
        raise
    return path


@dataclass(frozen=True)
class _Download:
    wanted: Weights
    url: str
    partial: Path
    stream: IO[bytes]
    until: float  # time.monotonic()

    def end(self) -> int:
        """Bytes there are; the stream stands behind them."""
        return self.stream.seek(0, os.SEEK_END)

    def restart(self) -> None:
        self.stream.seek(0)
        self.stream.truncate(0)

    def sha256(self) -> str:
        self.stream.flush()
        return read_sha256(self.partial)

    @property
    def largest(self) -> int:
        """Bytes that the file may have at most."""
        known = self.wanted.mebibytes
        return LARGEST if known is None else math.ceil((known + 0.001) * MEBIBYTE)


@contextmanager
def _held(partial: Path) -> Iterator[IO[bytes]]:
    """The partial file, for reading and writing; SetupError where another command is writing it."""
    while True:
        with os.fdopen(os.open(partial, os.O_RDWR | os.O_CREAT, 0o644), "r+b") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SetupError(f"another command is fetching {partial.name}: let it finish") from error
            try:
                same = os.path.samestat(os.fstat(stream.fileno()), partial.stat())
            except FileNotFoundError:
                same = False
            if same:
                yield stream
                return
            # Between our opening and locking another command finished it: what we hold has its final name.


def _bring(download: _Download) -> None:
    """Make the partial file the one that is wanted; where what an earlier command left does not fit, from new."""
    left_over = download.end() > 0
    _complete(download)
    if left_over and not download.wanted.fits(download.sha256()):
        download.restart()
        _complete(download)
    found, wanted = download.sha256(), download.wanted
    if not wanted.fits(found):
        download.partial.unlink()
        raise SetupError(
            f"what {download.url} sent is not {wanted.name}: its SHA-256 is {found}, not {wanted.sha256}"
            f"{'' if wanted.known_whole else '...'}; it was deleted: try again later, or from another place"
        )


def _complete(download: _Download) -> None:
    """Append what is missing, in as many attempts as bring something new."""
    import requests

    failures = 0
    with requests.Session() as session:
        session.trust_env = not _is_this_machine(download.url)  # no proxy between this machine and itself
        while True:
            before = download.end()
            try:
                _attempt(session, download)
                return
            except (requests.ConnectionError, requests.Timeout, TransientError) as error:
                now = download.end()
                failures = 1 if now > before else failures + 1
                if failures >= ATTEMPTS or time.monotonic() > download.until:
                    raise TransientError(
                        f"{download.url}: {_why(error)}; {now:,} bytes are kept: the same command goes on from there"
                    ) from error
                time.sleep(PAUSE_SECONDS * 2 ** (failures - 1))


def _attempt(session: Session, download: _Download) -> None:
    """One connection: append what comes. TransientError where that is not all."""
    start = download.end()
    with _open(session, download.url, start) as response:
        if response.status_code == 416 and start:
            return  # nothing lies beyond: it is whole, or the hash will tell
        _refuse_status(response, download.url)
        if response.status_code != 206:  # the host knows no ranges, and sends it from the beginning
            download.restart()
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise TransientError("the host sent another part than asked for")
        rest = length(response.headers.get("Content-Length"))
        _refuse_size(download, start + (rest or 0))
        if rest is not None and rest > shutil.disk_usage(download.partial.parent).free:
            raise _disk_full(download.partial, rest)
        with Progress(download.wanted.name, rest and rest // 1000, "kB") as progress:
            got = 0
            for data in _pieces(response, download.until):
                got += len(data)
                _refuse_size(download, start + got)
                download.stream.write(data)
                progress.advance(got // 1000 - progress.done)
    if rest is not None and got < rest:
        raise TransientError(f"cut off after {start + got:,} bytes")


def _open(session: Session, url: str, start: int) -> Response:
    """Ask for the file from byte `start` on, through redirects that stay on https."""
    headers = {"Accept-Encoding": "identity", "User-Agent": f"lhq-toolkit/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    for _ in range(REDIRECTS + 1):
        _refuse_plain(url)
        response = session.get(
            url, headers=headers, stream=True, allow_redirects=False, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)
        )
        if not response.is_redirect:
            return response
        response.close()
        try:
            url = urljoin(url, response.headers["Location"])
        except ValueError:
            raise SetupError(
                f"{url} redirects to what is no address: name another mirror with LHQ_WEIGHTS_URL"
            ) from None
    raise SetupError(f"{url}: more than {REDIRECTS} redirects")


def _pieces(response: Response, until: float) -> Iterator[bytes]:
    """What comes, as it comes; TransientError when the connection breaks or time is up."""
    from urllib3.exceptions import HTTPError

    while True:
        try:
            data: bytes = response.raw.read1(CHUNK)
        except (HTTPError, ConnectionError) as error:
            raise TransientError(f"the connection broke ({_why(error)})") from error
        if not data:
            return
        yield data
        if time.monotonic() > until:
            raise TransientError(f"not whole after {LIMIT_SECONDS / 60:.0f} minutes")


def _refuse_plain(url: str) -> None:
    """SetupError for an address that is neither https nor, where that is allowed, http on this machine."""
    scheme = urlsplit(url).scheme
    if scheme == "https":
        return
    if scheme == "http" and _is_this_machine(url) and os.environ.get("LHQ_ALLOW_PRIVATE_HOSTS") == "1":
        return
    raise SetupError(f"{url} is not https: weights are fetched over https only")


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_status(response: Response, url: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in (408, 425, 429) or status >= 500:
        raise TransientError(f"the host answers {status} {response.reason}")
    raise SetupError(f"{url}: the host answers {status} {response.reason}: the file is not there for us")


def _refuse_size(download: _Download, size: int) -> None:
    if size > download.largest:
        download.partial.unlink()
        raise SetupError(
            f"{download.url} sends more than the {download.largest:,} bytes that {download.wanted.name} may have; "
            f"what came was deleted"
        )


def _disk_full(partial: Path, needed: int | None = None) -> SetupError:
    room = f" ({needed:,} bytes are needed)" if needed else ""
    return SetupError(
        f"no room for {partial} on its disk{room}: free space, or set LHQ_CACHE to another folder, and run the same "
        f"command again"
    )


def _why(error: BaseException) -> str:
    """The innermost reason, in one line."""
    while error.__context__ is not None and not isinstance(error, TransientError):
        error = error.__context__
    return str(error).partition("\n")[0] or type(error).__name__
