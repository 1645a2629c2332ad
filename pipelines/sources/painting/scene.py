"""What a synthetic scene is, decided without painting it: its kind, size, words, rights and plants.

A *plant* is something put into the set on purpose, so that a filter has a known right answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

CENTRED_SHARE = 0.25  # scenes with one big subject in the exact middle
TOO_SMALL_SHARE = 0.06  # scenes whose short side is below MIN_SIDE
BLACKLISTED_SHARE = 0.06  # scenes with one tag that a landscape set does not want
UNTAGGED_SHARE = 0.05  # scenes without any tag
MIN_SIDE = 256  # pixels: every scene that is not planted too small has a short side above it

SUBJECTS = ("tree", "conifer", "lighthouse", "tower", "hut", "arch", "balloon", "stone")
BLACKLISTED = ("Car", "Dog", "Portrait", "People", "Airplane", "Food")
KINDS = (
    "mountain lake",
    "mountain range",
    "misty mountains",
    "sea",
    "forest",
    "meadow",
    "rolling hills",
    "desert dunes",
    "canyon",
    "snowfield",
    "night sky",
)
LICENSES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
}
_CC_BY_SHARE = 0.15

_PAINTERS = (
    "Perlin Noisewater",
    "Sienna Gradient",
    "Gaussian Brook",
    "Umber Falloff",
    "Octavia Octave",
    "Cobalt Dither",
    "Viridian Blend",
    "Ochre Halftone",
)
_TIMES = ("dawn", "morning", "noon", "golden", "sunset", "dusk", "overcast")
_TIME_WORDS = {
    "dawn": ("at Dawn", "Dawn"),
    "morning": ("in the Morning", "Morning"),
    "noon": ("at Noon", "Daylight"),
    "golden": ("in Evening Light", "Golden Hour"),
    "sunset": ("at Sunset", "Sunset"),
    "dusk": ("at Dusk", "Dusk"),
    "overcast": ("under Grey Skies", "Overcast"),
    "night": ("by Night", "Starry Sky"),
}
_WEATHER_WORDS = {"fog": "Fog", "haze": "Haze", "rain": "Rain", "snowfall": "Snowfall", "clear": None}
_KIND_WORDS: dict[str, tuple[str, ...]] = {
    "mountain lake": ("Mountain", "Lake", "Water", "Reflection"),
    "mountain range": ("Mountain", "Mountain Range", "Peak"),
    "misty mountains": ("Mountain", "Mist", "Ridge"),
    "sea": ("Sea", "Ocean", "Water", "Horizon"),
    "forest": ("Forest", "Conifer", "Woodland"),
    "meadow": ("Meadow", "Grassland", "Wild Flowers"),
    "rolling hills": ("Hill", "Countryside", "Grassland"),
    "desert dunes": ("Desert", "Dune", "Sand"),
    "canyon": ("Desert", "Canyon", "Mesa"),
    "snowfield": ("Snow", "Winter", "Ice"),
    "night sky": ("Night Sky", "Stars", "Mountain"),
}
_COMMON_WORDS = ("Nature", "Landscape", "Scenery", "Sky", "Outdoors", "Wilderness")
_ADJECTIVES = ("Quiet", "Distant", "Wide", "Still", "Slow", "Far", "Lonely", "Soft", "Old", "Open")
_DRY = ("desert dunes", "canyon")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene: sizes in pixels; `subject_size` is (width, height) as fractions of the frame."""

    seed: int
    index: int
    width: int
    height: int
    kind: str
    time: str
    season: str
    weather: str
    title: str
    tags_raw: tuple[str, ...]
    tags: tuple[str, ...]
    author: str
    license: str
    subject_kind: str | None
    subject_size: tuple[float, float]
    plants: dict[str, str | bool | None]
    control: bool = False  # leaves whirl before its left half


def describe(seed: int, index: int, *, control: bool = False) -> Scene:
    """The scene at `index` (from 0) of the endless series `seed` (from 0); a pure function of its arguments.

    With `control` a scene that would have a centred subject is a control scene instead; the others stay as they are.
    Raises ValueError for a negative seed or index.
    """
    u = iter(np.random.default_rng([seed, index, 0]).random(32).tolist())
    kind = _pick(KINDS, next(u))
    season = "winter" if kind == "snowfield" else _pick(("spring", "summer", "summer", "autumn", "winter"), next(u))
    weather = _weather(kind, season, next(u))
    time = "night" if kind == "night sky" else _pick(_TIMES, next(u))
    if weather in ("rain", "snowfall") and time != "night":
        time = _pick(("overcast", "overcast", "dusk"), next(u))
    too_small = next(u) < TOO_SMALL_SHARE
    width, height = _size(too_small, next(u), next(u), next(u))
    subject = _pick(SUBJECTS, next(u)) if next(u) < CENTRED_SHARE else None
    size = (0.2 + 0.19 * next(u), 0.47 + 0.36 * next(u))
    control = control and subject is not None
    subject = None if control else subject
    words = next(u)
    blacklisted = _pick(BLACKLISTED, next(u)) if words < BLACKLISTED_SHARE else None
    tagged = words < BLACKLISTED_SHARE or words >= BLACKLISTED_SHARE + UNTAGGED_SHARE
    raw = _tags(kind, time, weather, blacklisted, (next(u), next(u), next(u))) if tagged else ()
    when = _TIME_WORDS[time][0]
    return Scene(
        seed=seed,
        index=index,
        width=width,
        height=height,
        kind=kind,
        time=time,
        season=season,
        weather=weather,
        title=f"{_pick(_ADJECTIVES, next(u))} {kind.title()} {when}",
        tags_raw=raw,
        tags=tuple(normalise(word) for word in raw),
        author=_pick(_PAINTERS, next(u)),
        license="CC-BY-4.0" if next(u) < _CC_BY_SHARE else "CC0-1.0",
        subject_kind=subject,
        subject_size=size,
        plants={
            "subject": "centred" if subject else None,
            "subject_kind": subject,
            "blacklisted_tag": normalise(blacklisted) if blacklisted else None,
            "too_small": too_small,
            "weather": weather,
            "kind": kind,
            **({"control": True} if control else {}),
        },
        control=control,
    )


def normalise(tag: str) -> str:
    """A tag as Flickr normalises it: lower case, without spaces and punctuation."""
    return "".join(letter for letter in tag.casefold() if letter.isalnum())


def _pick(options: Sequence[T], u: float) -> T:
    return options[int(u * len(options))]


def _weather(kind: str, season: str, u: float) -> str:
    if kind in _DRY:
        return "haze" if u < 0.2 else "clear"
    if u < 0.08:
        return "fog"
    if u < 0.16:
        return "haze"
    if u < 0.25:
        return "snowfall" if season == "winter" else "rain"
    return "clear"


def _size(too_small: bool, side: float, aspect: float, upright: float) -> tuple[int, int]:
    """(width, height): short side 288 to 384, planted ones 160 to 224; one in twelve stands upright."""
    short = 160 + 8 * int(side * 9) if too_small else 288 + 8 * int(side * 13)
    long = round(short * _pick((4 / 3, 4 / 3, 3 / 2, 3 / 2, 16 / 9), aspect))
    return (short, long) if upright < 1 / 12 else (long, short)


def _tags(kind: str, time: str, weather: str, planted: str | None, u: tuple[float, float, float]) -> tuple[str, ...]:
    first = int(u[0] * len(_COMMON_WORDS))
    common = [_COMMON_WORDS[(first + step) % len(_COMMON_WORDS)] for step in range(2 + int(u[1] * 3))]
    words = [*_KIND_WORDS[kind], _TIME_WORDS[time][1], *common]
    if (word := _WEATHER_WORDS[weather]) is not None:
        words.append(word)
    if planted is not None:
        words.insert(int(u[2] * (len(words) + 1)), planted)
    return tuple(words)
