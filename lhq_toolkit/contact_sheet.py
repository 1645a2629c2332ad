"""A picture of the funnel: some photos that were kept, and some that each stage rejected, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lhq_toolkit.report.samples import spread
from manifests import atomic
from manifests.counts import plural
from manifests.errors import InputError
from pipelines.engine.measure import read_image
from pipelines.funnel import REJECTED, Funnel, Outcome

THUMB = (168, 112)  # width, height
GAP = 10
MARGIN = 24
COLUMNS = 8
CAPTION = 15
PAPER, INK, FAINT = (250, 249, 246), (34, 40, 49), (120, 126, 135)


@dataclass(frozen=True)
class _Section:
    title: str
    rows: Sequence[int]  # of the funnel's photos
    captions: Sequence[str]
    total: int


def draw(funnel: Funnel, out: Path, per_section: int = 16) -> None:
    """Write a PNG with up to `per_section` photos kept and rejected by each stage, spread over the set."""
    sections = [section for section in _sections(funnel, per_section) if section.rows]
    heights = [44 + -(-len(one.rows) // COLUMNS) * (THUMB[1] + CAPTION + GAP) for one in sections]
    width = 2 * MARGIN + COLUMNS * (THUMB[0] + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + sum(heights)), PAPER)
    brush = ImageDraw.Draw(sheet)
    top = MARGIN
    for section, height in zip(sections, heights, strict=True):
        brush.text((MARGIN, top), section.title, INK, ImageFont.load_default(20))
        shown = "" if section.total == len(section.rows) else f", {len(section.rows)} of them shown"
        brush.text((MARGIN, top + 24), f"{plural(section.total, 'photo')}{shown}", FAINT, ImageFont.load_default(12))
        _draw_section(sheet, brush, funnel, section, top + 44)
        top += height
    with atomic.replacing(out) as temporary:
        sheet.save(temporary, "PNG")


def _sections(funnel: Funnel, most: int) -> list[_Section]:
    ids = funnel.photos["photo_id"].to_pylist()
    kept = np.flatnonzero(funnel.members)
    some = spread(kept, most).tolist()
    sections = [_Section("kept", some, [_name(ids[row]) for row in some], len(kept))]
    for outcome in funnel.outcomes:
        rejected = np.flatnonzero(outcome.state == REJECTED)
        some = spread(rejected, most).tolist()
        captions = [_caption(outcome, row, ids[row]) for row in some]
        sections.append(_Section(f"rejected by {outcome.stage}", some, captions, len(rejected)))
    return sections


def _caption(outcome: Outcome, row: int, photo_id: str) -> str:
    """What the stage said of a photo, as short as it goes."""
    if outcome.stage == "tags":
        return str(outcome.reason[row])
    if outcome.about[row] is not None:
        return f"{_name(photo_id)} is {_name(outcome.about[row])}"
    return f"{_number(outcome.value[row])} · {_name(photo_id)}"


def _number(value: float) -> str:
    return f"{value:.3f}" if value <= 1 else f"{value:,.0f}"


def _name(photo_id: str) -> str:
    return photo_id.rsplit("/", 1)[-1]


def _draw_section(sheet: Image.Image, brush: ImageDraw.ImageDraw, funnel: Funnel, section: _Section, top: int) -> None:
    paths = funnel.photos["path"].to_pylist()
    for at, (row, caption) in enumerate(zip(section.rows, section.captions, strict=True)):
        left = MARGIN + at % COLUMNS * (THUMB[0] + GAP)
        upper = top + at // COLUMNS * (THUMB[1] + CAPTION + GAP)
        box = (left, upper, left + THUMB[0] - 1, upper + THUMB[1] - 1)
        try:
            image = Image.fromarray(read_image(funnel.dataset.root, paths[row], THUMB[1])) if paths[row] else None
        except InputError:
            image = None
        if image is None:
            brush.rectangle(box, outline=FAINT)
        else:
            image.thumbnail(THUMB, Image.Resampling.LANCZOS)
            sheet.paste(image, (left + (THUMB[0] - image.width) // 2, upper + (THUMB[1] - image.height) // 2))
        font = ImageFont.load_default(10)
        fits = next(end for end in range(len(caption), -1, -1) if brush.textlength(caption[:end], font) <= THUMB[0])
        brush.text((left, upper + THUMB[1] + 1), caption[:fits], FAINT, font)
