"""The reader keeps its order and its bounds, and gives back what it has not begun."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import InputError
from pipelines.engine.reading import Reader


def test_no_more_is_begun_than_ahead_and_nothing_while_the_room_is_full():
    begun: list[int] = []

    def read(item: int) -> np.ndarray:
        begun.append(item)
        return np.full(100, item, np.uint8)

    reader = Reader(read, 2, ahead=3, room=250)
    reader.add(range(10))
    assert [int(reader.result(item)[0]) for item in (0, 1, 2)] == [0, 1, 2]
    time.sleep(0.05)
    assert sorted(begun) == [0, 1, 2]
    assert reader.is_full
    reader.forget(0)
    assert int(reader.result(3)[0]) == 3
    assert int(reader.result(7)[0]) == 7, "what is needed is read, room or not"
    assert reader.take_back() == [4, 5, 6, 8, 9]
    assert 4 not in reader
    assert 7 in reader


def test_an_error_is_raised_where_its_result_is_asked_for():
    def read(item: int) -> np.ndarray:
        if item == 1:
            raise InputError("damaged")
        return np.zeros(1, np.uint8)

    reader = Reader(read, 1, ahead=2, room=10)
    reader.add([0, 1, 2])
    reader.result(0)
    with pytest.raises(InputError, match="damaged"):
        reader.result(1)
    reader.forget(1)
    assert reader.result(2) is not None


def test_reading_goes_on_while_the_caller_computes():
    far = threading.Event()

    def read(item: int) -> np.ndarray:
        if item == 3:
            far.set()
        return np.zeros(1, np.uint8)

    reader = Reader(read, 1, ahead=4, room=100)
    reader.add(range(4))
    reader.result(0)
    assert far.wait(5), "the fourth is read although only the first was asked for"


@settings(deadline=None)
@given(count=st.integers(0, 30), threads=st.integers(1, 4), ahead=st.integers(1, 8), room=st.integers(1, 500))
def test_everything_added_is_read_once(count, threads, ahead, room):
    read: list[int] = []

    def one(item: int) -> np.ndarray:
        read.append(item)
        return np.zeros(50, np.uint8)

    reader = Reader(one, threads, ahead=ahead, room=room)
    reader.add(range(count))
    for item in range(count):
        reader.result(item)
        reader.forget(item)
    assert sorted(read) == list(range(count))
    assert not reader.is_full
