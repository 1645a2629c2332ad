"""What goes wrong, where, how often: a plan that follows from names, not from the order of requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fakes.chance import unit

Place = Literal["unsplash-api", "flickr-api", "unsplash-images", "flickr-images"]
UNSPLASH_API: Place = "unsplash-api"
FLICKR_API: Place = "flickr-api"
UNSPLASH_IMAGES: Place = "unsplash-images"
FLICKR_IMAGES: Place = "flickr-images"
IMAGES = (UNSPLASH_IMAGES, FLICKR_IMAGES)

# What a client gets over by trying again, or does not even notice.
_ANYWHERE = ("too_many", "too_many_retry_after", "server_error", "cut", "wrong_length", "slow", "reset")
PASSING: dict[Place, tuple[str, ...]] = {
    UNSPLASH_API: (*_ANYWHERE, "rate_limit", "malformed", "html", "stale_quota"),
    FLICKR_API: (*_ANYWHERE, "malformed", "html", "unavailable", "total_text", "total_low", "total_empty"),
    UNSPLASH_IMAGES: (*_ANYWHERE, "redirect_within"),
    FLICKR_IMAGES: (*_ANYWHERE, "redirect_within"),
}
# What it never gets over: the photo is given up.
FINAL = (
    "missing",
    "gone",
    "forbidden",
    "html",
    "empty",
    "bomb",
    "gzip_bomb",
    "huge",
    "placeholder",
    "placeholder_directly",
    "redirect_loopback",
    "redirect_private",
    "redirect_elsewhere",
    "redirect_loop",
    "noai",
    "tdm",
)


@dataclass(frozen=True)
class Fault:
    """One kind of trouble at one place, for a share of its items.

    An item is one search page, one photo's details, one download ping, one photo's bytes. `times`: how often it
    strikes the same item; None is always. `seconds`: the Retry-After, or how long a slow body takes.
    """

    kind: str
    place: Place
    share: float = 1.0
    times: int | None = 1
    seconds: float = 1.0

    def __post_init__(self) -> None:
        known = PASSING[self.place] + (FINAL if self.place in IMAGES else ())
        assert self.kind in known, f"no fault {self.kind!r} at {self.place}"

    def strikes(self, item: str, seed: int) -> bool:
        """Whether the item is one of the share."""
        return unit("fault", seed, self.kind, self.place, item) < self.share


@dataclass
class Plan:
    """Faults in the order they strike an item: the passing ones first, at most `most` of them, then a final one."""

    faults: Sequence[Fault] = ()
    seed: int = 0
    most: int = 3
    _struck: Counter[tuple[Fault, str]] = field(default_factory=Counter)
    _passed: Counter[tuple[Place, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, place: Place, item: str) -> Fault | None:
        """The fault that strikes this request for the item."""
        with self._lock:
            for fault in self.faults:
                if fault.place != place or fault.times is None or not fault.strikes(item, self.seed):
                    continue
                if self._struck[fault, item] < fault.times and self._passed[place, item] < self.most:
                    self._struck[fault, item] += 1
                    self._passed[place, item] += 1
                    return fault
        return self.doom(place, item)

    def doom(self, place: Place, item: str) -> Fault | None:
        """The fault that the item never gets over, if there is one."""
        final = (fault for fault in self.faults if fault.place == place and fault.times is None)
        return next((fault for fault in final if fault.strikes(item, self.seed)), None)


def everything(seed: int = 0, *, passing: float = 0.06, final: float = 0.01, seconds: float = 0.5) -> Plan:
    """Every fault there is, everywhere it can happen."""
    faults = [
        Fault(kind, place, passing, times=2 if kind.startswith("total") else 1, seconds=seconds)
        for place, kinds in PASSING.items()
        for kind in kinds
    ]
    faults += [Fault(kind, place, final, times=None) for place in IMAGES for kind in FINAL]
    return Plan(faults, seed)
