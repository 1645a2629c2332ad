"""Sources as the command line describes them: which options each looks at, and how it is made from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lhq_toolkit import __version__
from manifests.errors import MisuseError, SetupError
from manifests.plugins import Group

if TYPE_CHECKING:
    from pipelines.sources.base import PluginSource, Source
    from pipelines.sources.unsplash_dataset import UnsplashDataset
    from pipelines.web.api import Api
    from pipelines.web.download import WebFetcher
    from pipelines.web.keys import Credentials, Secret
    from pipelines.web.rate import Rate

SOURCES: Group[PluginSource[Any]] = Group(
    "source",
    "lhq.sources",
    "pipelines.sources.base:PluginSource",
    ("unsplash", "flickr", "unsplash-dataset", "lsun", "folder", "synthetic"),
)
IMAGE_RATE = "20/s"
CONNECTIONS = 16
_WEB = ("unsplash", "flickr", "unsplash-dataset")
_APIS = ("unsplash", "flickr")
_KEYS = {"unsplash": "UNSPLASH_ACCESS_KEY", "flickr": "FLICKR_API_KEY"}


_USERS = {  # of each option; those that all sources heed are not here
    "paths": ("--path", ("folder", "unsplash-dataset", "lsun")),
    "label": ("--label", ("folder",)),
    "metadata": ("--metadata", ("folder",)),
    "limit": ("--limit", (*_WEB, "lsun", "synthetic")),
    "seed": ("--seed", ("synthetic",)),
    "objects": ("--objects", ("synthetic",)),
    "copies": ("--copies", ("synthetic",)),
    "control": ("--control", ("synthetic",)),
    "queries": ("--queries", _APIS),
    "full_tags": ("--full-tags", ("unsplash",)),
    "max_side": ("--max-side", ("unsplash", "unsplash-dataset")),
    "min_confidence": ("--min-confidence", ("unsplash-dataset",)),
    "have_permission": ("--have-permission", ("unsplash",)),
    "unsplash_quota": ("--unsplash-quota", ("unsplash",)),
    "flickr_quota": ("--flickr-quota", ("flickr",)),
    "flickr_licenses": ("--flickr-licenses", ("flickr",)),
    "image_rate": ("--image-rate", _WEB),
    "connections": ("--connections", _WEB),
    "use_proxy": ("--use-proxy", _WEB),
}


@dataclass(frozen=True)
class Options:
    """What was said of single sources; each option must belong to a source that was named."""

    paths: Sequence[Path] | None = None
    label: str | None = None
    metadata: Path | None = None
    limit: int | None = None
    seed: int | None = None
    objects: bool = False
    copies: bool = False
    control: bool = False
    queries: Path | None = None
    full_tags: bool = False
    max_side: int | None = None
    min_confidence: float | None = None
    have_permission: Sequence[str] | None = None
    unsplash_quota: str | None = None
    flickr_quota: str | None = None
    flickr_licenses: str | None = None
    image_rate: str | None = None
    connections: int | None = None
    use_proxy: bool = False
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # of sources of other packages

    def check(self, sources: Sequence[str]) -> None:
        """MisuseError for an unknown source, and for an option that none of the sources named would look at."""
        theirs = [name for name in sources if name not in SOURCES.ours]
        for name in theirs:
            SOURCES.plugin(name)
        for name in self.settings:
            if name not in theirs:
                why = "has options of its own" if name in SOURCES.ours else "is no --source that is named"
                raise MisuseError(f"--set {name}.{next(iter(self.settings[name]))}: {name} {why}")
        for name, (option, users) in _USERS.items():
            value = getattr(self, name)
            if name == "limit" and theirs:  # the crawl itself counts
                continue
            if not (value is None or value is False or value == []) and not set(users) & set(sources):
                raise MisuseError(
                    f"{option} is for --source {' or '.join(users)}, which is not named: name it, or leave {option} out"
                )
        if len(readers := [name for name in ("folder", "unsplash-dataset", "lsun") if name in sources]) > 1:
            raise MisuseError(f"{' and '.join(readers)} both read --path: crawl one after the other")
        if unknown := set(self.have_permission or ()) - {"unsplash"}:
            raise MisuseError(f"--have-permission {min(unknown)}: only unsplash asks for one")

    def path(self, source: str, what: str) -> Path:
        """The one --path of a source."""
        if not self.paths or len(self.paths) > 1:
            raise MisuseError(f"--source {source} needs one --path, {what}")
        return self.paths[0]


class Maker:
    """Makes the sources of one command. Keys are taken from the environment at once, before anything inherits it."""

    def __init__(self, names: Sequence[str], options: Options, dataset: Path) -> None:
        options.check(names)
        self.names, self.options, self.dataset = names, options, dataset
        self.queries: tuple[str, ...] = ()  # what the APIs are searched for
        if set(names) & set(_APIS):
            from manifests.queries import QUERIES, read_queries

            self.queries = read_queries(options.queries or QUERIES)
        self._keys: Credentials | None = None
        if set(names) & set(_WEB):
            from pipelines.web import keys

            self._keys = keys.take()

    def make(self) -> list[Source]:
        """All of them; nothing is asked of any host yet. An option that does not fit is told before keys that lack."""
        _ = self.image_rate, [self.rate(name) for name in self.names if name in _APIS]
        self.require_keys(self.names)
        return [self.one(name) if name in SOURCES.ours else self.theirs(name) for name in self.names]

    def require_keys(self, names: Sequence[str]) -> None:
        """SetupError that names everything these sources need of the environment and do not find."""
        from pipelines.web.api import is_loopback

        web = [name for name in names if name in _WEB]
        missing = [_KEYS[name] for name in web if name in _KEYS and not getattr(self._keys, name, None)]
        real = [name for name in web if name not in _APIS or not is_loopback(self._api_url(name))]
        if real and not (self._keys and self._keys.contact):
            missing.append("LHQ_CONTACT (an e-mail address or a URL: hosts are told whom to write to)")
        if missing:
            be, them = ("is", "it") if len(missing) == 1 else ("are", "them")
            raise SetupError(f"{', '.join(missing)} {be} not set: put {them} into the environment, or into a file .env")

    def one(self, name: str) -> Source:
        """A source of ours by its name."""
        options = self.options
        if name == "unsplash":
            return self._unsplash()
        if name == "flickr":
            return self._flickr()
        if name == "unsplash-dataset":
            from pipelines.sources.unsplash import HOSTS

            return self.release(self._fetcher(HOSTS))
        if name == "lsun":
            from pipelines.sources.lsun import Lsun

            if not options.paths:
                raise MisuseError("--source lsun needs --path, a folder such as tower_train_lmdb; it may be repeated")
            return Lsun(options.paths, options.limit)
        if name == "folder":
            from pipelines.sources.folder import Folder

            root = options.path(name, "the folder that holds the photographs")
            return Folder.scan(root, options.label, options.metadata, leave=self.dataset)
        from pipelines.sources.synthetic import Synthetic

        if options.limit is None:
            raise MisuseError("--source synthetic is endless: say how many scenes with --limit")
        return Synthetic(
            options.limit,
            options.seed or 0,
            copies=options.copies,
            control=options.control,
            objects=options.objects,
        )

    def theirs(self, name: str) -> Source:
        """A source of another package by its name."""
        from manifests.settings import validated

        kind = SOURCES.load(name)
        if kind.lists_anew and self.options.limit is not None:
            raise MisuseError(f"--limit: {name} lists everything anew in every run; leave it out")
        return kind(validated(kind.settings_type, self.options.settings.get(name, {}), f"{name}."))

    def rate(self, name: str) -> Rate:
        """How often an API may be asked."""
        from pipelines.sources import flickr, unsplash
        from pipelines.web.rate import Rate

        if name == "unsplash":
            asked, default = self.options.unsplash_quota, unsplash.QUOTA
        else:
            asked, default = self.options.flickr_quota, flickr.QUOTA
        return Rate.parse(asked, f"--{name}-quota") if asked else default

    def api(self, name: str) -> Api:
        """The API of `unsplash` or `flickr` under the user's key; SetupError where there is none."""
        from pipelines.sources import flickr, unsplash
        from pipelines.web.clock import Clock
        from pipelines.web.quota import Quota, state_folder

        self.require_keys([name])
        source = unsplash if name == "unsplash" else flickr
        key: Secret = getattr(self._keys, name)
        url, clock = self._api_url(name), Clock()
        quota = Quota(key.fingerprint(), self.rate(name), state_folder(), clock)
        proxy = bool(self.options.use_proxy)
        api: Api = source.connect(key, quota, self._agent, url=url, clock=clock, use_proxy=proxy)
        return api

    @cached_property
    def flickr_licenses(self) -> tuple[str, ...]:
        """Flickr's numbers of the licences that are searched."""
        from pipelines.sources import flickr

        asked = self.options.flickr_licenses
        return tuple(one.strip() for one in asked.split(",")) if asked else flickr.LICENSES

    def release(self, fetcher: WebFetcher | None = None) -> UnsplashDataset:
        """The release of the Unsplash Dataset; without a fetcher to look into only."""
        from pipelines.sources import unsplash_dataset
        from pipelines.web.download import WebFetcher

        confidence = self.options.min_confidence
        return unsplash_dataset.UnsplashDataset(
            self.options.path("unsplash-dataset", "the folder or zip file of a release"),
            fetcher or WebFetcher((), ""),
            min_confidence=unsplash_dataset.MIN_CONFIDENCE if confidence is None else confidence,
            max_side=self.options.max_side,
            loopback=_loopback(),
        )

    def _unsplash(self) -> Source:
        from pipelines.sources import unsplash

        return unsplash.Unsplash(
            self.queries,
            self.api("unsplash"),
            self._fetcher(unsplash.HOSTS),
            permission=self.has_permission,
            max_side=self.options.max_side,
            full_tags=bool(self.options.full_tags),
        )

    def _flickr(self) -> Source:
        from pipelines.sources import flickr

        fetcher = self._fetcher(flickr.HOSTS)
        return flickr.Flickr(self.queries, self.api("flickr"), fetcher, licenses=self.flickr_licenses)

    @property
    def has_permission(self) -> bool:
        """Whether Unsplash allowed the user this use."""
        return "unsplash" in (self.options.have_permission or ())

    @cached_property
    def image_rate(self) -> Rate | None:
        """How often an image host may be asked; None: no limit."""
        from pipelines.web.rate import Rate

        rate = self.options.image_rate or IMAGE_RATE
        return None if rate == "none" else Rate.parse(rate, "--image-rate")

    def _api_url(self, name: str) -> str:
        from pipelines.sources import flickr, unsplash

        if name == "unsplash":
            return os.environ.get("LHQ_UNSPLASH_URL") or unsplash.URL
        return os.environ.get("LHQ_FLICKR_URL") or flickr.URL

    def _fetcher(self, hosts: Sequence[str]) -> WebFetcher:
        from pipelines.web.download import WebFetcher

        return WebFetcher(
            tuple(hosts),
            self._agent,
            connections=self.options.connections or CONNECTIONS,
            rate=self.image_rate,
            loopback=_loopback(),
            use_proxy=bool(self.options.use_proxy),
        )

    @property
    def _agent(self) -> str:
        """The User-Agent."""
        from pipelines.web.identity import user_agent

        return user_agent(__version__, self._keys.contact if self._keys else None)


def _loopback() -> bool:
    """Whether image hosts may be on this machine, as tests want it."""
    return os.environ.get("LHQ_ALLOW_PRIVATE_HOSTS") == "1"
