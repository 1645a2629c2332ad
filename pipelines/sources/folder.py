"""The `folder` source: every file with an image extension below a folder is a photo."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests.counts import plural
from manifests.errors import InputError, MisuseError, SetupError, TransientError
from manifests.probe import MAX_BYTES
from manifests.records import Photo
from pipelines.engine import threads
from pipelines.engine.progress import Progress
from pipelines.engine.share import Share
from pipelines.sources import metadata as metadata_file
from pipelines.sources.base import Fetched, Found, Listing, Page, Source, StoredFile, Wanted

EXTENSIONS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".tif",
        ".tiff",
        ".bmp",
        ".avif",
        ".heic",
        ".heif",
        ".jp2",
        ".jxl",
    ]
)
PAGE = 1024


@dataclass(frozen=True)
class Folder(Source):
    """Photos below `root`, named `folder:<label>/<relative path>`; made by `scan`."""

    root: Path
    label: str
    files: Sequence[str]  # relative to root, with forward slashes, sorted
    left: Mapping[str, int]  # files left aside, by extension
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # metadata by file
    rows_unused: int = 0
    name = "folder"
    lists_anew: bool = True

    @staticmethod
    def scan(root: Path, label: str | None = None, metadata: Path | None = None, leave: Path | None = None) -> Folder:
        """List the folder, but not `leave`, and match its metadata; MisuseError where there is nothing to take."""
        if not root.is_dir():
            raise MisuseError(f"--path {root}: there is no such folder")
        label = label or root.resolve().name
        if leave and (leave / "dataset.json").exists() and root.resolve().is_relative_to(leave.resolve()):
            raise MisuseError(f"--path {root} lies in the dataset {leave}, which cannot be its own source")
        if not label or "/" in label or not label.isprintable():
            raise MisuseError(f"--label {label!r}: use printable characters and no '/'")
        files, left = _list(root, leave)
        if not files:
            others = ", ".join(f"{count} {kind}" for kind, count in left.items()) or "it is empty"
            raise MisuseError(
                f"no image files under {root} ({others}); give a folder that holds photographs with --path"
            )
        if metadata is None:
            return Folder(root, label, files, left)
        table = metadata_file.read(metadata)
        rows = table.matched(root, files)
        return Folder(root, label, files, left, rows, len(table.rows) - len(rows))

    def photo_id(self, file: str) -> str:
        """The id of a file given relative to the root."""
        return f"folder:{self.label}/{file}"

    def check(self, stored: Mapping[str, StoredFile]) -> None:
        """Refuse a file whose bytes are not those stored under its id; every file of a stored id is read again."""
        known = [file for file in self.files if self.photo_id(file) in stored]
        other = []
        with Progress(f"{self.label}: compare", len(known)) as progress:
            for file, differs in zip(known, threads.mapped(lambda one: self._differs(one, stored), known), strict=True):
                other += [file] if differs else []
                progress.advance(1)
        if other:
            shown = ", ".join(self.photo_id(file) for file in other[:3]) + (", ..." if len(other) > 3 else "")
            raise MisuseError(
                f"{plural(len(other), 'file')} under {self.root} with other bytes than the dataset holds under the "
                f"same id ({shown}); nothing was changed: use another --label for another set of photos"
            )

    def _differs(self, file: str, stored: Mapping[str, StoredFile]) -> bool:
        known = stored[self.photo_id(file)]
        path = self.root / file
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                return False  # a pipe would keep us waiting; what is stored stays
            if facts.st_size != known.bytes:
                return True
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() != known.sha256
        except OSError:
            return False  # unreadable now; what is stored stays

    def pages(self, listing: Listing) -> Iterator[Page]:  # noqa: ARG002 (listed anew each time)
        now = datetime.now(UTC)
        for start in range(0, len(self.files), PAGE):
            files = self.files[start : start + PAGE]
            yield Page([Found(self._photo(file, now), self.label, start + at) for at, file in enumerate(files)])

    def _photo(self, file: str, now: datetime) -> Photo:
        return Photo(
            photo_id=self.photo_id(file),
            source=self.name,
            source_id=f"{self.label}/{file}",
            seen_at=now,
            **self.rows.get(file, {}),
        )

    def notes(self) -> Sequence[str]:
        lines = []
        if self.left:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.left.items())
            lines.append(f"{plural(sum(self.left.values()), 'other file')} left under {self.root} ({kinds})")
        if self.rows_unused:
            lines.append(f"{plural(self.rows_unused, 'metadata row')} matched no file under {self.root}")
        if self.rows and (without := len(self.files) - len(self.rows)):
            lines.append(f"{plural(without, 'photo')} under {self.root} without a metadata row")
        return [*lines, *metadata_file.notes(self.rows)]

    def fetcher(self) -> FolderFetcher:
        return FolderFetcher(self.root.resolve(), len(self.photo_id("")))


@dataclass(frozen=True)
class FolderFetcher:
    """Reads files below `root`; the first `prefix` characters of a photo id are its source and label."""

    root: Path
    prefix: int
    parallel: int = 1
    most_workers: int | None = None

    def open(self, share: Share) -> FolderFetcher:  # noqa: ARG002 (a disk is not shared out)
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        path = self.root / wanted.photo_id[self.prefix :]
        try:
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                raise InputError("not a regular file")
            if facts.st_size > MAX_BYTES:
                raise InputError(f"larger than {MAX_BYTES // 1_000_000} MB")
            return Fetched(path.read_bytes())
        except FileNotFoundError as error:
            raise InputError("the file is gone from its folder") from error
        except PermissionError as error:
            raise InputError("the file may not be read") from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise InputError("a link that leads nowhere") from error
            raise TransientError(f"reading failed: {error.strerror}") from error


def _list(root: Path, leave: Path | None) -> tuple[list[str], dict[str, int]]:
    files, left = [], Counter[str]()
    left_out = leave.resolve() if leave is not None else None
    for folder, inner, names in os.walk(root, onerror=_raise):
        inner[:] = [name for name in inner if left_out is None or (Path(folder) / name).resolve() != left_out]
        left["links to folders"] += sum((Path(folder) / name).is_symlink() for name in inner)  # they are not entered
        for name in names:
            file = (Path(folder) / name).relative_to(root).as_posix()
            extension = Path(name).suffix.lower()
            if not _is_text(file):
                left["with a name that is not UTF-8"] += 1
            elif extension in EXTENSIONS:
                files.append(file)
            else:
                left[extension or "without extension"] += 1
    return sorted(files), dict(sorted((+left).items(), key=lambda kind: (-kind[1], kind[0])))


def _raise(error: OSError) -> None:
    raise SetupError(f"cannot list {error.filename}: {error.strerror}") from error


def _is_text(name: str) -> bool:
    """False for a name that is not UTF-8, which no table could hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
