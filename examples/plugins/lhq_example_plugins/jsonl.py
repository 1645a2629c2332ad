"""The source `jsonl`: pictures that a JSON-lines file lists, each line with what is known of one.

    {"file": "2019/sunset.jpg", "title": "Sunset", "tags": ["sea"], "author": "Ada", "license": "CC BY 4.0"}

Files are relative to the list. Crawl it with: lhq crawl DATASET --source jsonl --set jsonl.path=LIST.jsonl
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests.errors import InputError, SetupError
from manifests.licenses import attribution, normalise
from manifests.probe import MAX_BYTES, TOO_BIG
from manifests.records import Photo
from manifests.tags import normalise_tags
from pipelines.engine.share import Share
from pipelines.sources.base import Fetched, Found, Listing, Page, PluginSource, SourceSettings, Wanted

PAGE = 1024  # photos


class Settings(SourceSettings):
    """`path`: the list. `label`: first part of the ids, so that two lists may name the same file."""

    path: Path
    label: str = Field("list", pattern=r"[a-z0-9-]{1,40}")


class Line(BaseModel):
    """What a line may say."""

    model_config = ConfigDict(extra="ignore")
    file: str = Field(min_length=1)
    title: str | None = None
    tags: tuple[str, ...] = ()
    author: str | None = None
    license: str | None = None
    page_url: str | None = None


class JsonLines(PluginSource[Settings]):
    """Lists the file anew in every run; a line that is none is left aside and counted."""

    name = "jsonl"
    settings_type = Settings
    lists_anew = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        if not settings.path.is_file():
            raise SetupError(f"jsonl.path: there is no file {settings.path}")
        self._root = settings.path.resolve().parent
        self._left_aside = 0

    def pages(self, listing: Listing) -> Iterator[Page]:  # noqa: ARG002 (nothing is remembered)
        """All lines in their order."""
        found: list[Found] = []
        with self.settings.path.open("rb") as lines:
            for number, text in enumerate(lines):
                if (photo := self._photo(text)) is None:
                    self._left_aside += bool(text.strip())
                    continue
                found.append(Found(photo, self.settings.path.name, number))
                if len(found) == PAGE:
                    yield Page(found)
                    found = []
        yield Page(found)

    def prepare(self, photo: Mapping[str, Any]) -> str | None:
        """Where the file lies, below the list's folder."""
        return str(json.loads(photo["extra"])["file"])

    def fetcher(self) -> Files:
        return Files(str(self._root))

    def notes(self) -> Sequence[str]:
        return [f"{self._left_aside:,} lines left aside, which name no file below the list"] if self._left_aside else []

    def _photo(self, text: bytes) -> Photo | None:
        try:
            line = Line.model_validate_json(text)
        except ValidationError:
            return None
        path = PurePosixPath(line.file)
        if path.is_absolute() or ".." in path.parts:  # nothing outside the folder is read
            return None
        rights = normalise(line.license)
        return Photo(
            photo_id=f"{self.name}:{self.settings.label}/{path}",
            source=self.name,
            source_id=f"{self.settings.label}/{path}",
            seen_at=datetime.now(UTC),
            page_url=line.page_url,
            title=line.title,
            tags_raw=line.tags,
            tags=normalise_tags(line.tags),
            author=line.author,
            license=rights.spdx,
            license_url=rights.url,
            attribution=attribution(line.title, line.author, rights, line.page_url),
            extra=json.dumps({"file": str(path)}),
        )


@dataclass(frozen=True)
class Files:
    """Reads files below a folder; travels to the workers."""

    root: str
    parallel: int = 2
    most_workers: int | None = None

    def open(self, share: Share) -> Files:  # noqa: ARG002 (a disk has no limit to share)
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        """The file's bytes as they are. InputError where it is not there, not below the folder, or too large."""
        root = Path(self.root)
        path = (root / (wanted.url or "")).resolve()
        if not path.is_relative_to(root) or not path.is_file():  # a link may lead elsewhere
            raise InputError("the file that the list names is not there")
        if path.stat().st_size > MAX_BYTES:
            raise InputError(TOO_BIG)
        return Fetched(path.read_bytes())
