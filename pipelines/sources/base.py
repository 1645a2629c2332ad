"""The contract of a source: it lists photographs (in the driver) and fetches their bytes (in workers)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from manifests.records import Photo


@dataclass(frozen=True)
class Found:
    """One photo as a query found it; rank counts from 0 within the query."""

    photo: Photo
    query: str
    rank: int


@dataclass(frozen=True)
class Fetched:
    """Bytes of one photo as received."""

    data: bytes
    http_status: int | None = None


class Fetcher(Protocol):
    """Gets bytes in a worker. Must be picklable and hold no key.

    `fetch` raises TransientError for what may succeed later, InputError for what never will.
    """

    def fetch(self, photo_id: str, image_url: str | None) -> Fetched: ...


@dataclass(frozen=True)
class StoredFile:
    """What the dataset already holds for a photo of this source."""

    sha256: str
    bytes: int


class Source(Protocol):
    """A place photographs come from."""

    @property
    def name(self) -> str:
        """What the command line calls it, and the first part of its photo ids."""

    def check(self, stored: Mapping[str, StoredFile]) -> None:
        """Called once before anything is written, with the ok files this source brought before.

        Raises SetupError where going on would contradict what is stored.
        """

    def pages(self) -> Iterator[Sequence[Found]]:
        """Everything the source has, in pages of a size it chooses."""

    def notes(self) -> Sequence[str]:
        """Lines for the closing summary: what was left aside and why."""

    def fetcher(self) -> Fetcher:
        """What workers fetch with."""
