"""The door lets in whom it invited, once, and nothing from anywhere else; every answer carries the policy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

import httpx
import pytest

from lhq_toolkit.guard import ENTER, HEADERS, MAX_BODY, Door, Guard, hosts_of, listen
from manifests.errors import MisuseError, SetupError

HOST = "127.0.0.1:8000"
ORIGIN = f"http://{HOST}"
COOKIE = "lhq-test"
JSON = {"Content-Type": "application/json", "Origin": ORIGIN}


async def who(scope, receive, send) -> None:
    """An application that says who asked it."""
    data = f"hello {scope['state']['visitor']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": data})


class Visit:
    """A browser's worth of requests to one guarded application."""

    def __init__(self) -> None:
        self.door = Door()
        self.app = Guard(who, self.door, [HOST, "localhost:8000"], COOKIE)
        self.cookies: dict[str, str] = {}

    def ask(self, path: str, method: str = "GET", headers: Mapping[str, str] = {}, **more) -> httpx.Response:
        async def asking() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, cookies=self.cookies) as client:
                return await client.request(method, path, headers=dict(headers), **more)

        return asyncio.run(asking())

    def enter(self, visitor: str = "anna", **more) -> httpx.Response:
        answer = self.ask(f"{ENTER}?token={self.door.invite(visitor)}", **more)
        if answer.status_code == 200:
            self.cookies = {COOKIE: answer.headers["set-cookie"].partition("=")[2].partition(";")[0]}
        return answer


@pytest.fixture
def visit() -> Visit:
    return Visit()


def test_a_token_becomes_a_strict_cookie_and_is_then_dead(visit):
    token = visit.door.invite("anna")
    assert visit.ask("/").status_code == 401
    first = visit.ask(f"{ENTER}?token={token}")
    assert first.status_code == 200
    flags = {part.strip().lower() for part in first.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= flags
    assert token not in first.headers["set-cookie"] + first.text
    assert 'http-equiv="refresh" content="0;url=/"' in first.text
    again = visit.ask(f"{ENTER}?token={token}")
    assert again.status_code == 403
    assert "set-cookie" not in again.headers
    visit.cookies = {COOKIE: first.headers["set-cookie"].partition("=")[2].partition(";")[0]}
    assert visit.ask("/").text == "hello anna"


def test_each_visitor_is_known_by_their_own_session(visit):
    visit.enter("anna")
    annas = visit.cookies
    visit.enter("bert")
    assert visit.ask("/").text == "hello bert"
    visit.cookies = annas
    assert visit.ask("/").text == "hello anna"


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%00%ff", "?Token=x", "?token=a&token=b"])
def test_a_wrong_token_gets_nothing_and_costs_none(visit, query):
    assert visit.ask(f"{ENTER}{query}").status_code == 403
    assert visit.enter().status_code == 200


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", {"Purpose": "prefetch"}),
        ("GET", {"Host": "evil.example:8000"}),
        ("GET", {"Origin": "http://evil.example"}),
        ("POST", JSON),
    ],
)
def test_what_only_looks_at_an_address_does_not_spend_its_token(visit, method, headers):
    token = visit.door.invite("anna")
    assert visit.ask(f"{ENTER}?token={token}", method, headers).status_code >= 400
    assert visit.ask(f"{ENTER}?token={token}").status_code == 200


@pytest.mark.parametrize("cookie", ["", "x", f"{COOKIE}=", f"{COOKIE}=wrong", f'{COOKIE}="', "=;=;", "other=1"])
def test_without_its_cookie_nobody_gets_anything(visit, cookie):
    visit.enter()
    visit.cookies = {}
    assert visit.ask("/", headers={"Cookie": cookie}).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1", "127.0.0.1:9", "127.0.0.1:8000.evil.example", ""]
)
def test_a_foreign_host_name_is_refused_with_a_valid_session_too(visit, host):
    visit.enter()
    assert visit.ask("/", headers={"Host": host}).status_code == 403
    assert visit.ask("/", headers={"Host": "LOCALHOST:8000"}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:8001", "http://localhost:8000"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_origin_is_refused(visit, origin, method):
    visit.enter()
    assert visit.ask("/", method, {**JSON, "Origin": origin}, content="{}").status_code == 403


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"Origin": None}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": None}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, 403),
        ({"Content-Length": str(MAX_BODY + 1)}, 413),
        ({"Content-Length": "9" * 5000}, 413),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "1²"}, 411),
    ],
)
def test_a_change_must_come_from_our_own_page_as_json_of_a_stated_length(visit, change, status):
    visit.enter()
    headers = {name: value for name, value in {**JSON, **change}.items() if value is not None}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert visit.ask("/", "POST", dict(raw), content=b"{}").status_code == status


def test_a_body_of_no_stated_length_is_refused(visit):
    visit.enter()

    async def body():
        yield b"{}"

    assert visit.ask("/", "POST", JSON, content=body()).status_code == 411


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(visit, method):
    visit.enter()
    assert visit.ask("/", method, {"Origin": ORIGIN}).status_code == 405


def test_other_sites_may_link_here_but_neither_load_nor_embed(visit):
    visit.enter()
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert visit.ask("/", headers=embedded).status_code == 403
    assert visit.ask("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200


def test_every_answer_carries_the_policy_and_is_not_stored(visit):
    answers = [visit.ask("/"), visit.enter(), visit.ask("/"), visit.ask("/", headers={"Host": "evil"})]
    assert [one.status_code for one in answers] == [401, 200, 200, 403]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["Cache-Control"] == "no-store"
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "*" not in policy


# Where it listens.


def test_by_default_a_taken_port_is_no_trouble_but_one_that_was_asked_for_is():
    with listen("127.0.0.1", None, 0, False) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", None, port, False) as second:
            assert second.getsockname()[1] not in (0, port)
        with pytest.raises(SetupError, match=f"port {port}"):
            listen("127.0.0.1", port, 1, False)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "localhost", "evil.example", "192.0.2.7", ""])
def test_only_one_address_of_this_machine_alone_unless_others_are_allowed(address):
    with pytest.raises(MisuseError, match="--bind"):
        listen(address, 0, 0, False)


def test_what_allowing_others_means_is_said_where_it_is_refused():
    with pytest.raises(MisuseError) as refused:
        listen("192.0.2.7", 0, 0, False)
    assert "--allow-remote" in str(refused.value)
    assert "unencrypted" in str(refused.value)
    with pytest.raises(MisuseError, match="every network"):
        listen("0.0.0.0", 0, 0, True)
    with pytest.raises(SetupError, match=r"192\.0\.2\.7"):
        listen("192.0.2.7", 0, 0, True)


def test_the_hosts_are_the_address_itself_and_localhost_for_the_loopback():
    with listen("127.0.0.1", None, 0, False) as sock:
        port = sock.getsockname()[1]
        assert hosts_of(sock) == [f"127.0.0.1:{port}", f"localhost:{port}"]
    if socket.has_ipv6:
        try:
            sock = listen("::1", None, 0, False)
        except SetupError:
            return  # a machine without IPv6
        with sock:
            assert hosts_of(sock)[0].startswith("[::1]:")
