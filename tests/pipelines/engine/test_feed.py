"""A feed hands every item over once, holds no more than it has room for, and ends when it is told to."""

from __future__ import annotations

import threading
import time

import pytest

from pipelines.engine.feed import ClosedError, Feed


def test_a_feed_of_items_is_all_there_is():
    feed = Feed(range(5))
    assert feed.ended
    assert (feed.take(2), feed.take(2)) == ([0, 1], [2, 3])
    feed.give_back([2, 3])
    assert feed.take(9) == [2, 3, 4]
    assert feed.take(1) is None


def test_an_open_feed_tells_not_yet_from_no_more():
    feed = Feed[int](room=4)
    began = time.monotonic()
    assert feed.take(1, seconds=0.1) == []
    assert time.monotonic() - began >= 0.1
    feed.put(7)
    feed.end()
    assert feed.take(3) == [7]
    assert feed.take(3, seconds=5) is None


def test_who_waits_gets_an_item_as_soon_as_it_comes():
    feed = Feed[int](room=4)
    threading.Timer(0.1, feed.put, [1]).start()
    assert feed.take(5, seconds=3600) == [1]


def test_many_threads_put_in_and_nothing_is_lost_or_waits_beyond_the_room():
    feed = Feed[int](room=10)

    def fill(first: int) -> None:
        for item in range(first, first + 500):
            feed.put(item)

    threads = [threading.Thread(target=fill, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    taken: list[int] = []
    while len(taken) < 2000:
        assert len(feed) <= 10
        taken += feed.take(7, seconds=5) or []
    for thread in threads:
        thread.join()
    assert sorted(taken) == [1000 * number + item for number in range(4) for item in range(500)]


def test_an_error_of_who_fills_it_reaches_who_takes():
    feed = Feed[int](room=1)
    feed.put(1)
    feed.fail(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        feed.take(1)


def test_who_waits_for_room_is_sent_home_when_the_run_is_over():
    feed = Feed[int](room=1)
    feed.put(1)
    threading.Timer(0.1, feed.close).start()
    with pytest.raises(ClosedError):
        feed.put(2)
