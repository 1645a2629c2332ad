"""However uploads bunch and whatever totals say, the windows show every photo that Flickr can show."""

from __future__ import annotations

import bisect
import random
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.sources.flickr_windows import FIRST_SECOND, LAST_PAGE, PER_PAGE, Answer, Windows, after

NOW = FIRST_SECOND + 20 * 365 * 86_400
SHOWN = LAST_PAGE * PER_PAGE


class Search:
    """A search over photos by second of upload, as Flickr answers: capped, repeating, with doubtful totals."""

    def __init__(self, times: list[int], doubt: random.Random, hidden: float = 0.0) -> None:
        self.times, self.doubt, self.hidden = sorted(times), doubt, hidden
        self.asked = Counter[tuple[int, int, int]]()

    def page(self, window: tuple[int, int], page: int) -> tuple[list[int], int | None, int]:
        """Photos (their places in time order), total and pages as told."""
        self.asked[(*window, page)] += 1
        low, high = bisect.bisect_left(self.times, window[0]), bisect.bisect_right(self.times, window[1])
        count = high - low
        if count > SHOWN:
            page = 1 + (page - 1) % LAST_PAGE
        rows = range(low + (page - 1) * PER_PAGE, min(high, low + page * PER_PAGE))
        shown = [row for row in rows if self.doubt.random() >= self.hidden]
        total = self.doubt.choice([count, count, None, max(0, count - self.doubt.randrange(750)), 0])
        return shown, total, -(-(total or 0) // PER_PAGE)


def _read(search: Search) -> tuple[set[int], list[str]]:
    windows, seen, lost = Windows.begin(NOW), set[int](), []
    found = set[int]()
    while not windows.done:
        assert windows.page <= LAST_PAGE
        window = windows.left[0]
        rows, total, pages = search.page(window, windows.page)
        step = after(windows, Answer(len(rows), len(set(rows) - seen), total, pages))
        seen = seen | set(rows) if step.windows.left[:1] == (window,) else set()
        found |= set(rows)
        lost += [step.lost] if step.lost else []
        windows = Windows.read(step.windows.written())  # as a resumed crawl would
    return found, lost


@settings(max_examples=40, deadline=None)
@example(groups=[(3777, 2)], seed=0)  # thirty halvings from twenty years to a second, several pages at each
@given(
    groups=st.lists(st.tuples(st.integers(0, 6000), st.integers(2, 30_000_000)), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_every_photo_is_found_and_no_page_is_asked_twice(groups: list[tuple[int, int]], seed: int) -> None:
    """Groups of photos within a time span of so many seconds; totals right, empty, too low by under 750, or 0."""
    chance = random.Random(seed)
    times = []
    for count, seconds in groups:
        start = chance.randrange(FIRST_SECOND, NOW - seconds)
        times += [start + chance.randrange(seconds) for _ in range(count)]
    search = Search(times, chance)
    found, lost = _read(search)
    per_second = max(Counter(times).values(), default=0)
    if per_second <= SHOWN:
        assert found == set(range(len(times)))
        assert not lost
    assert set(search.asked.values()) <= {1}
    assert len(search.asked) <= 60 * (1 + len(times) // 1000)


def test_a_second_with_more_than_can_be_shown_is_told() -> None:
    times = [FIRST_SECOND + 5000] * 5000 + [FIRST_SECOND + 9000 + n for n in range(100)]
    found, lost = _read(Search(times, random.Random(1)))
    assert len(found) == SHOWN + 100
    assert lost == ["more than 4,000 photos were uploaded in one second"]


def test_a_second_with_just_what_can_be_shown_is_complete() -> None:
    found, lost = _read(Search([FIRST_SECOND + 5000] * 3700, random.Random(2)))
    assert len(found) == 3700
    assert not lost


def test_pages_that_lack_some_rows_do_not_end_a_window() -> None:
    times = [FIRST_SECOND + 50 * n for n in range(2900)]
    search = Search(times, random.Random(3), hidden=0.05)
    found, lost = _read(search)
    assert len(found) > 0.93 * len(times)
    assert len(search.asked) == 7  # 6 pages, the last of them more than half full, so one more is asked for
    assert not lost


def test_a_total_that_lies_cannot_keep_us_busy() -> None:
    windows = Windows.begin(NOW)
    for _ in range(LAST_PAGE):
        assert not windows.done
        windows = after(windows, Answer(rows=1, new=1, total=9_000_000, pages=18_000)).windows
    assert windows.done


def test_a_page_that_repeats_earlier_ones_ends_the_window_and_is_told() -> None:
    windows = after(Windows.begin(NOW), Answer(500, 500, 1900, 4)).windows
    step = after(windows, Answer(500, 0, 1900, 4))
    assert step.windows.done
    assert step.lost == "page 2 repeated earlier ones"


@pytest.mark.parametrize("total", [3000, 11_000, 4_000_000])
def test_a_window_that_promises_too_much_is_halved_at_once(total: int) -> None:
    step = after(Windows.begin(NOW), Answer(500, 500, total, total // 500))
    (first, middle), (then, last) = step.windows.left
    assert (first, then, last) == (FIRST_SECOND, middle + 1, NOW)
    assert abs((middle - first) - (last - then)) <= 1
    assert step.windows.page == 1
    assert step.windows.rank == 500


def test_few_photos_cost_one_request() -> None:
    search = Search([FIRST_SECOND + 10**6 * n for n in range(200)], random.Random(4))
    assert _read(search)[0] == set(range(200))
    assert len(search.asked) == 1
