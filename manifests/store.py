"""The content-addressed image store: originals by the sha256 of their bytes, kept as received."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from manifests import atomic
from manifests.errors import InputError
from manifests.locks import on_local_disk

_PATH = re.compile(r"images/([0-9a-f]{2})/(\1[0-9a-f]{62})\.[a-z0-9]+", re.ASCII)


def sha256_in(path: str | None) -> str | None:
    """The hash that a path of a stored image names; None for any other text, such as one that leads elsewhere."""
    match = _PATH.fullmatch(path or "")
    return match[2] if match else None


def read(root: Path, path: str | None) -> bytes:
    """The bytes of the image that lies at a path in the dataset at `root`.

    Raises InputError for a path that is none of the store's (rows may come from strangers), FileNotFoundError where
    the file is gone.
    """
    if path is None or sha256_in(path) is None:
        raise InputError("its path does not lie in the image store")
    return (root / path).read_bytes()


@dataclass(frozen=True)
class Stored:
    """Where an image lies; `path` is relative to the dataset, with forward slashes."""

    sha256: str
    path: str


@dataclass(frozen=True)
class Written:
    """An image on its way into the store. `temporary` is None where its bytes were there already."""

    stored: Stored
    final: Path
    temporary: Path | None


class ImageStore:
    """The `images/` folder of the dataset at `root`. Placing the same bytes twice is safe from anywhere."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def relative_path(self, sha256: str, extension: str) -> str:
        """`images/ab/<sha256>.<extension>`."""
        return f"images/{sha256[:2]}/{sha256}.{extension}"

    def sweep(self) -> None:
        """Remove what interrupted placements left; call under the crawl's lock."""
        for folder in (self.root / "images").glob("??"):
            with os.scandir(folder) as entries:
                leftovers = [entry.path for entry in entries if entry.name.startswith(atomic.TEMPORARY)]
            for leftover in leftovers:
                Path(leftover).unlink(missing_ok=True)

    def write(self, data: bytes, extension: str) -> Written:
        """Write one image under a temporary name; it is placed by `name`, or removed by `discard`."""
        sha256 = hashlib.sha256(data).hexdigest()
        stored = Stored(sha256, self.relative_path(sha256, extension))
        final = self.root / stored.path
        with contextlib.suppress(FileNotFoundError):
            if final.stat().st_size == len(data):
                return Written(stored, final, None)
        temporary = atomic.temporary_beside(final)
        try:
            try:
                temporary.write_bytes(data)
            except FileNotFoundError:
                final.parent.mkdir(parents=True, exist_ok=True)  # made durable by `name`
                temporary.write_bytes(data)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        return Written(stored, final, temporary)

    def name(self, images: Sequence[Written]) -> None:
        """Sync and place written images; when this returns they are durable under their final names."""
        fresh = [(image.temporary, image.final) for image in images if image.temporary is not None]
        self._fsync([temporary for temporary, _ in fresh])
        for temporary, final in fresh:
            temporary.replace(final)
        # Also where the file was there: whoever placed it may have died before syncing.
        folders = {image.final.parent for image in images}
        if folders:
            self._fsync([*folders, self.root / "images", self.root])

    def discard(self, images: Sequence[Written]) -> None:
        """Remove written images that are not placed."""
        for image in images:
            if image.temporary is not None:
                image.temporary.unlink(missing_ok=True)

    @contextmanager
    def batch(self) -> Iterator[Placing]:
        """Place images inside; they are durable once the block is left without an error."""
        placing = Placing(self)
        try:
            yield placing
            self.name(placing.images)
        finally:
            self.discard(placing.images)

    def _fsync(self, paths: Sequence[Path]) -> None:
        if self._is_local:
            atomic.fsync_all(paths, self.root / "images")
        else:
            for path in paths:
                atomic.fsync(path)

    @cached_property
    def _is_local(self) -> bool:
        return on_local_disk(self.root)


@dataclass
class Placing:
    """Images of one batch."""

    store: ImageStore
    images: list[Written] = field(default_factory=list)

    def add(self, data: bytes, extension: str) -> Stored:
        """Write one image; its final name appears when the batch is left."""
        self.images.append(self.store.write(data, extension))
        return self.images[-1].stored
