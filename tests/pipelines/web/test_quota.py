"""No window of the host's clock holds more requests than the quota, whoever asks and whoever is killed."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path

import asking
import pytest
from fakes import FakeWeb, World
from fakes.faults import UNSPLASH_API
from fakes.unsplash import KEY
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import SetupError
from pipelines.sources.base import UnavailableError
from pipelines.web.clock import Clock
from pipelines.web.quota import LONGEST_REQUEST, Quota, state_folder
from pipelines.web.rate import Rate


class Still(Clock):
    """A clock that stands where it is put; waiting moves it."""

    def __init__(self, at: float = 1_000_000.0) -> None:
        super().__init__()
        self.at = at

    def now(self) -> float:
        return self.at

    def wait(self, seconds: float) -> None:
        self.at += seconds


def _most_in_a_window(times: list[float], seconds: float) -> int:
    times = sorted(times)
    return max((sum(first <= one < first + seconds for one in times) for first in times), default=0)


flights = st.lists(
    st.tuples(
        st.floats(0, 20),  # seconds since the one before was sent
        st.floats(0, 50),  # seconds from being sent to being answered
        st.floats(0, 1),  # when in this time it reaches the host
        st.integers(0, 1),  # which process asks
        st.sampled_from([False, False, True]),  # it is killed before the answer comes
    ),
    min_size=2,
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 4), seconds=st.sampled_from([1.0, 60.0]), flights=flights)
def test_no_window_of_the_hosts_clock_holds_more_however_requests_overlap(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    seconds: float,
    flights: list[tuple[float, float, float, int, bool]],
) -> None:
    """Two processes share a log and ask as soon as they may; requests of both are under way at once."""
    folder, clock = tmp_path_factory.mktemp("state"), Still()
    quotas = [Quota("key", Rate(count, seconds), folder, clock) for _ in range(2)]
    flying: list[tuple[float, contextlib.ExitStack]] = []
    received: list[float] = []

    def go_on_to(moment: float) -> None:
        for answered, flight in sorted(flying, key=lambda one: one[0]):
            if answered <= moment:
                clock.at = answered
                flight.close()
                flying.remove((answered, flight))
        clock.at = moment

    for gap, lasts, lag, process, killed in flights:
        go_on_to(clock.at + gap)
        while wait := quotas[process].wait():
            go_on_to(clock.at + wait)
        sent, flight = clock.at, contextlib.ExitStack()
        flight.enter_context(quotas[process].slot())
        assert clock.at == sent, "there was room, so nothing waits"
        received.append(sent + lag * lasts)
        # One that is killed tells nothing more; let go, it would still note here that its reply came.
        flying.append((math.inf if killed else sent + lasts, flight))
    assert _most_in_a_window(received, seconds) <= count


def test_waiting_ends_exactly_when_a_request_leaves_the_window(tmp_path: Path) -> None:
    clock = Still()
    quota = Quota("key", Rate(2, 60.0), tmp_path, clock)
    starts = []
    for _ in range(5):
        with quota.slot():
            starts.append(clock.at - 1_000_000)
            clock.at += 1
    assert starts == [0, 1, 61, 62, 122]  # a window after the reply, not after the request


def test_a_request_of_a_killed_process_counts_as_if_its_reply_had_come_as_late_as_it_can(tmp_path: Path) -> None:
    clock = Still()
    quota = Quota("key", Rate(1, 60.0), tmp_path, clock)
    quota._take()  # and never a word of it again
    again = Quota("key", Rate(1, 60.0), tmp_path, clock)
    assert again.wait() == 60
    clock.at += LONGEST_REQUEST + 59
    assert again.wait() == 1
    clock.at += 1
    assert again.wait() == 0


def test_keys_do_not_share_and_rates_of_one_key_do(tmp_path: Path) -> None:
    clock = Still()
    small, large, other = (
        Quota(key, rate, tmp_path, clock)
        for key, rate in (("a", Rate(1, 3600.0)), ("a", Rate(2, 60.0)), ("b", Rate(1, 60.0)))
    )
    with large.slot():
        pass
    assert (small.wait(), large.wait(), other.wait()) == (3600, 0, 0)
    clock.at += 60
    assert (small.wait(), large.wait()) == (3540, 0)


def test_a_clock_that_is_set_back_delays_by_one_window_at_most(tmp_path: Path) -> None:
    clock = Still()
    quota = Quota("key", Rate(1, 60.0), tmp_path, clock)
    with quota.slot():
        pass
    clock.at -= 1_000_000
    assert quota.wait() == 60
    with quota.slot():
        assert clock.at == 60


def test_the_log_forgets_what_counts_in_no_window(tmp_path: Path) -> None:
    clock = Still()
    quota = Quota("key", Rate(1000, 60.0), tmp_path, clock)
    for _ in range(50):
        with quota.slot():
            clock.at += 600
    with contextlib.closing(sqlite3.connect(tmp_path / "quota.sqlite")) as log:
        assert log.execute("SELECT count(*) FROM requests").fetchone()[0] < 10


def test_a_broken_log_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "quota.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(SetupError, match=r"quota\.sqlite cannot be used .*remove the file"):
        Quota("key", Rate(1, 60.0), tmp_path, Clock())
    with pytest.raises(SetupError, match="LHQ_STATE"):
        Quota("key", Rate(1, 60.0), tmp_path / "quota.sqlite" / "in", Clock())


def test_the_state_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LHQ_STATE", "/var/x")
    assert state_folder() == Path("/var/x")
    monkeypatch.delenv("LHQ_STATE")
    assert state_folder() == Path.home() / ".local/state/lhq"


def test_a_stopped_run_waits_no_longer(tmp_path: Path) -> None:
    clock = Clock()
    quota = Quota("key", Rate(1, 3600.0), tmp_path, clock)
    with quota.slot():
        pass
    clock.stop()
    with pytest.raises(UnavailableError, match="stopped"), quota.slot():  # else it would wait for an hour
        raise AssertionError("there was no room")


def _asked_in_two_processes(state: Path, rate: Rate, wanted: int) -> FakeWeb:
    """Two processes ask together; one is killed in the middle and started again."""
    with FakeWeb(World()) as web:
        url = web.url(UNSPLASH_API)
        steady, killed = (asking.start(url, state, rate, wanted, KEY) for _ in range(2))
        assert killed.stdout is not None
        for _ in range(wanted // 4):
            killed.stdout.readline()
        killed.kill()
        killed.wait()
        again = asking.start(url, state, rate, wanted // 2, KEY)
        assert (steady.wait(), again.wait()) == (0, 0)
        for process in (steady, killed, again):
            assert process.stdout is not None
            process.stdout.close()
    return web


@pytest.mark.slow
def test_a_quota_holds_over_two_processes_and_a_kill(tmp_path: Path) -> None:
    web = _asked_in_two_processes(tmp_path, Rate(40, 1.0), 60)
    assert len(web.log) >= 60 + 15 + 30
    assert 10 <= web.busiest(UNSPLASH_API, 1.0) <= 40
    assert KEY.encode() not in (tmp_path / "quota.sqlite").read_bytes()


@pytest.mark.long
def test_600_a_minute_hold_over_two_processes_and_a_kill(tmp_path: Path) -> None:
    web = _asked_in_two_processes(tmp_path, Rate(600, 60.0), 440)
    assert len(web.log) >= 440 + 110 + 220
    assert 590 <= web.busiest(UNSPLASH_API, 60.0) <= 600
