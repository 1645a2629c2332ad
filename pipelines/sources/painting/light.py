"""The light of a scene: sky colours by time of day, where sun or moon stand, and what light does to matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.sources.painting.noise import Array


def rgb(code: str) -> Array:
    """'#rrggbb' as [3, 1, 1] in [0, 1]."""
    return pigment(*(int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)))


def pigment(red: float, green: float, blue: float) -> Array:
    """A colour [3, 1, 1], to be used over [height, width]."""
    return np.array([red, green, blue], np.float32).reshape(3, 1, 1)


def mix(a: Array, b: Array, share: float) -> Array:
    """`share` of `b` in `a`."""
    return a + (b - a) * np.float32(share)


WHITE = pigment(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Light:
    """Colours are [3, 1, 1] in [0, 1]; positions are in canvas pixels; `dark` is 0 by day and 1 by night."""

    sky: Array  # [4, 3, 1, 1], zenith to horizon
    sun: Array
    haze: Array
    tint: Array
    dark: float
    orb: str | None  # "sun", "moon" or nothing to be seen
    x: float
    y: float

    def on(self, material: Array, distance: float = 0.0) -> Array:
        """A material ([3, ...], as seen at noon) in this light; `distance` 0 is near, 1 is lost in haze."""
        seen: Array = material * (self.tint * np.float32(1 - distance))
        seen += self.haze * np.float32(distance)
        return seen


_SKIES: dict[str, tuple[str, str, str, str, str, str, str, float]] = {
    #            zenith     high       low        horizon    sun        haze       tint       dark
    "dawn": ("#6483b4", "#abb2d2", "#efc3ba", "#fddcb4", "#fff0c8", "#cdbcc4", "#f4dccf", 0.1),
    "morning": ("#3f86cc", "#7db6e6", "#bcdcf0", "#f4efd9", "#fffbe6", "#c9dbe6", "#fff6e2", 0.0),
    "noon": ("#2571c4", "#559fde", "#97c9ec", "#dcedf3", "#fffef2", "#b9d4e6", "#ffffff", 0.0),
    "golden": ("#5c82b8", "#b0b4c8", "#f3c598", "#ffdd9c", "#fff2bd", "#cbb7ae", "#ffdfac", 0.0),
    "sunset": ("#363d74", "#92507f", "#ee7c58", "#ffc56a", "#ffe3a0", "#b47a86", "#dfa08a", 0.3),
    "dusk": ("#1d2450", "#47437c", "#96628a", "#e39b88", "#ffd0a8", "#81699a", "#857ba6", 0.55),
    "overcast": ("#7f909f", "#9dabb6", "#bcc6cb", "#d7dad6", "#f2f2ea", "#b9c3c8", "#d2d8da", 0.05),
    "night": ("#060b1f", "#0f1c42", "#1d3664", "#44648e", "#eef3ff", "#2a4674", "#44588a", 1.0),
}
_KIN = {"dawn": "morning", "morning": "noon", "noon": "morning", "golden": "morning", "sunset": "golden"}


def light_of(rng: np.random.Generator, time: str, width: int, horizon: float, height: int) -> Light:
    """The light at `time`: the palette leans towards its neighbour's, and sun or moon stand anywhere across.

    The place is uniform to 0.4 heights beyond both edges, further than the glow reaches.
    """
    lean = 0.35 * rng.random() ** 2 if time in _KIN else 0.0
    one, other = _SKIES[time], _SKIES[_KIN.get(time, time)]
    colours = [mix(rgb(a), rgb(b), lean) for a, b in zip(one[:7], other[:7], strict=True)]
    cast = (1 + rng.normal(0, 0.022, (3, 1, 1))).astype(np.float32)
    colours = [np.clip(colour * cast, 0, 1) for colour in colours]
    seen = rng.random() < {"overcast": 0.0, "noon": 0.35, "night": 0.6}.get(time, 0.65)
    low = {"dawn": 0.8, "sunset": 0.82, "golden": 0.6, "dusk": 0.97, "morning": 0.45}.get(time, 0.3)
    return Light(
        sky=np.stack(colours[:4]),
        sun=colours[4],
        haze=colours[5],
        tint=colours[6],
        dark=one[7],
        orb=("moon" if time == "night" else "sun") if seen else None,
        x=float(rng.uniform(-0.4 * height, width + 0.4 * height)),
        y=float(horizon * np.clip(rng.normal(low, 0.1), 0.12, 1.02)),
    )
