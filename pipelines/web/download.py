"""Safe downloads of pictures, in workers: to their source's hosts only, bounded, checked, and with patience.

What an answer means: 200 with a whole picture is one; 408, 425, 429, 5xx, a cut or stalled body is a passing trouble,
tried again; everything else is final.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from manifests.errors import InputError
from manifests.probe import CUT, EMPTY, MAX_BYTES, TOO_BIG, UNKNOWN, Header, probe
from pipelines.engine.share import Share
from pipelines.sources.base import Fetched, RefusedError, UnavailableError, Wanted
from pipelines.web import circuit
from pipelines.web.connections import Answer, BrokenError, Connections, Head
from pipelines.web.hosts import AllowList
from pipelines.web.optout import opted_out
from pipelines.web.rate import Rate, Window

REDIRECTS = 5
DRAINED = 64 * 1024  # bytes of a body we do not want that are read so that the connection can be kept
DOUBTED = 2  # times that bytes which are no whole picture are asked for again
SAME_SHAPE = 0.02  # by which an aspect ratio may differ from the promised one
PLACEHOLDER = "photo_unavailable"  # in the path that Flickr sends the askers for a deleted photo to

_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True)
class WebFetcher:
    """Fetches pictures of one source from `hosts`. Holds no key; workers open it.

    `connections` (per host) and `rate` (per host) are shared out among the workers; rate None: no limit.
    `loopback`: LHQ_ALLOW_PRIVATE_HOSTS=1.
    """

    hosts: tuple[str, ...]
    user_agent: str
    connections: int = 16
    rate: Rate | None = None
    loopback: bool = False
    use_proxy: bool = False
    max_bytes: int = MAX_BYTES
    total_seconds: float = 60.0

    @property
    def most_workers(self) -> int:
        """A worker has at least one connection, and one request in a rate's window."""
        return min(self.connections, self.rate.count if self.rate else self.connections)

    def open(self, share: Share) -> Downloads:
        """This worker's part: with its share of the limits."""
        return Downloads(self, share)


class _PassingError(UnavailableError):
    """A trouble of one attempt. `wait`: seconds the host asks for."""

    def __init__(self, text: str, http_status: int | None = None, wait: float | None = None) -> None:
        super().__init__(text, http_status)
        self.wait = wait


class _DoubtfulError(RefusedError):
    """An answer that may be a host's passing mistake: it is asked for once or twice more."""


@dataclass
class _Host:
    """What a worker keeps of one host."""

    breaker: circuit.Breaker
    window: Window | None


class Downloads:
    """One worker's downloads. `fetch` may run in up to `parallel` threads at once."""

    def __init__(self, fetcher: WebFetcher, share: Share) -> None:
        self.parallel = max(1, share.of(fetcher.connections))
        self._fetcher, self._share = fetcher, share
        self._allowed = AllowList(frozenset(fetcher.hosts), fetcher.loopback)
        headers = {"User-Agent": fetcher.user_agent, "Accept": "image/*", "Accept-Encoding": "identity"}
        self._connections = Connections(headers, fetcher.use_proxy, fetcher.total_seconds)
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    def fetch(self, wanted: Wanted) -> Fetched:
        """The picture's bytes and header. Raises UnavailableError after six attempts, RefusedError at once."""
        doubts = 0
        for attempt in range(circuit.ATTEMPTS):
            try:
                return self._attempt(wanted)
            except _PassingError as error:
                last: UnavailableError | RefusedError = UnavailableError(str(error), error.http_status)
                wait = error.wait
            except _DoubtfulError as error:
                last, wait, doubts = RefusedError(str(error), error.http_status), None, doubts + 1
                if doubts > DOUBTED:
                    break
            if attempt + 1 < circuit.ATTEMPTS:
                time.sleep(circuit.back_off(attempt, wait))
        raise last

    def _attempt(self, wanted: Wanted) -> Fetched:
        """One download, with its redirects."""
        url = wanted.url
        for _ in range(REDIRECTS + 1):
            answer = self._request(url)
            if isinstance(answer, bytes):
                return _checked(answer, wanted)
            if PLACEHOLDER in urlsplit(answer).path:
                raise RefusedError("the photo is gone: its host shows a placeholder", 302)
            url = answer
        raise RefusedError(f"more than {REDIRECTS} redirects", 302)

    def _request(self, url: str | None) -> bytes | str:
        """The body of one answer, or where it redirects to."""
        target = self._allowed.check(url)
        host = self._host(f"{target.host}:{target.port}" if target.loopback else target.host)
        probing = host.breaker.enter()
        try:
            if host.window is not None:
                host.window.wait()
            answer = self._read(url or "", self._connections.get(target, self._most))
        except BrokenError as error:
            trouble = _PassingError(str(error), error.http_status)
            host.breaker.failed(probing, str(trouble))
            raise trouble from error
        except _PassingError as error:
            host.breaker.failed(probing, str(error), error.wait)
            raise
        except InputError:
            host.breaker.succeeded()  # it answers
            raise
        except BaseException:
            host.breaker.abandoned(probing)
            raise
        host.breaker.succeeded()
        return answer

    def _most(self, head: Head) -> int:
        """Bytes of an answer's body that are read: of one that we do not want so many that the connection is kept."""
        return DRAINED if head.status != 200 or _opted_out(head) else self._fetcher.max_bytes

    def _read(self, url: str, answer: Answer) -> bytes | str:
        head = answer.head
        place = head.first("location")
        if head.status in (301, 302, 303, 307, 308) and place is not None:
            try:
                return urljoin(url, place)
            except ValueError:
                raise RefusedError("it redirects to what is no address", head.status) from None
        if head.status in _PASSING or head.status >= 500:
            wait = circuit.retry_after(head.first("retry-after"))
            raise _PassingError(f"HTTP {head.status}", head.status, wait)
        if head.status != 200:
            raise RefusedError(f"HTTP {head.status}", head.status)
        if signal := _opted_out(head):
            raise RefusedError(f"opted out ({signal})", head.status)
        if answer.body is None:
            raise RefusedError(TOO_BIG, head.status)
        return answer.body

    def _host(self, name: str) -> _Host:
        with self._lock:
            if name not in self._hosts:
                rate = self._fetcher.rate
                window = Window(rate.of(self._share), self._share.again) if rate is not None else None
                self._hosts[name] = _Host(circuit.Breaker(name), window)
            return self._hosts[name]


def _opted_out(head: Head) -> str | None:
    return opted_out(head.all("x-robots-tag"), head.first("tdm-reservation"))


def _checked(data: bytes, wanted: Wanted) -> Fetched:
    """The picture, if it is a whole one of the promised shape."""
    try:
        header = probe(data)
    except InputError as error:
        if str(error).startswith((CUT, EMPTY, UNKNOWN)):
            raise _DoubtfulError(str(error), 200) from error
        raise RefusedError(str(error), 200) from error
    if wanted.width and wanted.height and not _same_shape(header, wanted.width, wanted.height):
        raise RefusedError(
            f"a placeholder: {header.width}x{header.height} came where {wanted.width}x{wanted.height} was promised",
            200,
        )
    return Fetched(data, 200, header)


def _same_shape(header: Header, width: int, height: int) -> bool:
    """Whether the aspect ratio is the promised one, upright or turned, give or take 2 % and a rounded pixel."""
    for across, down in ((width, height), (height, width)):
        expected = header.height * across / down
        if abs(header.width - expected) <= max(1.0, SAME_SHAPE * expected):
            return True
    return False
