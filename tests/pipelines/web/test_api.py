"""The API client: patient with what passes, quick with what does not, and silent about the key."""

from __future__ import annotations

import functools
import logging
import threading
import time
import traceback
from pathlib import Path

import pytest
from apis import AGENT, Hasty, flickr_api, unsplash_api
from fakes import FakeWeb, Fault, Plan, World, flickr, unsplash
from fakes.faults import FLICKR_API, PASSING, UNSPLASH_API, UNSPLASH_IMAGES, Place
from fakes.messages import Reply, Request, as_json
from fakes.world import scatter

from manifests.errors import InputError, LhqError, SetupError
from pipelines.sources.base import HostDownError, UnavailableError
from pipelines.web import api as client
from pipelines.web.api import Api, RefusalError, checked_url, is_loopback, origin
from pipelines.web.circuit import ATTEMPTS, Breaker
from pipelines.web.clock import Clock
from pipelines.web.rate import Rate

QUERY = "lake at dawn"
QUIET = {"stale_quota", "total_text", "total_low", "total_empty", "slow"}  # faults that need no second attempt
KINDS = [(place, kind) for place in (UNSPLASH_API, FLICKR_API) for kind in PASSING[place]]


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.add(scatter("unsplash", 20, [QUERY]))
    world.add(scatter("flickr", 20, [QUERY]))
    return world


def _search(api: Api) -> client.Reply:
    """One search of the API, whichever it is."""
    if api.name == "Unsplash":
        return api.get(f"{api.url}/search/photos", {"query": QUERY})
    return api.post({"method": "flickr.photos.search", "text": QUERY, "license": "4"})


def _api(web: FakeWeb, place: Place, state: Path, **more: object) -> Api:
    return (unsplash_api if place == UNSPLASH_API else flickr_api)(web, state, **more)


def _always(web: FakeWeb, reply: Reply) -> None:
    web.script = lambda place, request: Reply(reply.status, reply.body, reply.kind, dict(reply.headers))


# Patience.


@pytest.mark.parametrize(("place", "kind"), KINDS)
def test_a_passing_fault_is_got_over(world: World, place: Place, kind: str, tmp_path: Path) -> None:
    with FakeWeb(world) as web:
        honest = _search(_api(web, place, tmp_path)).data
    with FakeWeb(world, Plan([Fault(kind, place, times=2, seconds=1)])) as web:
        clock = Hasty()
        data = _search(_api(web, place, tmp_path, clock=clock)).data
        assert web.faults()[kind] == (1 if kind in QUIET else 2)
        assert len(web.log) == (1 if kind in QUIET else 3)
    rows = ("results",) if place == UNSPLASH_API else ("photos", "photo")
    for name in rows:
        data, honest = data[name], honest[name]
    assert [row["id"] for row in data] == [row["id"] for row in honest]
    pauses = [wait for wait in clock.waits if wait]
    assert len(pauses) == 0 if kind in QUIET else len(pauses) in (2, 3, 4)  # a garbled connection may fail again
    assert all(1 <= pause <= 60 for pause in pauses)


@pytest.mark.parametrize("kind", ["rate_limit", "too_many"])
def test_a_limit_that_stays_is_waited_out_once_after_the_last_attempt(world: World, kind: str, tmp_path: Path) -> None:
    with FakeWeb(world, Plan([Fault(kind, UNSPLASH_API, times=ATTEMPTS)], most=99)) as web:
        clock, told = Hasty(), list[str]()
        _search(unsplash_api(web, tmp_path, clock=clock, rate=Rate(50, 3600.0), tell=told.append))
        pauses = [wait for wait in clock.waits if wait]
        assert len(web.log) == ATTEMPTS + 1
        assert all(1 <= pause <= 60 for pause in pauses[:-1])
        assert len(pauses) == ATTEMPTS
        assert pauses[-1] == 3600
        assert any("asked too often" in line and "going on at" in line for line in told)
    with FakeWeb(world, Plan([Fault(kind, UNSPLASH_API, times=99)], most=99)) as web:
        with pytest.raises(UnavailableError, match="asked too often") as caught:
            _search(unsplash_api(web, tmp_path))
        assert len(web.log) == ATTEMPTS + 1
        assert caught.value.http_status == (403 if kind == "rate_limit" else 429)


def test_our_own_quota_is_waited_for_before_the_host_is_asked(web: FakeWeb, tmp_path: Path) -> None:
    clock, told = Hasty(), list[str]()
    api = unsplash_api(web, tmp_path, clock=clock, rate=Rate(3, 3600.0), tell=told.append)
    for _ in range(4):
        _search(api)
    assert [round(wait) for wait in clock.waits if wait > 1] == [3600]
    assert len(told) == 1
    assert "quota" in told[0]


def test_a_failure_that_stays_ends_after_six_attempts(web: FakeWeb, tmp_path: Path) -> None:
    _always(web, Reply(503, b"down", "text/html"))
    clock = Hasty()
    with pytest.raises(UnavailableError, match=r"Unsplash: HTTP 503 \(6 attempts\)"):
        _search(unsplash_api(web, tmp_path, clock=clock))
    assert len(web.log) == ATTEMPTS
    pauses = [wait for wait in clock.waits if wait]
    assert len(pauses) == ATTEMPTS - 1
    assert all(least <= pause <= 2 * least for pause, least in zip(pauses, [1, 2, 4, 8, 16], strict=True))


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(web: FakeWeb, status: int, tmp_path: Path) -> None:
    replies = [Reply(status, b"", headers={"Retry-After": "700"})]
    web.script = lambda place, request: replies.pop() if replies else None
    clock = Hasty()
    _search(unsplash_api(web, tmp_path, clock=clock))
    assert [wait for wait in clock.waits if wait] == [700]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422, 301, 302, 304])
def test_what_will_not_pass_is_asked_once(web: FakeWeb, status: int, tmp_path: Path) -> None:
    _always(web, as_json({"errors": ["Couldn't find Photo", "really"]}, status))
    with pytest.raises(RefusalError, match="Couldn't find Photo; really" if status != 304 else "HTTP 304") as caught:
        _search(unsplash_api(web, tmp_path))
    assert caught.value.status == status
    assert len(web.log) == 1


def test_a_host_that_fails_on_and_on_is_left_alone(
    web: FakeWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "Breaker", functools.partial(Breaker, pauses=()))
    _always(web, Reply(500))
    api = unsplash_api(web, tmp_path)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="HTTP 500"):
            _search(api)
    with pytest.raises(HostDownError, match="20 times in a row"):
        _search(api)
    assert len(web.log) == 20
    web.script = None
    with pytest.raises(HostDownError):
        _search(api)
    assert len(web.log) == 20


def test_an_error_status_is_an_answer_and_closes_the_row_of_failures(web: FakeWeb, tmp_path: Path) -> None:
    api = unsplash_api(web, tmp_path)
    for _ in range(4):
        _always(web, Reply(500))
        with pytest.raises(UnavailableError, match="HTTP 500"):
            _search(api)
        _always(web, Reply(404))
        with pytest.raises(RefusalError):
            _search(api)
    assert len(web.log) == 4 * (ATTEMPTS + 1)


@pytest.mark.slow
def test_a_reply_without_end_is_not_read_to_it(web: FakeWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_REPLY", 100_000)
    _always(web, Reply(200, b'{"a": "' + b"x" * 200_000 + b'"}'))
    with pytest.raises(UnavailableError, match="too long or too slow"):
        _search(unsplash_api(web, tmp_path))
    monkeypatch.setattr(client, "WHOLE_REPLY", 0.1)
    web.script = lambda place, request: Reply(200, b'{"a": "' + b"x" * 90_000 + b'"}', over_seconds=1.0)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="too long or too slow"):
        _search(unsplash_api(web, tmp_path))
    assert time.monotonic() - began < ATTEMPTS * 0.9


def test_a_stopped_run_does_not_sit_out_its_back_off(web: FakeWeb, tmp_path: Path) -> None:
    _always(web, Reply(503, headers={"Retry-After": "600"}))
    api = unsplash_api(web, tmp_path, clock=Clock())
    threading.Timer(0.3, api.stop).start()
    with pytest.raises(UnavailableError, match="stopped"):
        _search(api)
    assert len(web.log) == 1


# Where the key goes.


def test_the_key_goes_to_the_origin_of_the_api_alone(web: FakeWeb, tmp_path: Path) -> None:
    api = unsplash_api(web, tmp_path)
    port = origin(api.url)[2]
    for elsewhere in (
        web.url(UNSPLASH_IMAGES) + "/photos/x/download",
        f"http://localhost:{port}/photos/x",
        f"https://127.0.0.1:{port}/photos/x",
        f"http://127.0.0.1:{port}@evil.example/photos/x",
        "https://api.unsplash.com.evil.example/photos/x",
        "file:///etc/passwd",
        "//127.0.0.1/",
        "http://[::1",
        "",
    ):
        with pytest.raises(InputError):
            api.get(elsewhere)
    assert web.log == []


def test_a_redirect_is_not_followed(web: FakeWeb, tmp_path: Path) -> None:
    _always(web, Reply(302, headers={"Location": web.url(UNSPLASH_IMAGES) + "/x"}))
    with pytest.raises(RefusalError, match="HTTP 302"):
        _search(unsplash_api(web, tmp_path))
    assert [one.place for one in web.log] == [UNSPLASH_API]


def test_the_environments_proxies_and_netrc_are_not_heeded(
    web: FakeWeb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    _search(unsplash_api(web, tmp_path, use_proxy=True))  # no proxy set: only the netrc could interfere
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    _search(unsplash_api(web, tmp_path))
    assert [one.headers["Authorization"] for one in web.log] == [f"Client-ID {unsplash.KEY}"] * 2
    assert {one.headers["User-Agent"] for one in web.log} == {AGENT}
    with pytest.raises(UnavailableError, match="proxy"):
        _search(unsplash_api(web, tmp_path, use_proxy=True))


def test_no_cookie_is_kept(web: FakeWeb, tmp_path: Path) -> None:
    web.script = lambda place, request: as_json({}, Set_Cookie="id=1; Path=/")
    api = unsplash_api(web, tmp_path)
    _search(api)
    _search(api)
    assert not any("Cookie" in one.headers for one in web.log)


@pytest.mark.parametrize("place", [UNSPLASH_API, FLICKR_API])
def test_the_key_is_in_no_error_log_address_or_file(
    world: World, place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong: not in the text, not in what the exception holds, not in the locals of its frames."""
    key = unsplash.KEY if place == UNSPLASH_API else flickr.KEY
    caplog.set_level(logging.DEBUG)
    shown = []
    with FakeWeb(world) as web:
        for reply in (
            Reply(0, hang_up=True),
            Reply(500, f"you sent {key}".encode()),
            Reply(200, f'{{"stat": "fail", "code": 3, "message": "{key}"'.encode(), cut_after=9),
            Reply(401, f'{{"errors": ["not {key}"], "message": "{key}"}}'.encode()),
            Reply(429, key.encode()),
            Reply(200, key.encode()),
        ):
            web.script = lambda place, request, reply=reply: reply
            api = _api(web, place, tmp_path)
            shown.append(repr(api))
            with pytest.raises(LhqError) as caught:
                _search(api)
            shown += _held_by(caught.value)
        web.script = lambda place, request: as_json({"stat": "ok", "echo": key, "photos": [], key: 1})
        shown.append(repr(_search(_api(web, place, tmp_path))))
        dead = _api(web, place, tmp_path)
        shown += [one.target for one in web.log]
    with pytest.raises(UnavailableError, match="no connection") as caught:
        _search(dead)
    shown += _held_by(caught.value)
    assert all(key in str(one.headers) + str(one.form) for one in web.log), "the test must have sent it"
    assert not [text for text in (*shown, caplog.text) if key in text]
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and key.encode() in file.read_bytes()]


def _held_by(error: BaseException | None) -> list[str]:
    """All that an exception shows or keeps alive: texts, attributes, locals of our frames and the libraries'."""
    held = []
    while error is not None:
        held += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                held += [frame.f_code.co_name, repr(frame.f_locals)]
        error = error.__cause__ or error.__context__
    assert "_ask" in held
    return held


# Addresses.


@pytest.mark.parametrize(
    "url",
    [
        "https://api.unsplash.com",
        "http://127.0.0.1:8000/x/",
        "http://localhost:1",
        "http://[::1]:5",
        "http://127.9.9.9",
    ],
)
def test_an_api_may_be_moved_to_https_or_to_this_machine(url: str) -> None:
    assert checked_url(url, "LHQ_UNSPLASH_URL") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.unsplash.com",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "https://",
        "https://user:pass@api.unsplash.com",
        "https://user@api.unsplash.com",
        "api.unsplash.com",
        "http://127.0.0.1.example.com",
        "https://[::1",
        "https://x:99999",
        "https://x/#a",
        "",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(SetupError, match="LHQ_FLICKR_URL"):
        checked_url(url, "LHQ_FLICKR_URL")


def test_loopback_is_told_from_the_rest() -> None:
    assert all(map(is_loopback, ["http://127.0.0.1:80/a", "https://localhost", "http://[::1]/"]))
    assert not any(map(is_loopback, ["https://api.unsplash.com", "http://128.0.0.1", "http://localhost.example.com"]))


def test_a_request_says_what_it_asks(web: FakeWeb, tmp_path: Path) -> None:
    def check(place: Place, request: Request) -> Reply:
        return as_json({"query": dict(request.query), "form": sorted(request.form), "stat": "ok"})

    web.script = check
    assert _search(unsplash_api(web, tmp_path)).data["query"] == {"query": QUERY}
    said = _search(flickr_api(web, tmp_path)).data
    assert said["query"] == {}
    assert said["form"] == ["api_key", "format", "license", "method", "nojsoncallback", "text"]
    assert [one.headers.get("Accept-Version") for one in web.log] == ["v1", None]
