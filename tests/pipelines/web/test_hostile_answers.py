"""Whatever a host answers, a download ends: as bytes, or as one of our troubles, with nothing said beside it."""

from __future__ import annotations

import email.utils
import math
import socket

import pytest
from answering import host
from hypothesis import strategies as st
from mangling import FEW_OR_MANY, mangled, tried

from pipelines.engine.share import Share
from pipelines.sources.base import RefusedError
from pipelines.web import circuit
from pipelines.web.connections import BrokenError
from pipelines.web.download import WebFetcher, _PassingError
from pipelines.web.fields import length
from pipelines.web.optout import opted_out

pytestmark = pytest.mark.slow

BODY = b"x" * 3000
SOUND = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\nX-Robots-Tag: noai\r\n\r\n" + BODY,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\nbb8\r\n" + BODY + b"\r\n0\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n",
]
NAMES = [
    "Content-Length",
    "Retry-After",
    "Location",
    "X-Robots-Tag",
    "TDM-Reservation",
    "Transfer-Encoding",
    "Connection",
]
TEXTS = [
    "",
    "0",
    "-1",
    "9" * 30,
    "9" * 5000,
    "\xb2",
    "1e9",
    "NaN",
    "noai",
    "otherbot: noai",
    "unavailable_after: x, noai",
]
TEXTS += [
    "chunked",
    "gzip, chunked",
    "http://[::1",
    "//",
    "\\\\evil",
    "ftp://x/",
    "http://127.0.0.1:99999/",
    "\x00",
    "\xff",
]
TEXTS += [
    "Mon, 01 Jan 2020 00:00:00 +99999999999999999999",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Wed, 99 Feb 9999 25:61:61 GMT",
]
TEXTS += [",", ":" * 50, "a" * 90_000]


def answer(status: bytes, headers: list[tuple[str, str]]) -> bytes:
    lines = [b"HTTP/1.1 " + status, *(f"{name}: {text}".encode("latin-1") for name, text in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + BODY


ANSWERS = st.one_of(
    st.sampled_from(
        [
            b"\n" + SOUND[0],  # an empty line where the status belongs
            SOUND[2].replace(b"302 F", b"302F"),
            SOUND[2].replace(b"http://127.0.0.1:1/x", b"http://[::1"),
        ]
    ),
    st.sampled_from(SOUND).flatmap(mangled),
    st.binary(max_size=40),
    st.builds(
        answer,
        st.sampled_from(
            [b"200 OK", b"200", b"204 None", b"999 x", b"-1 x", b"2000 x", b"301 There", b"500 x", b"1 x", b""]
        ),
        st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(TEXTS)), max_size=3),
    ),
)


@FEW_OR_MANY
def test_any_answer_to_a_download(capfd: pytest.CaptureFixture[str], many: bool) -> None:
    """A traceback out of a callback would be printed by libcurl's wrapper, and raised by nobody."""
    downloads = WebFetcher(("images.example.org",), "lhq-test/0", loopback=True, total_seconds=2).open(Share())

    def check(said: bytes) -> None:
        def talk(client: socket.socket) -> None:
            client.sendall(said)

        with host(talk) as one:
            target = downloads._allowed.check(one.url())
            try:
                found = downloads._read(one.url(), downloads._connections.get(target, downloads._most))
            except (BrokenError, RefusedError, _PassingError) as error:
                assert str(error).isprintable()  # noqa: PT017 (not every example raises)
            else:
                assert isinstance(found, bytes | str)
        printed = capfd.readouterr()
        assert printed.out + printed.err == ""

    tried(check, ANSWERS, few=40, many=many)


@FEW_OR_MANY
def test_any_text_of_a_header(many: bool) -> None:
    def check(text: str) -> None:
        asked = circuit.retry_after(text)
        assert asked is None or 0 <= asked < math.inf
        assert 1 <= circuit.back_off(0, asked) <= circuit.MOST_RETRY_AFTER
        opted_out([text, text], text)
        promised = length(text)
        assert promised is None or promised >= 0

    dates = st.datetimes().map(email.utils.format_datetime) | st.sampled_from(TEXTS)
    texts = dates.flatmap(lambda text: mangled(text.encode("latin-1"))).map(lambda data: data.decode("latin-1"))
    tried(check, texts | st.sampled_from(TEXTS) | st.text(max_size=30), few=60, many=many)
