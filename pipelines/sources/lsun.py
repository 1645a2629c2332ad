"""The `lsun` source: LMDB folders as LSUN ships them, `tower_train_lmdb` and its like (https://github.com/fyu/lsun).

A key names a picture for ever (`lsun:<key>`), its value is the file: WebP in the released sets, whatever their README
says, so its first bytes decide. Databases are opened for reading only, without locks: a mounted or shared folder is
not written to. Each worker process opens its own (LMDB's handles do not survive a fork), once.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lmdb

from manifests.errors import InputError, MisuseError, SetupError
from manifests.licenses import UNKNOWN, attribution
from manifests.probe import MAX_BYTES, TOO_BIG
from manifests.records import Photo
from manifests.tags import normalise_tags
from pipelines.engine.share import Share
from pipelines.sources.base import Fetched, Found, Listing, Page, Source, Wanted
from pipelines.web.fields import mapping, stored

PAGE = 4096  # keys
DATA = "data.mdb"
RIGHTS = (
    "LSUN tells neither author nor licence of its pictures: their rights are unknown, "
    "do not redistribute them before you know them"
)

_ADVICE = "if its download broke off, go on with it (curl -C - -O URL) and unpack it again"
_WALK = Path(__file__).with_name("lsun_walk.py")
_SPLIT = re.compile(r"_(?:train|val|test)$")
_opened: dict[tuple[int, str], lmdb.Environment] = {}  # by process and folder: LMDB forbids a second one
_opening = threading.Lock()


class Lsun(Source):
    """All pictures of the databases at `paths`: LMDB folders, or folders that hold some. `limit`: the first so many.

    Raises MisuseError or SetupError where there is nothing of the kind, or only a part of it.
    """

    name = "lsun"
    lists_anew = True  # so that only the databases named are read, though others were before

    def __init__(self, paths: Sequence[Path], limit: int | None = None) -> None:
        self._limit = limit
        self._folders = _by_name([folder for path in paths for folder in _find(path)])
        self._skipped = 0
        for folder in self._folders.values():
            _check(folder)

    @property
    def entries(self) -> int:
        """Pictures in all databases."""
        return sum(int(_environment(folder).stat()["entries"]) for folder in self._folders.values())

    @property
    def bytes(self) -> int:
        """Size of all databases, a little more than that of their pictures."""
        return sum((folder / DATA).stat().st_size for folder in self._folders.values())

    def pages(self, listing: Listing) -> Iterator[Page]:  # noqa: ARG002 (nothing is remembered)
        """Every key in order, database by database; what its value is, a worker finds out."""
        now = datetime.now(UTC)
        left = self._limit
        for name, folder in self._folders.items():
            photos = itertools.islice(self._photos(name, folder, now), left)
            count = 0
            while some := list(itertools.islice(photos, PAGE)):
                yield Page([Found(photo, _category(name), count + at) for at, photo in enumerate(some)])
                count += len(some)
            if left is not None and (left := left - count) == 0:
                return

    def prepare(self, photo: Mapping[str, Any]) -> str | None:
        """The name of its database. InputError where its row has none of those that are crawled."""
        name = mapping(stored(photo["extra"])).get("database")
        if not isinstance(name, str) or name not in self._folders:
            raise InputError("its row names no database of --path")
        return name

    def fetcher(self) -> LsunFetcher:
        return LsunFetcher({name: str(folder) for name, folder in self._folders.items()})

    def notes(self) -> Sequence[str]:
        lines = [f"left out: keys that are no plain text ({self._skipped:,})"] if self._skipped else []
        return [RIGHTS, *lines]

    def _photos(self, name: str, folder: Path, now: datetime) -> Iterator[Photo]:
        tags = (_SPLIT.sub("", _category(name)),)
        for key in _keys(folder):
            if (text := _text(key)) is None:
                self._skipped += 1
                continue
            yield Photo(
                photo_id=f"{self.name}:{text}",
                source=self.name,
                source_id=text,
                seen_at=now,
                tags_raw=tags,
                tags=normalise_tags(tags),
                license=UNKNOWN.spdx,
                attribution=attribution(None, None, UNKNOWN, None),
                extra=json.dumps({"database": name}),
            )


@dataclass(frozen=True)
class LsunFetcher:
    """Reads values from databases by name; the processes that open it each get a handle of their own."""

    folders: Mapping[str, str]
    parallel: int = 1
    most_workers: int | None = None

    def open(self, share: Share) -> LsunFetcher:  # noqa: ARG002 (a disk has no limit to share)
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        """The value under the photo's key, as it stands. InputError where there is none, or it cannot be read."""
        environment = _environment(Path(self.folders[wanted.url or ""]))
        key = wanted.photo_id.removeprefix(f"{Lsun.name}:").encode()
        try:
            with environment.begin(buffers=True) as transaction:
                value = transaction.get(key)
                if value is None:
                    raise InputError("its key is gone from the database")
                if len(value) > MAX_BYTES:
                    raise InputError(TOO_BIG)
                return Fetched(bytes(value))
        except lmdb.Error as error:
            raise InputError(f"LMDB cannot read it ({_said(error)})") from error


# Finding and opening.


def _find(path: Path) -> list[Path]:
    """The LMDB folders that a path means."""
    if path.name == DATA and path.is_file():
        path = path.parent
    if not path.is_dir():
        raise MisuseError(f"--path {path}: there is no such folder (an LSUN zip must be unpacked first)")
    if (path / DATA).is_file():
        return [path]
    found = sorted(folder for folder in path.iterdir() if (folder / DATA).is_file())
    if not found:
        there = ", ".join(sorted(one.name for one in path.iterdir())[:5]) or "nothing"
        raise MisuseError(
            f"{path} is no LMDB and holds none (it holds: {there}): give folders such as tower_train_lmdb, "
            f"each with a {DATA}, or the folder they lie in"
        )
    return found


def _by_name(folders: Sequence[Path]) -> dict[str, Path]:
    resolved = {folder.resolve(): None for folder in folders}
    twice = [name for name, count in Counter(folder.name for folder in resolved).items() if count > 1]
    if twice:
        raise MisuseError(
            f"--path: two databases are called {twice[0]}: rename one, its name is kept with the pictures"
        )
    return {folder.name: folder for folder in resolved}


def _check(folder: Path) -> None:
    """SetupError for what is empty, no LMDB, shorter than its own header says, or broken inside.

    Reading past its end, or a page that is not there, would kill the process: so every key is first asked for in
    another one (`lsun_walk`), some seconds for a million.
    """
    size = (folder / DATA).stat().st_size
    environment = _environment(folder)
    facts, promised = environment.stat(), environment.info()["last_pgno"] + 1
    if size < promised * facts["psize"]:
        raise SetupError(
            f"{folder / DATA} is cut short: it has {size:,} of {promised * facts['psize']:,} bytes: {_ADVICE}"
        )
    if not facts["entries"]:
        raise SetupError(f"{folder} is an empty database: there is nothing to crawl")
    walked = subprocess.run([sys.executable, "-P", _WALK, folder], capture_output=True, text=True, check=False)
    if walked.returncode != 0:
        said = (walked.stderr.strip().splitlines() or [f"its reader died, {walked.returncode}"])[-1]
        raise SetupError(f"{folder / DATA} is damaged ({said}): {_ADVICE}")


def _keys(folder: Path) -> Iterator[bytes]:
    try:
        with _environment(folder).begin() as transaction, transaction.cursor() as cursor:
            yield from cursor.iternext(keys=True, values=False)
    except lmdb.Error as error:
        raise SetupError(f"{folder / DATA} is damaged ({_said(error)}): {_ADVICE}") from error


def _environment(folder: Path) -> lmdb.Environment:
    """This process's handle of a database, opened at the first call; SetupError where it cannot be opened."""
    place = os.getpid(), str(folder.resolve())
    with _opening:
        if place not in _opened:
            try:
                _opened[place] = lmdb.open(place[1], readonly=True, lock=False, readahead=False, create=False)
            except lmdb.Error as error:
                raise SetupError(f"{folder / DATA} cannot be opened as LMDB ({_said(error)}): {_ADVICE}") from error
        return _opened[place]


def _said(error: lmdb.Error) -> str:
    return str(error) or type(error).__name__


def _category(name: str) -> str:
    return name.removesuffix("_lmdb")


def _text(key: bytes) -> str | None:
    text = key.decode("ascii", errors="replace")
    return text if text.isascii() and text.isprintable() and " " not in text else None
