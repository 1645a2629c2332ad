"""The contract of a source: it lists photographs (in the driver) and fetches their bytes (in workers).

Listing: each source's `pages` runs in a thread of its own, so that one that waits for its quota holds up no other.
A page is committed (its rows in the tables, then its task's cursor in crawl.sqlite) before the generator is asked
for the next, so a killed crawl reads no page twice but the one in flight. Fetching begins when the source is
listed. What a source raises from `pages`: TransientError and InputError end its listing for this run (what was
listed is still fetched, the exit code is 1); anything else ends the run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from manifests.errors import InputError, TransientError
from manifests.plugins import misdeclared
from manifests.probe import Header
from manifests.records import Photo
from pipelines.engine.share import Share


@dataclass(frozen=True)
class Found:
    """One photo as a query found it; rank counts from 0 within the query.

    `query` None: the photo was looked up, no query found it, so there is no sighting. `brief`: the source tells
    less here than it does elsewhere; the row is written where the photo is new and never supersedes another.
    """

    photo: Photo
    query: str | None
    rank: int = 0
    brief: bool = False


@dataclass(frozen=True)
class Page:
    """What one request (or one slice of a file) brought.

    `task` names what is remembered, such as a query under one licence: after the page is committed the task's
    cursor is `cursor`, any text the source understands, and with `done` the task is read to its end. A task of
    None remembers nothing: such pages are committed in groups, and listed anew by every run.
    """

    found: Sequence[Found] = ()
    task: str | None = None
    cursor: str = ""
    done: bool = False


class Listing(Protocol):
    """What is known of a source's earlier pages, of this run and those before it."""

    def cursor(self, task: str) -> str | None:
        """Where the task goes on: the cursor of its last committed page; None where nothing of it was read."""

    def is_done(self, task: str) -> bool:
        """Whether the task was read to its end."""

    def photos(self, columns: Sequence[str]) -> pa.Table:
        """The current rows of the photos whose `source` this is, as far as they are committed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One photo to fetch. `url` is what `prepare` returned; width and height (pixels) are what the source promises."""

    photo_id: str
    url: str | None = None
    width: int | None = None
    height: int | None = None
    source: str = ""


@dataclass(frozen=True)
class Fetched:
    """Bytes of one photo as received; `header` where they were probed already."""

    data: bytes
    http_status: int | None = None
    header: Header | None = None


class UnavailableError(TransientError):
    """A passing trouble of a host, with the HTTP status if there was an answer."""

    def __init__(self, text: str, http_status: int | None = None) -> None:
        super().__init__(text)
        self.http_status = http_status


class RefusedError(InputError):
    """A photo that its host does not give, or that we may not take, with the HTTP status if there was an answer."""

    def __init__(self, text: str, http_status: int | None = None) -> None:
        super().__init__(text)
        self.http_status = http_status


class HostDownError(UnavailableError):
    """A host that failed too often in a row: the photo was not tried, gets no row, and is left for the next run."""


class Fetching(Protocol):
    """Gets bytes, in a worker; at most `parallel` calls of `fetch` run at once in one process."""

    @property
    def parallel(self) -> int: ...

    def fetch(self, wanted: Wanted) -> Fetched:
        """Bytes as received. Raises TransientError for what may succeed later, InputError for what never will."""


class Fetcher(Protocol):
    """What workers fetch with. Picklable, holds no key and no open thing.

    `most_workers`: how many can share its limits; None: any number.
    """

    @property
    def most_workers(self) -> int | None: ...

    def open(self, share: Share) -> Fetching:
        """Called once per worker process, before the first fetch."""


@dataclass(frozen=True)
class StoredFile:
    """What the dataset already holds for a photo of this source."""

    sha256: str
    bytes: int


class Source(ABC):
    """A place photographs come from."""

    name: ClassVar[str]  # on the command line; first part of its photo ids, unless it shares another source's
    lists_anew: bool = False  # every run lists everything, and fetches only what it listed
    no_download: str | None = None  # why its photos are listed only; None: they are fetched

    def check(self, stored: Mapping[str, StoredFile]) -> None:  # noqa: B027 (most have nothing to check)
        """Called once before anything is written, with the ok files this source brought before.

        Raises SetupError where going on would contradict what is stored.
        """

    @abstractmethod
    def pages(self, listing: Listing) -> Iterator[Page]:
        """Everything the source has that was not read before, in pages of a size it chooses."""

    def recheck(self, listing: Listing) -> Iterator[Page]:  # noqa: ARG002
        """Known photos looked up again (`--recheck`), as Found without a query: relicensed, or marked gone in `extra`.

        Tasks that begin with `recheck` are forgotten once it ends, so that the next `--recheck` begins anew.
        """
        return iter(())

    def prepare(self, photo: Mapping[str, Any]) -> str | None:
        """The URL to fetch, asked right before the photo goes to a worker, in one driver thread per source.

        `photo` has photo_id, image_url, width, height and extra. May call the API; may wait for a quota. What it
        raises (TransientError, InputError) becomes the photo's row.
        """
        url: str | None = photo["image_url"]
        return url

    @abstractmethod
    def fetcher(self) -> Fetcher:
        """What workers fetch with."""

    def stop(self) -> None:  # noqa: B027 (most never wait)
        """The run ends, called from another thread: what waits in `pages` or `prepare` raises soon."""

    def notes(self) -> Sequence[str]:
        """Lines for the closing summary: what was left aside and why."""
        return []


class SourceSettings(BaseModel):
    """What `lhq crawl --set source.name=value` may say to a source of another package."""

    model_config = ConfigDict(frozen=True, extra="forbid")


S = TypeVar("S", bound=SourceSettings)


class PluginSource(Source, Generic[S]):
    """A source of another package: `lhq crawl --source <its name>`. It is made from its settings alone.

    Making it opens no connection; MisuseError or SetupError where the settings cannot be worked with.
    """

    settings_type: ClassVar[type[SourceSettings]]

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @classmethod
    def problem(cls) -> str | None:
        """What is wrong with the class as it is declared; None where nothing is seen to be."""
        return misdeclared(cls, SourceSettings, version=False)
