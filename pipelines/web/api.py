"""One web API asked politely: a quota, timeouts, back-off, a circuit breaker; keys go to its own origin alone.

Used in the driver only. What is wrong with a request becomes a plain text, never a library's exception: those
carry the request, and with it the key.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from manifests.errors import InputError, SetupError
from pipelines.sources.base import UnavailableError
from pipelines.web.circuit import ATTEMPTS, Breaker, back_off, retry_after
from pipelines.web.clock import Clock
from pipelines.web.keys import Secret, scrub
from pipelines.web.quota import Quota

TIMEOUTS = (10.0, 40.0)  # seconds: to connect, and between two pieces of a reply
WHOLE_REPLY = 60.0  # seconds; the longest request is counted on in `quota.py`
MAX_REPLY = 32 * 1024**2  # bytes; 500 photos of Flickr with all extras are under 2 MB
TELL_FROM = 10.0  # seconds: shorter waits are not worth a line

KEY = "{key}"  # where the key goes in the values that are sent with every request


@dataclass(frozen=True)
class Reply:
    """An answer of the API; `data` is its JSON, None where it is none (which only happens with an error status)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    data: Any

    def errors(self) -> str:
        """What the reply says is wrong, in one line."""
        data = self.data if isinstance(self.data, dict) else {}
        said = data.get("errors") or data.get("error") or data.get("message")
        texts = said if isinstance(said, list) else [said]
        return "; ".join(text for text in texts if isinstance(text, str))[:300] or f"HTTP {self.status}"


@dataclass(frozen=True)
class Trouble:
    """A passing failure. `limit`: the API says that we ask too often; `retry_after`: how many seconds it wants."""

    text: str
    status: int | None = None
    limit: bool = False
    retry_after: float | None = None


class RefusalError(InputError):
    """The API answered, and will not answer otherwise."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.errors())
        self.status = reply.status


def checked_url(url: str, option: str) -> str:
    """The URL, if it is https, or http to this machine; else SetupError, which names the variable."""
    try:
        parts = urlsplit(url)
        safe = bool(parts.hostname) and not parts.username and parts.port != 0 and not parts.fragment
        safe = safe and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))
    except ValueError:
        safe = False
    if not safe:
        raise SetupError(f"{option} must be an https address (http only for this machine), without a name in it")
    return url


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; InputError for a text that has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    except (ValueError, KeyError):
        raise InputError("not a web address") from None
    return parts.scheme, (parts.hostname or "").lower(), port


@dataclass
class Api:
    """One API under one key. One request at a time; safe to use from several threads.

    `headers` and `form` go with every request; the key takes its place in them only as they are sent, and is cut out
    of every reply. `judge` looks at a reply with HTTP 200 and says what is passingly wrong with it. `use_proxy` heeds
    the proxies of the environment. `tell` gets a line about every long wait.
    """

    name: str
    url: str
    key: Secret
    quota: Quota
    user_agent: str
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    judge: Callable[[Any], Trouble | None] = lambda _: None
    use_proxy: bool = False
    clock: Clock = field(default_factory=Clock)
    tell: Callable[[str], None] = lambda line: print(line, file=sys.stderr)

    def __post_init__(self) -> None:
        self._breaker = Breaker(f"the API of {self.name}", wait=self.clock.wait)
        self._lock = threading.Lock()
        self._session = requests.Session()
        self._session.trust_env = self.use_proxy
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get(self, url: str, params: Mapping[str, str] | None = None) -> Reply:
        """GET an address of the API, as it stands, with the parameters added.

        Raises UnavailableError when it keeps failing in a passing way, RefusalError for an error status, InputError for
        an address of another origin.
        """
        if origin(url) != origin(self.url):
            raise InputError(f"refused: an address outside {self.url}, where the key does not go")
        return self._ask("GET", url, params or {})

    def post(self, form: Mapping[str, str]) -> Reply:
        """POST a form to the API's one address. Raises as `get`."""
        return self._ask("POST", self.url, form)

    def stop(self) -> None:
        """The run ends: what waits raises UnavailableError."""
        self.clock.stop()

    def _ask(self, method: str, url: str, values: Mapping[str, str]) -> Reply:
        with self._lock:
            failures = 0
            while True:
                answer = self._once(method, url, values)
                if isinstance(answer, Reply):
                    if answer.status != 200:
                        raise RefusalError(answer)
                    return answer
                failures += 1
                self._pause(answer, failures)

    def _once(self, method: str, url: str, values: Mapping[str, str]) -> Reply | Trouble:
        """One attempt, known to the breaker."""
        probe = self._breaker.enter()
        try:
            answer = self._send(method, url, values)
        except BaseException:
            self._breaker.abandoned(probe)
            raise
        if isinstance(answer, Reply):
            self._breaker.succeeded()
        else:
            self._breaker.failed(probe, answer.text)
        return answer

    def _pause(self, trouble: Trouble, failures: int) -> None:
        """Wait before the next attempt; raise when there is none. After the last one a limit is waited out, once."""
        waited_out = trouble.limit and failures == ATTEMPTS
        if failures >= ATTEMPTS and not waited_out:
            raise UnavailableError(f"{self.name}: {trouble.text} ({failures} attempts)", trouble.status)
        pause = back_off(failures - 1, trouble.retry_after)
        self._wait(max(pause, self.quota.rate.seconds) if waited_out else pause, trouble.text)

    def _wait(self, seconds: float, why: str) -> None:
        if seconds >= TELL_FROM:
            until = datetime.datetime.fromtimestamp(self.clock.now() + seconds).astimezone()
            self.tell(f"{self.name}: {why}; going on at {until:%H:%M:%S}")
        self.clock.wait(seconds)

    def _send(self, method: str, url: str, values: Mapping[str, str]) -> Reply | Trouble:
        """One request, counted before it is sent. Raises nothing that holds the request."""
        if (wait := self.quota.wait()) >= TELL_FROM:
            self._wait(wait, "the quota is used up")
        failure: str
        with self.quota.slot():
            try:
                return self._receive(self._open(method, url, values))
            except (OSError, urllib3.exceptions.HTTPError) as error:  # of requests all are OSErrors
                failure = _in_words(error)
        return Trouble(failure)

    def _open(self, method: str, url: str, values: Mapping[str, str]) -> requests.Response:
        headers = {"User-Agent": self.user_agent, "Accept": "application/json", **self._with_key(self.headers)}
        return self._session.request(
            method,
            url,
            params=values if method == "GET" else None,
            data={**values, **self._with_key(self.form)} if method == "POST" else None,
            headers=headers,
            auth=_unchanged,
            timeout=TIMEOUTS,
            allow_redirects=False,
            stream=True,
        )

    def _with_key(self, values: Mapping[str, str]) -> dict[str, str]:
        return {name: value.replace(KEY, self.key.reveal()) for name, value in values.items()}

    def _receive(self, response: requests.Response) -> Reply | Trouble:
        """The status is looked at before the body: what comes with an error need not be JSON."""
        with response:
            received, began = bytearray(), time.monotonic()
            for piece in response.iter_content(65_536):
                received += piece
                if len(received) > MAX_REPLY or time.monotonic() - began > WHOLE_REPLY:
                    return Trouble("the reply is too long or too slow", response.status_code)
        body = scrub(bytes(received), self.key)
        status, limited = response.status_code, b"rate limit" in body[:400].lower()
        wanted = retry_after(response.headers.get("Retry-After"))
        if status == 429 or (status == 403 and limited):
            return Trouble(f"asked too often (HTTP {status})", status, limit=True, retry_after=wanted)
        if status >= 500 or status in (408, 425):
            return Trouble(f"HTTP {status}", status, retry_after=wanted)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if status == 200 and (trouble := Trouble("the reply is no JSON", 200) if data is None else self.judge(data)):
            return trouble
        return Reply(status, response.headers, body, data)


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` that does nothing: without one, requests would send what a .netrc file has for the host."""
    return request


def _in_words(error: Exception) -> str:
    kinds = (
        (requests.exceptions.Timeout, "no answer in time"),
        (requests.exceptions.ProxyError, "the proxy refuses or cannot be reached"),
        (requests.exceptions.SSLError, "no trusted TLS connection"),
        (requests.exceptions.ConnectionError, "no connection"),
        (requests.exceptions.ChunkedEncodingError, "the reply was cut short"),
    )
    return next((text for kind, text in kinds if isinstance(error, kind)), f"{type(error).__name__} while asking")
