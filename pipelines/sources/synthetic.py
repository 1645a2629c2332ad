"""The `synthetic` source: an endless, seeded series of painted landscapes with known plants.

It needs no network and no key, so everything after the crawl can be tried, tested and measured anywhere.
A scene is a pure function of (seed, index); what was planted in it stands in the photo's `extra`. With `copies` some
scenes come twice, the second time changed: `extra` names the change (`copy`) and the photo (`copy_of`). With `control`
leaves before the left half take the place of centred subjects (`pipelines.sources.painting.flurry`). With `objects`
some hold people, animals, vehicles, benches (`pipelines.sources.painting.planting`).
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from manifests.errors import InputError, MisuseError
from manifests.records import Photo
from pipelines.engine.share import Share
from pipelines.sources.base import Fetched, Found, Listing, Page, Source, Wanted
from pipelines.sources.painter import LICENSES, Scene, describe, paint, paint_planted, plans
from pipelines.sources.painting import copies
from pipelines.sources.painting.scene import MIN_SIDE

PAGE = 256  # scenes
JPEG_QUALITY = 92

CONTROL, OBJECTS = "control", "objects"  # in the ids of such scenes

_ID = re.compile(
    rf"synthetic:(0|[1-9][0-9]{{0,17}})/([0-9]{{6}}|[1-9][0-9]{{6,17}})(?:-({CONTROL}|{OBJECTS}))?"
    rf"(?:-({'|'.join(copies.KINDS)}))?"
)


@dataclass(frozen=True)
class Painter:
    """Paints the scene a photo_id names; the same id gives the same bytes in every process."""

    parallel: int = 1
    most_workers: int | None = None

    def open(self, share: Share) -> Painter:  # noqa: ARG002 (nothing is shared out)
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        """JPEG bytes of a scene (`synthetic:<seed>/<index>`, with `-control` or `-objects`) or its copy (`-<kind>`).

        Raises InputError for another id.
        """
        seed, index, plant, copy = _parse(wanted.photo_id)
        if plant == OBJECTS:
            return Fetched(encoded(paint_planted(seed, index)[0], copy))
        return Fetched(encoded(paint(seed, index, control=plant == CONTROL), copy))


class Synthetic(Source):
    """The first `limit` scenes of the series `seed`; see `pipelines.sources.base.Source`.

    With `copies` some of them are followed by a near-duplicate; with `control` those with a centred subject are control
    scenes instead; with `objects` things that a landscape should not hold are planted in some: `extra` names them
    under `objects`, and `painter.paint_planted` says where they can be seen. Raises MisuseError for a negative limit
    or seed, and for control scenes with objects.
    """

    name = "synthetic"
    lists_anew = True

    def __init__(
        self, limit: int, seed: int = 0, copies: bool = False, control: bool = False, objects: bool = False
    ) -> None:
        if control and objects:
            raise MisuseError("control scenes hold no objects: choose one of --control and --objects")
        if limit < 0 or seed < 0:
            raise MisuseError(
                f"synthetic scenes are counted from 0: limit {limit} and seed {seed} must not be negative"
            )
        self.limit = limit
        self.seed = seed
        self.copies = copies
        self.control = control
        self.objects = objects

    def pages(self, listing: Listing) -> Iterator[Page]:  # noqa: ARG002 (listed anew each time)
        """All scenes in the order of their index, 256 at a time, copies behind them; the query is the scene's kind."""
        seen_at = datetime.now(UTC)
        ranks: Counter[str] = Counter()
        for first in range(0, self.limit, PAGE):
            page = []
            for index in range(first, min(first + PAGE, self.limit)):
                scene = describe(self.seed, index, control=self.control)
                photos = [_photo(scene, seen_at, self.objects)]
                if self.copies and (kind := copies.copy_of(self.seed, index)) is not None:
                    photos.append(_copy(scene, photos[0], kind))
                for photo in photos:
                    page.append(Found(photo, scene.kind, ranks[scene.kind]))
                    ranks[scene.kind] += 1
            yield Page(page)

    def fetcher(self) -> Painter:
        """What workers paint with."""
        return Painter()


def encoded(pixels: npt.NDArray[np.uint8], copy: str | None) -> bytes:
    """JPEG bytes of a scene's pixels [height, width, 3], or of their copy of the kind `copy`."""
    quality = copies.LOW_QUALITY if copy == "quality" else JPEG_QUALITY
    out = io.BytesIO()
    copies.copied(pixels, copy or "same").save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()


def _parse(photo_id: str) -> tuple[int, int, str | None, str | None]:
    """(seed, index, CONTROL or OBJECTS or neither, kind of copy) of a photo_id; each scene has only one spelling."""
    found = _ID.fullmatch(photo_id)
    if found is None:
        raise InputError(
            f"{photo_id!r} names no synthetic scene: expected synthetic:<seed>/<index of 6 or more digits>"
        )
    seed, index, plant = int(found[1]), int(found[2]), found[3]
    if plant == CONTROL and not describe(seed, index, control=True).control:
        raise InputError(f"{photo_id!r} names no synthetic scene: this one has no subject that leaves could replace")
    return seed, index, plant, found[4]


def _photo(scene: Scene, seen_at: datetime, objects: bool) -> Photo:
    plant = CONTROL if scene.control else OBJECTS if objects else None
    source_id = f"{scene.seed}/{scene.index:06d}{f'-{plant}' if plant else ''}"
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


def _copy(scene: Scene, photo: Photo, kind: str) -> Photo:
    """The row of a scene's near-duplicate."""
    width, height = copies.size_of(kind, scene.width, scene.height)
    truth = {"copy": kind, "copy_of": photo.photo_id, "too_small": min(width, height) < MIN_SIDE}
    return replace(
        photo,
        photo_id=f"{photo.photo_id}-{kind}",
        source_id=f"{photo.source_id}-{kind}",
        width=width,
        height=height,
        extra=json.dumps({**json.loads(photo.extra), **truth}, sort_keys=True),
    )
