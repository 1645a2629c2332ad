"""The photographs that exist in the made-up world, and which query finds which.

Everything about a photo that its record does not say follows from its id, so tens of thousands cost little.
"""

from __future__ import annotations

import base64
import bisect
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from fakes.chance import number, pick, unit

Site = Literal["unsplash", "flickr"]
UNSPLASH: Site = "unsplash"
FLICKR: Site = "flickr"

LHQ_LICENSES = ("2", "4", "8", "9", "10")
OTHER_LICENSES = ("0", "1", "3", "5", "6", "7")
FIRST_UPLOAD, LAST_UPLOAD = 1_104_537_600, 1_704_067_200  # 2005 to 2024
SCALE = 40  # a picture's promised size is so many times the size it is served at
SHAPES = ((96, 64), (64, 96), (96, 54), (100, 70), (80, 80), (120, 48))  # pixels as served

_FORMS = ("lake", "mountain", "glacier", "dune", "fjord", "forest", "canyon", "waterfall", "coast", "valley")
_MOODS = ("at dawn", "in fog", "in autumn", "after rain", "in winter", "under stars", "from above", "in spring")
_TAGS = ("Mountain", "Snow Peak", "Hot-Air Balloon", "Sea", "Évening", "Trees", "river bank", "Road", "Sky", "Été")


def queries(count: int) -> tuple[str, ...]:
    """The first `count` (at most 80) distinct queries that the world's photos are found by."""
    every = [f"{form} {mood}" for mood in _MOODS for form in _FORMS]
    return tuple(every[:count])


@dataclass(frozen=True, slots=True)
class Shot:
    """One photograph. `kind`: photo, sponsored or premium (Unsplash); `twin`: whose bytes it has."""

    site: Site
    id: str
    queries: tuple[str, ...]
    license: str = ""  # Flickr's number
    uploaded: int = FIRST_UPLOAD  # unix seconds
    kind: str = "photo"
    twin: str = ""

    @property
    def photo_id(self) -> str:
        return f"{self.site}:{self.id}"

    @property
    def picture(self) -> str:
        """The id that the bytes follow from."""
        return self.twin or self.id

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height in pixels as served, once the EXIF orientation is applied."""
        return pick(SHAPES, "shape", self.picture)

    @property
    def promised(self) -> tuple[int, int]:
        """Width and height as the API tells them."""
        width, height = self.shape
        return width * SCALE, height * SCALE

    @property
    def turned(self) -> bool:
        """Whether the original is stored lying on its side, with an EXIF orientation of 6."""
        return self.site == FLICKR and unit("turned", self.picture) < 0.1

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(tag for tag in _TAGS if unit("tag", tag, self.id) < 0.4)

    @property
    def author(self) -> str:
        return f"Ansel {number('author', self.id) % 997} Ó Dónaill"


@dataclass
class World:
    """All photographs by id, and the indices that the two searches need."""

    shots: dict[str, Shot] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)  # photo ids that were taken down since
    licenses: dict[str, str] = field(default_factory=dict)  # Flickr photo id -> its licence now
    spam: set[str] = field(default_factory=set)  # queries that Unsplash refuses
    _unsplash: dict[str, list[Shot]] = field(default_factory=dict)
    _flickr: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)  # query, licence -> by upload

    def add(self, shots: Iterable[Shot]) -> None:
        """Put photographs into the world; an id stands once."""
        touched = set()
        for shot in shots:
            assert shot.photo_id not in self.shots, shot.photo_id
            self.shots[shot.photo_id] = shot
            for query in shot.queries:
                if shot.site == UNSPLASH:
                    self._unsplash.setdefault(query, []).append(shot)
                else:
                    key = (query, shot.license)
                    self._flickr.setdefault(key, []).append((shot.uploaded, shot.id))
                    touched.add(key)
        for key in touched:
            self._flickr[key].sort()

    def find_unsplash(self, query: str) -> Sequence[Shot]:
        """What the search returns, in its order; what is gone has left it."""
        found = self._unsplash.get(query, [])
        return [shot for shot in found if shot.photo_id not in self.gone] if self.gone else found

    def find_flickr(self, query: str, license_: str, first: int, last: int) -> Sequence[Shot]:
        """By time of upload, both bounds included; found by the licence that it was indexed under."""
        listed = self._flickr.get((query, license_), [])
        low, high = bisect.bisect_left(listed, (first, "")), bisect.bisect_left(listed, (last + 1, ""))
        found = (self.shots[f"flickr:{one}"] for _, one in listed[low:high])
        return [shot for shot in found if shot.photo_id not in self.gone]

    def license_of(self, shot: Shot) -> str:
        """The licence number that Flickr tells now."""
        return self.licenses.get(shot.photo_id, shot.license)

    def wanted(self, asked: Sequence[str], licenses: Sequence[str] = LHQ_LICENSES) -> dict[str, set[str]]:
        """What a complete crawl of these queries lists: photo id -> the queries that find it."""
        found = {}
        for shot in self.shots.values():
            by = set(shot.queries) & set(asked)
            free = shot.kind == "photo" and (shot.site == UNSPLASH or shot.license in licenses)
            if by and free and shot.photo_id not in self.gone:
                found[shot.photo_id] = by
        return found


def unsplash_id(index: int, seed: int = 0) -> str:
    """11 characters as Unsplash's ids have them, `-` and `_` among them."""
    digest = hashlib.blake2b(f"unsplash/{seed}/{index}".encode(), digest_size=9).digest()
    return base64.urlsafe_b64encode(digest).decode()[:11]


def scatter(site: Site, count: int, found_by: Sequence[str], *, seed: int = 0) -> list[Shot]:
    """`count` photographs, each found by one to four of the queries (every query by some), every 20th with the
    bytes of another; on Flickr 15 % stand under a licence outside the LHQ set."""
    shots: list[Shot] = []
    for index in range(count):
        key = (site, seed, index)
        own = [found_by[(index + step * step) % len(found_by)] for step in range(1 + number("queries", *key) % 4)]
        among = OTHER_LICENSES if unit("free", *key) < 0.15 else LHQ_LICENSES
        shot = Shot(
            site,
            unsplash_id(index, seed) if site == UNSPLASH else str(10_000_000_000 + seed * 10_000_000 + index),
            tuple(dict.fromkeys(own)),
            license=pick(among, "license", *key) if site == FLICKR else "",
            uploaded=FIRST_UPLOAD + number("upload", *key) % (LAST_UPLOAD - FIRST_UPLOAD),
        )
        if index % 20 == 19:
            shot = replace(shot, twin=shots[index - 10].picture)
        shots.append(shot)
    return shots


def unwanted(count: int, found_by: Sequence[str], *, seed: int = 1) -> list[Shot]:
    """Advertisements and premium photographs, which Unsplash's search mixes in."""
    return [
        replace(shot, kind=("sponsored", "premium")[index % 2], twin="")
        for index, shot in enumerate(scatter(UNSPLASH, count, found_by, seed=seed))
    ]


def burst(
    count: int, query: str, license_: str, *, share: float = 0.7, hours: float = 2.0, seed: int = 2
) -> list[Shot]:
    """`count` Flickr photographs of one query and licence, `share` of them uploaded within `hours`."""
    within = int(hours * 3600)
    start = 1_577_880_000
    shots = []
    for index in range(count):
        at = number("burst", seed, index)
        uploaded = start + at % within if index < share * count else FIRST_UPLOAD + at % (LAST_UPLOAD - FIRST_UPLOAD)
        shots.append(Shot(FLICKR, str(20_000_000_000 + seed * 10_000_000 + index), (query,), license_, uploaded))
    return shots
