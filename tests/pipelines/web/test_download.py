"""A download ends as the whole picture that was promised, or as a reason; nothing is sent where it must not go."""

from __future__ import annotations

import contextlib
import io
import pickle
import socket
import threading
import time

import pycurl
import pytest
from answering import Host, host
from PIL import Image

from pipelines.engine.share import Share
from pipelines.sources.base import HostDownError, RefusedError, UnavailableError, Wanted
from pipelines.web import circuit, connections
from pipelines.web.download import Downloads, WebFetcher
from pipelines.web.rate import Rate


def jpeg(width: int = 60, height: int = 40) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (9, 99, 199)).save(out, "JPEG")
    return out.getvalue()


PICTURE = jpeg()


def http(status: str = "200 OK", body: bytes = PICTURE, *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def downloads(**more: object) -> Downloads:
    return WebFetcher(("images.example.org",), "lhq-test/0", **{"loopback": True, **more}).open(Share())


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits between attempts cost nothing; they are told."""
    waits: list[float] = []

    def note(attempt: int, asked: float | None = None) -> float:
        waits.append(asked or 0.0)
        return 0.0

    monkeypatch.setattr(circuit, "back_off", note)
    return waits


def fetch(one: Host, path: str = "/a.jpg", size: tuple[int, int] | None = (60, 40), **more: object) -> bytes:
    width, height = size or (None, None)
    return downloads(**more).fetch(Wanted("x:1", one.url(path), width, height, "x")).data


def test_the_bytes_come_as_they_are_with_who_we_are_in_the_request():
    with host(http()) as one:
        fetched = downloads().fetch(Wanted("x:1", one.url("/a.jpg?w=1&h=2"), 60, 40))
        assert fetched.data == PICTURE
        assert fetched.http_status == 200
        assert (fetched.header.width, fetched.header.height) == (60, 40)
    (request,) = one.requests
    assert request.startswith(b"GET /a.jpg?w=1&h=2 HTTP/1.1\r\n")
    assert b"user-agent: lhq-test/0\r\n" in request.lower()
    assert b"cookie" not in request.lower()


def test_a_connection_is_kept_for_the_next_picture_and_after_an_error_too():
    with host(http(), http("404 Not Found", b"no"), http(), http("302 Found", b"", "Location: /b.jpg"), http()) as one:
        mine = downloads()
        for expected in (None, RefusedError, None, None):
            with pytest.raises(expected) if expected else contextlib.nullcontext():
                mine.fetch(Wanted("x:1", one.url()))
        assert (one.connections, len(one.requests)) == (1, 5)


def test_a_worker_gets_its_share_and_the_fetcher_travels_to_it():
    fetcher = pickle.loads(pickle.dumps(WebFetcher(("a",), "x", connections=5, rate=Rate(3, 1.0))))
    assert fetcher.most_workers == 3
    assert [fetcher.open(Share(index, 3)).parallel for index in range(3)] == [2, 2, 1]


# Passing troubles.


def hang_up(client: socket.socket) -> None:
    client.close()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()


@pytest.mark.parametrize(
    "answer",
    [
        http("500 Oops", b"x"),
        http("503 Busy", b""),
        http("429 Too Many Requests", b"slow down"),
        http("408 Request Timeout", b""),
        http(length=len(PICTURE) + 10) + b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"nonsense\r\n\r\n",
        hang_up,
        reset,
    ],
    ids=["500", "503", "429", "408", "longer", "half a header", "no http", "hang-up", "reset"],
)
def test_a_passing_trouble_is_tried_again(answer, monkeypatch):
    monkeypatch.setattr(connections, "STALL_SECONDS", 1)

    def say(client: socket.socket) -> None:
        if callable(answer):
            answer(client)
        else:
            client.sendall(answer)

    with host(say, say, http()) as one:
        assert fetch(one) == PICTURE
        assert len(one.requests) == 3


def test_six_attempts_are_made_and_the_last_trouble_is_told():
    with host(http("500 Oops", b"x"), http("503 Busy", b"x")) as one:
        with pytest.raises(UnavailableError, match="HTTP 503") as caught:
            fetch(one)
        assert caught.value.http_status == 503
        assert len(one.requests) == 6


def test_retry_after_is_heeded_and_holds_for_everyone(hasty):
    with host(http("429 Too Many Requests", b"", "Retry-After: 1"), http()) as one:
        assert fetch(one) == PICTURE
        assert hasty == [1.0]
        assert one.at[1] - one.at[0] >= 1.0


def test_a_host_that_only_fails_is_left_alone_after_twenty_failures(monkeypatch):
    monkeypatch.setattr(circuit.Breaker.__init__, "__defaults__", (20, (0.05, 0.05), time.sleep))
    with host(http("500 Oops", b"x")) as one:
        mine = downloads()
        for _ in range(3):
            with pytest.raises(UnavailableError, match="HTTP 500"):
                mine.fetch(Wanted("x:1", one.url()))
        with pytest.raises(HostDownError):
            mine.fetch(Wanted("x:1", one.url()))
        assert len(one.requests) == 22, "twenty, and two probes"
        with pytest.raises(HostDownError):
            mine.fetch(Wanted("x:2", one.url()))
        assert len(one.requests) == 22


def drip(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        client.sendall(b"x")
        time.sleep(0.05)


def drip_headers(client: socket.socket) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        client.sendall(b"x")
        time.sleep(0.05)


def say_nothing(client: socket.socket) -> None:
    client.recv(1)


@pytest.mark.parametrize("slow", [drip, drip_headers])
def test_a_host_that_sends_a_byte_now_and_then_is_cut_off(slow):
    with host(slow, http()) as one:
        began = time.monotonic()
        assert fetch(one, total_seconds=0.5) == PICTURE
        assert time.monotonic() - began >= 0.5


def test_a_host_that_says_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr(connections, "STALL_SECONDS", 1)
    with host(say_nothing, http()) as one:
        assert fetch(one) == PICTURE


def test_bytes_beyond_the_stated_length_do_not_reach_the_next_picture():
    with host(http(length=len(PICTURE) - 5), http()) as one:
        mine = downloads()
        assert mine.fetch(Wanted("x:1", one.url())).data == PICTURE
        assert mine.fetch(Wanted("x:2", one.url())).data == PICTURE


# Final answers.


@pytest.mark.parametrize("status", ["400 Bad", "401 Who", "403 No", "404 Gone", "410 Gone", "451 Law", "204 None"])
def test_another_status_is_final(status):
    with host(http(status, b"" if status.startswith("204") else b"text")) as one:
        with pytest.raises(RefusedError, match=f"HTTP {status[:3]}") as caught:
            fetch(one)
        assert caught.value.http_status == int(status[:3])
        assert len(one.requests) == 1


@pytest.mark.parametrize(
    "header",
    ["X-Robots-Tag: noai", "X-Robots-Tag: nofollow\r\nX-Robots-Tag: lhq-toolkit: noindex", "TDM-Reservation: 1"],
)
def test_who_opts_out_is_left_out(header):
    with host(http("200 OK", PICTURE, header)) as one, pytest.raises(RefusedError, match="opted out"):
        fetch(one)


@pytest.mark.parametrize("body", [b"<html>bot?</html>", PICTURE[: len(PICTURE) // 2]], ids=["html", "half a picture"])
def test_what_is_no_whole_picture_is_asked_for_twice_more_and_then_given_up(body):
    with host(http(body=body)) as one:
        with pytest.raises(RefusedError):
            fetch(one)
        assert len(one.requests) == 3
    with host(http(body=body), http()) as one:
        assert fetch(one) == PICTURE


@pytest.mark.parametrize("size", [(60, 40), (6000, 4000), (4000, 6000), (61, 40), (600, 407), None, (60, None)])
def test_the_promised_shape_may_lie_on_its_side_and_be_of_any_scale(size):
    with host(http()) as one:
        assert fetch(one, size=size) == PICTURE


@pytest.mark.parametrize("size", [(60, 42), (60, 60), (1000, 600), (500, 374)])
def test_another_shape_is_a_placeholder(size):
    with host(http()) as one:
        with pytest.raises(RefusedError, match="placeholder"):
            fetch(one, size=size)
        assert len(one.requests) == 1


def test_too_many_bytes_are_not_read(monkeypatch):
    body = b"\xff\xd8\xff" + bytes(300_000)
    with host(http(body=body)) as one, pytest.raises(RefusedError, match="200 MB"):
        fetch(one, max_bytes=200_000)
    sent = []

    def endless(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n\xff\xd8\xff")
        with contextlib.suppress(OSError):
            while True:
                sent.append(client.send(bytes(65_536)))

    with host(endless) as one, pytest.raises(RefusedError, match="200 MB"):
        fetch(one, max_bytes=3_000_000)
    assert sum(sent) < 20_000_000


# Where requests go.


def test_redirects_are_followed_within_the_allowed_hosts():
    with host(http("301 Moved", b"", "Location: /b.jpg"), http("307 There", b"", "Location: c.jpg?x=1"), http()) as one:
        assert fetch(one) == PICTURE
        assert [request.split()[1] for request in one.requests] == [b"/a.jpg", b"/b.jpg", b"/c.jpg?x=1"]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("https://evil.example.net/a.jpg", "not one of its source"),
        ("http://169.254.169.254/latest", "not https"),
        ("http://10.0.0.1/a.jpg", "not https"),
        ("https://10.0.0.1/a.jpg", "not one of its source"),
        ("file:///etc/passwd", "not https"),
        ("/en-us/photo_unavailable_l.png", "placeholder"),
        ("https://s.yimg.com/pw/images/en-us/photo_unavailable.png", "placeholder"),
        ("/a.jpg", "more than 5 redirects"),
    ],
)
def test_a_redirect_elsewhere_is_refused_before_anything_is_sent_there(place, why):
    with host(http("302 Found", b"", f"Location: {place}")) as one, pytest.raises(RefusedError, match=why):
        fetch(one)


@pytest.mark.parametrize("allowed", [False, True])
def test_an_allowed_name_that_leads_into_this_machine_is_refused_before_a_byte_is_sent(monkeypatch, allowed):
    """Also where tests may use loopback addresses: the name is not one."""
    with host(http()) as one:

        class Led(pycurl.Curl):
            """Finds this machine under the name."""

            def perform(self) -> None:
                self.setopt(pycurl.CONNECT_TO, [f"images.example.org:443:127.0.0.1:{one.port}"])
                super().perform()

        monkeypatch.setattr(pycurl, "Curl", Led)
        with pytest.raises(RefusedError, match="no public address"):
            downloads(loopback=allowed).fetch(Wanted("x:1", "https://images.example.org/a.jpg"))
        time.sleep(0.1)
        assert one.connections == 0
        assert one.requests == []


def test_loopback_needs_the_permission():
    with host(http()) as one, pytest.raises(RefusedError, match="not https"):
        fetch(one, loopback=False)
    assert one.connections == 0


def test_proxies_of_the_environment_are_used_only_where_asked_for(monkeypatch):
    with host(http("502 Bad Gateway", b"proxy")) as proxy, host(http()) as one:
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert fetch(one) == PICTURE
        assert proxy.connections == 0
        with pytest.raises(UnavailableError):
            downloads(use_proxy=True).fetch(Wanted("x:1", "https://images.example.org/a.jpg"))
        assert proxy.requests[0].startswith(b"CONNECT images.example.org:443")


def test_a_rate_and_its_share_are_held_over_threads():
    with host(http()) as one:
        mine = WebFetcher((), "x", rate=Rate(10, 0.5), loopback=True, connections=8).open(Share(0, 2))
        threads = [
            threading.Thread(target=lambda: [mine.fetch(Wanted("x:1", one.url())) for _ in range(3)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        at = sorted(one.at)
        assert len(at) == 12
        assert all(later - earlier > 0.5 for earlier, later in zip(at, at[5:], strict=False)), "five in half a second"
