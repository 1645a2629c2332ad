"""The two API sources, set up to meet the made-up web; a clock that makes waits cost nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from fakes import FakeWeb
from fakes import flickr as fake_flickr
from fakes import unsplash as fake_unsplash

from manifests import schema
from manifests.records import Photo
from pipelines.sources import flickr, unsplash
from pipelines.sources.base import UnavailableError
from pipelines.web.api import Api
from pipelines.web.clock import Clock
from pipelines.web.download import WebFetcher
from pipelines.web.keys import Secret
from pipelines.web.quota import Quota
from pipelines.web.rate import Rate

AGENT = "lhq-toolkit/test (+tests@example.org)"
ENDLESS = Rate(1_000_000, 3600.0)


def rows_of(photos: Iterable[Photo]) -> pa.Table:
    """Photos as the table holds them."""
    return pa.Table.from_pylist([dataclasses.asdict(photo) for photo in photos], schema=schema.PHOTOS)


class Hasty(Clock):
    """Waits pass at once; `waits` tells them. Time runs on between them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def now(self) -> float:
        return time.time() + sum(self.waits)

    def wait(self, seconds: float) -> None:
        if self._stopped.is_set():
            raise UnavailableError("the run was stopped")
        self.waits.append(max(0.0, seconds))


def unsplash_api(web: FakeWeb, state: Path, *, rate: Rate = ENDLESS, clock: Clock | None = None, **more: Any) -> Api:
    """The Unsplash API of the made-up web; waits cost nothing unless a clock is given."""
    key, clock = Secret(fake_unsplash.KEY), clock or Hasty()
    quota = Quota(key.fingerprint(), rate, state, clock)
    more = {"url": web.env["LHQ_UNSPLASH_URL"], "clock": clock, "tell": lambda line: None, **more}
    return unsplash.connect(key, quota, AGENT, **more)


def flickr_api(web: FakeWeb, state: Path, *, rate: Rate = ENDLESS, clock: Clock | None = None, **more: Any) -> Api:
    """The Flickr API of the made-up web; waits cost nothing unless a clock is given."""
    key, clock = Secret(fake_flickr.KEY), clock or Hasty()
    quota = Quota(key.fingerprint(), rate, state, clock)
    more = {"url": web.env["LHQ_FLICKR_URL"], "clock": clock, "tell": lambda line: None, **more}
    return flickr.connect(key, quota, AGENT, **more)


def unsplash_of(web: FakeWeb, state: Path, queries: Sequence[str], **more: Any) -> unsplash.Unsplash:
    """The source, on `unsplash_api`, with a downloader that is allowed on loopback."""
    fetcher = WebFetcher(unsplash.HOSTS, AGENT, loopback=True)
    return unsplash.Unsplash(queries, unsplash_api(web, state), fetcher, **{"permission": True, **more})


def flickr_of(web: FakeWeb, state: Path, queries: Sequence[str], **more: Any) -> flickr.Flickr:
    """The source, on `flickr_api`, with a downloader that is allowed on loopback."""
    fetcher = WebFetcher(flickr.HOSTS, AGENT, loopback=True)
    return flickr.Flickr(queries, flickr_api(web, state), fetcher, **more)
