"""How long is waited after a failure, and when a host is left alone."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engine.share import Share
from pipelines.sources.base import HostDownError
from pipelines.web.circuit import FAILURES_IN_A_ROW, Breaker, back_off, retry_after
from pipelines.web.rate import Rate, Window


@given(attempt=st.integers(0, 100), asked=st.none() | st.floats(0, 1e6))
def test_a_wait_is_between_a_second_and_a_minute_or_what_the_host_asks_for_up_to_an_hour(attempt, asked):
    seconds = back_off(attempt, asked)
    assert 1.0 <= seconds <= max(60.0, min(asked or 0.0, 3600.0))
    assert seconds >= min(asked or 0.0, 3600.0)


def test_waits_double_and_are_not_all_alike():
    for attempt in range(5):
        waits = [back_off(attempt) for _ in range(100)]
        assert 2**attempt <= min(waits) < max(waits) <= 2 ** (attempt + 1)


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert retry_after("7") == 7.0
    in_a_minute = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True))
    assert in_a_minute == pytest.approx(60, abs=2)
    assert retry_after(format_datetime(datetime.now(UTC) - timedelta(hours=1))) == 0.0
    for nothing in (None, "", "soon", "-3", "1.5", "٣"):
        assert retry_after(nothing) is None, nothing


def broken(count: int, **more: object) -> Breaker:
    breaker = Breaker("host", **more)
    for _ in range(count):
        breaker.failed(breaker.enter(), "HTTP 500")
    return breaker


def test_twenty_failures_in_a_row_open_it_and_one_success_between_them_does_not():
    breaker = broken(FAILURES_IN_A_ROW - 1, pauses=(0.2,))
    assert breaker.enter() is False
    breaker.succeeded()
    for _ in range(FAILURES_IN_A_ROW - 1):
        breaker.failed(breaker.enter(), "HTTP 500")
    began = time.monotonic()
    breaker.failed(breaker.enter(), "HTTP 500")
    assert breaker.enter() is True, "the first after the pause is a probe"
    assert time.monotonic() - began >= 0.2


def test_one_probe_at_a_time_and_its_success_lets_everyone_through():
    breaker = broken(FAILURES_IN_A_ROW, pauses=(0.05, 0.05))
    assert breaker.enter() is True
    through: list[bool] = []
    others = [threading.Thread(target=lambda: through.append(breaker.enter())) for _ in range(5)]
    for other in others:
        other.start()
    time.sleep(0.3)
    assert through == []
    breaker.succeeded()
    for other in others:
        other.join(5)
    assert through == [False] * 5


def test_after_the_last_probe_the_host_is_given_up_for_good():
    breaker = broken(FAILURES_IN_A_ROW, pauses=(0.01, 0.02, 0.03))
    for _ in range(3):
        assert breaker.enter() is True
        breaker.failed(True, "HTTP 503")
    with pytest.raises(HostDownError, match=r"host failed 23 times in a row .*HTTP 503"):
        breaker.enter()


def test_late_failures_of_requests_that_were_on_their_way_open_no_further_pause():
    breaker = broken(FAILURES_IN_A_ROW, pauses=(0.05,))
    for _ in range(10):
        breaker.failed(False, "HTTP 500")
    assert breaker.enter() is True


def test_what_a_host_asks_for_holds_for_everyone():
    breaker = Breaker("host")
    began = time.monotonic()
    breaker.failed(breaker.enter(), "HTTP 429", asked_to_wait=0.3)
    assert breaker.enter() is False
    assert time.monotonic() - began >= 0.3


@given(count=st.integers(1, 200), workers=st.integers(1, 200))
def test_the_parts_of_a_rate_and_of_connections_add_up_to_the_whole(count, workers):
    shares = [Share(index, workers) for index in range(workers)]
    assert sum(share.of(count) for share in shares) == count
    if workers <= count:
        assert sum(Rate(count, 60.0).of(share).count for share in shares) == count


def test_no_window_holds_more_than_the_rate_however_many_threads_ask():
    window = Window(Rate(20, 0.5))
    passed: list[float] = []

    def ask() -> None:
        for _ in range(10):
            window.wait()
            passed.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed.sort()
    assert len(passed) == 80
    assert all(later - earlier > 0.5 for earlier, later in zip(passed, passed[20:], strict=False))


def test_one_who_replaces_another_begins_with_a_full_log():
    began = time.monotonic()
    Window(Rate(3, 0.3), used_up=True).wait()
    assert time.monotonic() - began >= 0.3
