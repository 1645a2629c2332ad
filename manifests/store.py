"""The content-addressed image store: originals by the sha256 of their bytes, kept as received."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from manifests import atomic


@dataclass(frozen=True)
class Stored:
    """Where an image lies; `path` is relative to the dataset, with forward slashes."""

    sha256: str
    path: str


class ImageStore:
    """The `images/` folder of the dataset at `root`. Placing the same bytes twice is safe from any process."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def relative_path(self, sha256: str, extension: str) -> str:
        """`images/ab/<sha256>.<extension>`."""
        return f"images/{sha256[:2]}/{sha256}.{extension}"

    def sweep(self) -> None:
        """Remove what interrupted placements left; call under the crawl's lock."""
        for folder in (self.root / "images").glob("??"):
            atomic.sweep_temporaries(folder)

    @contextmanager
    def batch(self) -> Iterator[Placing]:
        """Place images inside; they are durable once the block is left without an error."""
        placing = Placing(self)
        try:
            yield placing
            placing.commit()
        finally:
            placing.abandon()


@dataclass
class Placing:
    """Images on their way into the store: written under temporary names, then synced and named together."""

    store: ImageStore
    _waiting: list[tuple[Path, Path]] = field(default_factory=list)  # temporary, final
    _folders: set[Path] = field(default_factory=set)

    def add(self, data: bytes, extension: str) -> Stored:
        """Write one image; its final name appears at `commit`."""
        sha256 = hashlib.sha256(data).hexdigest()
        relative = self.store.relative_path(sha256, extension)
        final = self.store.root / relative
        self._folders.add(final.parent)  # also when the file is there: whoever placed it may have died before syncing
        if not (final.exists() and final.stat().st_size == len(data)):
            if not final.parent.is_dir():
                atomic.make_folder(final.parent)
            temporary = atomic.temporary_beside(final)
            self._waiting.append((temporary, final))
            temporary.write_bytes(data)
        return Stored(sha256, relative)

    def commit(self) -> None:
        for temporary, _ in self._waiting:
            atomic.fsync(temporary)
        for temporary, final in self._waiting:
            temporary.replace(final)
        for folder in self._folders:
            atomic.fsync(folder)
        self._waiting.clear()
        self._folders.clear()

    def abandon(self) -> None:
        """Remove what was not committed."""
        for temporary, _ in self._waiting:
            temporary.unlink(missing_ok=True)
        self._waiting.clear()
