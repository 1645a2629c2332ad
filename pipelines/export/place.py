"""Where an export may go besides a folder: any object store or server that fsspec knows, by its URL.

An object appears under its final name only when it is whole. Object stores do so by themselves: an upload that
breaks leaves nothing. On anything else a file is sent under a temporary name and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from manifests import atomic, plain_json
from manifests.errors import MisuseError, SetupError, TransientError
from manifests.plugins import line

WHOLE_OR_NOT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl"}  # an object is there once its upload ended
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://(?:(?!::)[^\x00-\x20\x7f])+")  # '::' would put one file system into another
CONNECTIONS = 8  # uploads at a time


def is_url(text: str) -> bool:
    """Whether an export's place is a URL and not a path."""
    return "://" in text


@dataclass(frozen=True)
class Remote:
    """A folder of a remote file system."""

    url: str  # as given
    filesystem: Any  # fsspec's
    root: str  # in the file system
    protocol: str

    @staticmethod
    def open(url: str) -> Remote:
        """The place at a URL; MisuseError or SetupError where there is no way to it."""
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise MisuseError(f"{url} is no URL ({error})") from error
        if parts.password or "@" in parts.netloc:
            raise MisuseError("the URL holds a name or password: leave them out and use the store's own settings")
        if not _ADDRESS.fullmatch(url):
            raise MisuseError(f"{url} is no plain URL: give one such as s3://bucket/name")
        try:
            import fsspec

            filesystem, root = fsspec.url_to_fs(url)
        except ImportError as error:
            raise SetupError(f"{url}: {error}") from error
        except Exception as error:  # file systems have each their own
            raise MisuseError(f"{url} cannot be exported to ({line(error)})") from error
        return Remote(url.rstrip("/"), filesystem, str(root).rstrip("/"), parts.scheme)

    def read(self, name: str) -> bytes | None:
        """A file of the folder; None where there is none."""
        with self._naming():
            try:
                return bytes(self.filesystem.cat_file(f"{self.root}/{name}"))
            except FileNotFoundError:
                return None

    def is_empty(self) -> bool:
        """Whether nothing lies there."""
        with self._naming():
            self.filesystem.invalidate_cache()
            try:
                return not self.filesystem.find(self.root, maxdepth=None)
            except FileNotFoundError:
                return True

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        with self._naming():
            try:
                return int(self.filesystem.info(f"{self.root}/{name}", refresh=True)["size"])
            except TypeError:  # a file system without `refresh`
                return int(self.filesystem.info(f"{self.root}/{name}")["size"])
            except FileNotFoundError:
                return None

    def put(self, file: Path, name: str) -> None:
        """Send a file. Its name appears when all of it is there; an older file of that name is replaced."""
        final = f"{self.root}/{name}"
        with self._naming():
            if self.protocol in WHOLE_OR_NOT:
                self.filesystem.put_file(str(file), final)
                return
            folder, _, last = final.rpartition("/")
            # The same again after a kill, so that what was half sent is written over; nobody else's.
            whose = hashlib.sha256(f"{socket.gethostname()} {file.absolute()}".encode()).hexdigest()[:8]
            temporary = f"{folder}/{atomic.TEMPORARY}{whose}-{last}"
            self.filesystem.makedirs(folder, exist_ok=True)
            try:
                self.filesystem.put_file(str(file), temporary)
                if self.filesystem.exists(final):
                    self.filesystem.rm_file(final)
                self.filesystem.mv(temporary, final)
            except BaseException:
                with contextlib.suppress(Exception):
                    self.filesystem.rm_file(temporary)
                raise

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """What the store's library raises, as one line that names the place."""
        try:
            yield
        except PermissionError as error:
            raise SetupError(f"{self.url}: access is denied ({error}); check the store's credentials") from error
        except OSError as error:
            raise TransientError(f"{self.url}: {error}; run the same command again") from error
        except Exception as error:  # libraries of stores have exceptions of their own
            if type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp", "google", "azure"):
                raise TransientError(
                    f"{self.url}: {type(error).__name__}: {error}; run the same command again"
                ) from error
            raise SetupError(f"{self.url} cannot be used ({line(error)}): check the URL and its library") from error


def send(remote: Remote, out: Path, names: Sequence[str], journal: Path, sent: Callable[[], None]) -> None:
    """Send files of the folder `out`, several at a time; those that `journal` names and that are there are passed over.

    Calls `sent` for each file that is there.
    """
    done = _read_journal(journal)
    with ThreadPoolExecutor(CONNECTIONS) as threads, journal.open("a", encoding="utf-8") as notes:

        def one(name: str) -> None:
            file = out / name
            if done.get(name) != file.stat().st_mtime_ns or remote.size(name) != file.stat().st_size:
                remote.put(file, name)
                notes.write(json.dumps([name, file.stat().st_mtime_ns]) + "\n")
                notes.flush()
            sent()

        tasks = [threads.submit(one, name) for name in names]
        finished, waiting = wait(tasks, return_when=FIRST_EXCEPTION)
        for task in waiting:
            task.cancel()
        for task in finished:
            task.result()


def _read_journal(path: Path) -> dict[str, int]:
    """Names that were sent, with the time stamp of what was sent."""
    found: dict[str, int] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError, TypeError):  # a line that a kill cut
                name, stamp = plain_json.loads(line)
                found[name] = int(stamp)
    return found
