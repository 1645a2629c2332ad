"""Tiles on demand: bounded memory, a bounded queue, nothing made that nobody waits for, visitors take turns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lhq_toolkit.serve.tiles import ATONCE, WAITING, BusyError, GoneError, Kept, Tiles


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.booleans()), max_size=60))
def test_what_is_kept_never_exceeds_its_bound_and_is_what_was_put(steps):
    kept: Kept[int] = Kept(100)
    last: dict[int, bytes] = {}
    for key, size, asks in steps:
        if asks:
            assert kept.get(key) in (None, last.get(key))
        else:
            last[key] = bytes([key]) * size
            kept.put(key, last[key])
            assert kept.get(key) == last[key], "the newest stays"
        assert kept.bytes <= 100
        assert kept.bytes == sum(len(found) for one in range(10) if (found := kept.get(one)) is not None)


def test_the_least_recently_used_goes_first_and_what_is_too_large_is_not_kept():
    kept: Kept[str] = Kept(100)
    for key in "abc":
        kept.put(key, b"x" * 30)
    kept.get("a")
    kept.put("d", b"x" * 30)
    assert [kept.get(key) is not None for key in "abcd"] == [True, False, True, True]
    kept.put("e", b"x" * 101)
    assert kept.get("e") is None
    assert len(kept) == 3


class Work:
    """Makes tiles when it is told to go on, and remembers what it began."""

    def __init__(self, limit: int = 10_000) -> None:
        self.begun: list[str] = []
        self._go = threading.Event()
        self._pool = ThreadPoolExecutor(ATONCE)
        self.tiles: Tiles[str] = Tiles(self._make, limit, self._pool)

    def _make(self, key: str) -> bytes:
        self.begun.append(key)
        assert self._go.wait(20)
        if key.startswith("bad"):
            raise ValueError(key)
        return key.encode() * 10

    def go(self) -> None:
        self._go.set()


async def never() -> None:
    await asyncio.Event().wait()


def run(test: Callable[[Work], Coroutine[Any, Any, None]], **more: int) -> None:
    work = Work(**more)

    async def all_of_it() -> None:
        try:
            await asyncio.wait_for(test(work), 30)
        finally:
            work.go()

    asyncio.run(all_of_it())


async def soon(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def ask(work: Work, key: str, visitor: str = "a", gone: Callable[[], Coroutine[Any, Any, None]] = never) -> Any:
    return asyncio.create_task(work.tiles.get(key, visitor, gone))


def test_a_tile_that_many_wait_for_is_made_once_and_then_kept():
    async def test(work: Work) -> None:
        asked = [ask(work, "x", visitor) for visitor in "aabb"]
        await soon(lambda: work.tiles.waiting == 4)
        work.go()
        assert await asyncio.gather(*asked) == [b"x" * 10] * 4
        assert await work.tiles.get("x", "c", never) == b"x" * 10
        assert work.begun == ["x"]
        assert work.tiles.told() == {
            "made": 1, "dropped": 0, "refused": 0, "waiting": 0, "kept": 1, "kept_bytes": 10, "kept_limit": 10_000
        }  # fmt: skip

    run(test)


def test_who_asks_for_a_hundred_thousand_is_refused_above_the_bound_and_memory_stays():
    async def test(work: Work) -> None:
        waiting = [ask(work, f"w{at}") for at in range(WAITING)]
        await soon(lambda: work.tiles.waiting == WAITING)
        for at in range(100_000):
            with pytest.raises(BusyError):
                await work.tiles.get(f"m{at}", "a", never)
        assert work.tiles.waiting == len(work.tiles._jobs) == WAITING
        other = ask(work, "other", "b")
        await soon(lambda: work.tiles.waiting == WAITING + 1)
        work.go()
        await asyncio.gather(*waiting, other)
        assert work.begun.index("other") <= ATONCE + 1, "the other visitor had the next turn"
        assert work.tiles.kept.bytes <= 200
        assert len(work.begun) == WAITING + 1
        assert not work.tiles._jobs
        assert not work.tiles._queues
        assert not work.tiles._waiting

    run(test, limit=200)


def test_a_tile_that_nobody_waits_for_any_more_is_never_made():
    async def test(work: Work) -> None:
        left = asyncio.Event()

        async def leaves() -> None:
            await left.wait()

        first = [ask(work, key) for key in ("x", "y")]  # in work, which cannot be stopped
        await soon(lambda: len(work.begun) == 2)
        going = [ask(work, key, gone=leaves) for key in ("x", "p", "q", "both")]
        stays = ask(work, "both", "b")
        await soon(lambda: work.tiles.waiting == 7)
        left.set()
        ended = await asyncio.gather(*going, return_exceptions=True)
        assert [type(one) for one in ended] == [GoneError] * 4
        assert (work.tiles.waiting, work.tiles.dropped) == (3, 2)
        work.go()
        await asyncio.gather(*first, stays)
        assert work.begun == ["x", "y", "both"]

    run(test)


def test_a_request_that_is_cancelled_gives_its_place_up():
    async def test(work: Work) -> None:
        busy = [ask(work, key) for key in ("x", "y")]
        await soon(lambda: len(work.begun) == 2)
        one = ask(work, "z")
        await soon(lambda: work.tiles.waiting == 3)
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        assert (work.tiles.waiting, work.tiles.dropped) == (2, 1)
        work.go()
        await asyncio.gather(*busy)
        assert "z" not in work.begun

    run(test)


def test_a_tile_that_cannot_be_made_is_told_to_all_who_wait_and_the_rest_goes_on():
    async def test(work: Work) -> None:
        asked = [ask(work, key, visitor) for key, visitor in (("bad", "a"), ("bad", "b"), ("good", "a"))]
        await soon(lambda: work.tiles.waiting == 3)
        work.go()
        bad, same, good = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(bad, ValueError)
        assert bad is same
        assert good == b"good" * 10
        with pytest.raises(ValueError, match="bad"):
            await work.tiles.get("bad", "a", never)
        assert work.begun.count("bad") == 2, "it is tried anew when it is asked for anew"
        assert work.tiles.waiting == 0

    run(test)
