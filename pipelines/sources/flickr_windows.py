"""Windows of upload time, cut until Flickr shows all photos of each.

A search shows at most 4,000 photos and repeats earlier pages behind them; the total it tells may be too low by some
hundreds, empty or wrong. So a window is halved when its total is 3,000 or more, or when its last page is still
full, whatever the total says; it ends with an empty page, one that brings nothing new, or one that is at most half
full and calls itself the last.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from pipelines.web.fields import mapping, sequence, stored

PER_PAGE = 500  # the most the API gives; never changed while paging
LAST_PAGE = 8  # behind it pages repeat: 8 * 500 = 4,000
HALVED_FROM = 3_000  # reported total
FIRST_SECOND = 1_072_915_200  # 2004-01-01, weeks before Flickr opened

Window = tuple[int, int]  # unix seconds, both included, as the API has it


@dataclass(frozen=True)
class Windows:
    """Where the reading stands: the windows left, in order of time, the page of the first, the photos met so far."""

    left: tuple[Window, ...]
    page: int = 1
    rank: int = 0

    @staticmethod
    def begin(now: float) -> Windows:
        """One window, all the time there was."""
        return Windows(((FIRST_SECOND, int(now)),))

    @staticmethod
    def read(cursor: str | None) -> Windows | None:
        """From the text that `written` gave; None for any other."""
        said = mapping(stored(cursor))
        pairs = [sequence(one) for one in sequence(said.get("left"))]
        numbers = [said.get("page"), said.get("rank"), *(one for pair in pairs for one in pair)]
        if any(len(pair) != 2 for pair in pairs) or not all(type(one) is int and 0 <= one < 2**40 for one in numbers):
            return None
        return Windows(tuple((first, last) for first, last in pairs), said["page"], said["rank"])

    def written(self) -> str:
        """As a cursor."""
        return json.dumps({"left": self.left, "page": self.page, "rank": self.rank})

    @property
    def done(self) -> bool:
        return not self.left


@dataclass(frozen=True)
class Answer:
    """What one page said: how many rows it had, how many of them new in this window, total and pages as told."""

    rows: int
    new: int
    total: int | None
    pages: int | None


@dataclass(frozen=True)
class Step:
    """Where to go on. `lost`: why photos of the window may be missing, None where none are."""

    windows: Windows
    lost: str | None = None


def after(windows: Windows, answer: Answer) -> Step:
    """The step that the answer to the current page leads to."""
    here = replace(windows, rank=windows.rank + answer.rows)
    first, last = here.left[0]
    onward = replace(here, left=here.left[1:], page=1)
    full = answer.rows > PER_PAGE // 2  # pages lack a few rows that may not be shown
    told_many = answer.total is not None and answer.total >= (HALVED_FROM if here.page == 1 else PER_PAGE * LAST_PAGE)
    if full and (told_many or here.page == LAST_PAGE) and first < last:
        middle = (first + last) // 2
        return Step(replace(onward, left=((first, middle), (middle + 1, last), *onward.left)))
    if here.page == LAST_PAGE:
        return Step(onward, f"more than {PER_PAGE * LAST_PAGE:,} photos were uploaded in one second" if full else None)
    if answer.rows and not answer.new and here.page > 1:
        return Step(onward, f"page {here.page} repeated earlier ones")
    if not full and (not answer.rows or here.page >= (answer.pages or 0)):
        return Step(onward)
    return Step(replace(here, page=here.page + 1))
