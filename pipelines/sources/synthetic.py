"""The `synthetic` source: an endless, seeded series of painted landscapes with known plants.

It needs no network and no key, so everything after the crawl can be tried, tested and measured anywhere.
A scene is a pure function of (seed, index); what was planted in it stands in the photo's `extra`. With `objects` the
same scenes come under other ids, `synthetic:<seed>/<index>-objects`, and some hold people, animals, vehicles, benches.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from PIL import Image

from manifests.errors import InputError, MisuseError
from manifests.records import Photo
from pipelines.engine.share import Share
from pipelines.sources.base import Fetched, Found, Listing, Page, Source, Wanted
from pipelines.sources.painter import LICENSES, Scene, describe, paint, paint_planted, plans

PAGE = 256  # scenes
JPEG_QUALITY = 92

OBJECTS = "objects"  # what ends the ids of scenes with planted things

_ID = re.compile(rf"synthetic:(0|[1-9][0-9]{{0,17}})/([0-9]{{6}}|[1-9][0-9]{{6,17}})(-{OBJECTS})?")


@dataclass(frozen=True)
class Painter:
    """Paints the scene a photo_id names; the same id gives the same bytes in every process."""

    parallel: int = 1
    most_workers: int | None = None

    def open(self, share: Share) -> Painter:  # noqa: ARG002 (nothing is shared out)
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        """JPEG bytes of one scene. Raises InputError for an id that is not `synthetic:<seed>/<index>[-objects]`."""
        seed, index, objects = _parse(wanted.photo_id)
        pixels = paint_planted(seed, index)[0] if objects else paint(seed, index)
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
        return Fetched(out.getvalue())


class Synthetic(Source):
    """The first `limit` scenes of the series `seed`; see `pipelines.sources.base.Source`.

    With `objects` things that a landscape should not hold are planted in some: `extra` names them under `objects`,
    and `painter.paint_planted` says where they can be seen.
    Raises MisuseError for a negative limit or seed.
    """

    name = "synthetic"
    lists_anew = True

    def __init__(self, limit: int, seed: int = 0, objects: bool = False) -> None:
        if limit < 0 or seed < 0:
            raise MisuseError(
                f"synthetic scenes are counted from 0: limit {limit} and seed {seed} must not be negative"
            )
        self.limit = limit
        self.seed = seed
        self.objects = objects

    def pages(self, listing: Listing) -> Iterator[Page]:  # noqa: ARG002 (listed anew each time)
        """All scenes in the order of their index, 256 at a time; the query is the scene's kind."""
        seen_at = datetime.now(UTC)
        ranks: Counter[str] = Counter()
        for first in range(0, self.limit, PAGE):
            page = []
            for index in range(first, min(first + PAGE, self.limit)):
                scene = describe(self.seed, index)
                page.append(Found(_photo(scene, seen_at, self.objects), scene.kind, ranks[scene.kind]))
                ranks[scene.kind] += 1
            yield Page(page)

    def fetcher(self) -> Painter:
        """What workers paint with."""
        return Painter()


def _parse(photo_id: str) -> tuple[int, int, bool]:
    """(seed, index, whether things are planted) of a photo_id; only the canonical spelling is accepted."""
    found = _ID.fullmatch(photo_id)
    if found is None:
        raise InputError(
            f"{photo_id!r} names no synthetic scene: expected synthetic:<seed>/<index of 6 or more digits>"
        )
    return int(found[1]), int(found[2]), found[3] is not None


def _photo(scene: Scene, seen_at: datetime, objects: bool) -> Photo:
    source_id = f"{scene.seed}/{scene.index:06d}{f'-{OBJECTS}' if objects else ''}"
    planted = {OBJECTS: [plan.kind for plan in plans(scene)]} if objects else {}
    return Photo(
        photo_id=f"{Synthetic.name}:{source_id}",
        source=Synthetic.name,
        source_id=source_id,
        seen_at=seen_at,
        width=scene.width,
        height=scene.height,
        title=scene.title,
        tags_raw=scene.tags_raw,
        tags=scene.tags,
        author=scene.author,
        license=scene.license,
        license_url=LICENSES[scene.license],
        attribution=f'"{scene.title}" by {scene.author} (an invented painter, LHQ Toolkit), {scene.license}',
        extra=json.dumps({**scene.plants, **planted, "seed": scene.seed, "index": scene.index}, sort_keys=True),
    )
