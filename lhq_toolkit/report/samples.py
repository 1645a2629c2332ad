"""Small pictures of a few photos, inside the page: some of the subset, and those on both sides of each threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lhq_toolkit.report.embedding import address, jpeg
from lhq_toolkit.report.facts import Facts, Score
from manifests.errors import InputError
from pipelines.engine.measure import read_image
from pipelines.export.rights import link
from pipelines.funnel import REJECTED, Funnel

THUMB = (240, 160)  # pixels, at most
QUALITY = 72
EACH_SIDE = 6  # of a threshold
KEPT_SHOWN = 18


@dataclass(frozen=True)
class Thumb:
    """A photo as it stands in the page; every text and address is a stranger's."""

    src: str  # data URI
    width: int
    height: int
    alt: str
    caption: str
    credit: str
    url: str | None  # its page, where that is an address of the web


@dataclass(frozen=True)
class Sides:
    """Photos just kept and just rejected."""

    kept: Sequence[Thumb]
    rejected: Sequence[Thumb]


@dataclass(frozen=True)
class Samples:
    """All pictures of the report."""

    subset: Sequence[Thumb]
    sides: dict[str, Sides]  # by stage


def take(facts: Facts, funnel: Funnel) -> Samples:
    """Decode what is shown; a photo whose file is not there or damaged is passed over."""
    some = spread(np.flatnonzero(funnel.members), KEPT_SHOWN)
    sides: dict[str, Sides] = {}
    for stage, outcome in zip(facts.stages, funnel.outcomes, strict=True):
        if stage.score is not None and stage.score.threshold is not None:
            sides[stage.name] = _both_sides(funnel, stage.score)
        else:
            rows = spread(np.flatnonzero(outcome.state == REJECTED), 2 * EACH_SIDE)
            reasons = {int(row): str(outcome.reason[row]) for row in rows}
            sides[stage.name] = Sides([], _thumbs(funnel, reasons, 2 * EACH_SIDE, "rejected"))
    subset = _thumbs(funnel, dict.fromkeys((int(row) for row in some), ""), KEPT_SHOWN, "kept")
    return Samples(subset, sides)


def spread(rows: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """At most `most` of the rows, evenly over them."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def _both_sides(funnel: Funnel, score: Score) -> Sides:
    """The nearest to the threshold on each side, the nearest first; more are tried where some cannot be shown."""

    def nearest(kept: bool) -> dict[int, str]:
        places = score.nearest(kept, 4 * EACH_SIDE)
        return {int(score.rows[at]): f"{score.values[at]:.4g}" for at in places}

    return Sides(
        _thumbs(funnel, nearest(True), EACH_SIDE, "kept"), _thumbs(funnel, nearest(False), EACH_SIDE, "rejected")
    )


def _thumbs(funnel: Funnel, captions: dict[int, str], most: int, verdict: str) -> list[Thumb]:
    thumbs: list[Thumb] = []
    for row, caption in captions.items():
        if len(thumbs) == most:
            break
        photo = funnel.photos.slice(row, 1).to_pylist()[0]
        try:
            image = Image.fromarray(read_image(funnel.dataset.root, photo["path"], THUMB[1])) if photo["path"] else None
        except InputError:
            image = None
        if image is not None:
            thumbs.append(_thumb(image, photo, caption, verdict))
    return thumbs


def _thumb(image: Image.Image, photo: dict[str, Any], caption: str, verdict: str) -> Thumb:
    image.thumbnail(THUMB, Image.Resampling.LANCZOS)
    name = photo["title"] or photo["photo_id"]
    return Thumb(
        src=address(jpeg(image, QUALITY)),
        width=image.width,
        height=image.height,
        alt=f"{name} ({verdict}{', ' + caption if caption else ''})",
        caption=caption,
        credit=f"{name}, {photo['author'] or 'author unknown'}, {photo['license']}",
        url=link(photo["page_url"]),
    )
