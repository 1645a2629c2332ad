"""The land: ridges and rock in layers, dunes, mesas, ground with grass and flowers."""

from __future__ import annotations

import numpy as np

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import mix, pigment, rgb
from pipelines.sources.painting.noise import Array, creases, curve, field, peaks, smoothstep

GREENS: dict[str, tuple[str, str]] = {  # (light, deep)
    "spring": ("#93b552", "#4d7a3a"),
    "summer": ("#86a048", "#44662f"),
    "autumn": ("#c29a4c", "#7d5a2e"),
    "winter": ("#e9eff5", "#a9bdd6"),
}
_COOL_SHADE = pigment(1.15, 1.0, 0.72)  # shadows on open ground keep the blue of the sky


def skyline(
    canvas: Canvas, base: float, lift: float, cell: float, *, sharp: bool, beyond: int = 0, octaves: int = 5
) -> Array:
    """A ridge's outline [width] (y in pixels) around `base`, `lift` pixels of deviation; fewer `octaves` are smoother.

    `beyond`: so many pixels more on either side, for what looks past the frame.
    """
    make = peaks if sharp else curve
    line = make(canvas.rng, canvas.width + 2 * beyond, cell, octaves, 0.42 if sharp else 0.3)
    return (np.float32(base) - np.float32(lift) * line).astype(np.float32)


def far_ridge(canvas: Canvas, profile: Array, material: Array, distance: float, mist: float = 0.5) -> None:
    """A ridge in one tone that dissolves downwards into `mist`; `distance` as in `Light.on`."""
    top, mask = canvas.below(profile)
    depth = _depth(canvas, profile, top) / np.float32(70 * canvas.unit)
    tone = canvas.light.on(material, distance)
    share = np.clip(depth, 0, 1) * np.float32(mist)
    wash = np.float32(0.02) * canvas.grain(3, 14, mask.shape[0])
    canvas.lay(top, mask, tone + (canvas.light.haze - tone) * share + wash * (1 - canvas.light.dark))


def mountain(canvas: Canvas, outline: Array, distance: float, snow: float, rock: Array) -> None:
    """Rock with lit and shaded faces; snow lies above `snow` (y in pixels), thinning out below.

    `outline` reaches beyond the frame by the same number of pixels on either side.
    """
    unit, side, width = canvas.unit, canvas.side, canvas.width
    beyond = (len(outline) - width) // 2
    profile = outline[beyond : beyond + width]
    top, mask = canvas.below(profile)
    depth = _depth(canvas, profile, top)
    rows = mask.shape[0]
    relief = creases(canvas.rng, rows, width + 8, (84 * unit, 46 * unit), 4, 0.62)
    place = np.clip(depth, 0, rows - 1).astype(np.intp)
    columns = np.arange(width)[None, :] + 4
    flow = relief[place, columns]
    toward = relief[np.clip(place - 1, 0, rows - 1), columns + 3 * side]
    slope = np.tanh(1.6 * np.gradient(_smooth(outline, 9 * unit))) * side
    lean = np.clip(0.35 * side * depth, -beyond, beyond).astype(np.intp)
    face = slope[columns - 4 + beyond + lean] * np.exp(-depth / np.float32(110 * unit))
    shine = np.clip(0.5 + 0.42 * face + 0.85 * (flow - toward), 0, 1).astype(np.float32)
    light = canvas.light
    dark, lit = rock * np.float32(0.52) * pigment(0.9, 0.97, 1.14), rock * np.float32(1.12)
    colour = dark + (lit - dark) * shine
    height = np.arange(top, top + rows, dtype=np.float32)[:, None] + np.float32(16 * unit) * flow
    white = smoothstep(-14 * unit, 14 * unit, np.float32(snow) - height + np.float32(10 * unit) * (shine - 0.5))
    drift = rgb("#8fa6cb") + (rgb("#fdfdfb") - rgb("#8fa6cb")) * np.clip(1.25 * shine, 0, 1)
    colour += (drift - colour) * white
    mist = np.clip(depth / np.float32(150 * unit), 0, 1) * np.float32(0.35)
    lit_colour = light.on(colour, distance)
    canvas.lay(top, mask, lit_colour + (light.haze - lit_colour) * mist)


def ground(canvas: Canvas, profile: Array, near: Array, far: Array, distance: float, rough: float = 1.0) -> None:
    """Rolling ground below `profile`: `far` colour at its crest, `near` colour at the foot of the frame."""
    unit = canvas.unit
    top, mask = canvas.below(profile)
    rows = mask.shape[0]
    depth = _depth(canvas, profile, top)
    down = np.clip(depth / np.float32(110 * unit), 0, 1)
    swell = field(canvas.rng, rows, canvas.width, (22 * unit, 130 * unit), 2)
    slope = np.tanh(2.5 * np.gradient(_smooth(profile, 12 * unit))) * canvas.side
    shade = 0.1 * swell + 0.16 * slope * np.exp(-depth / np.float32(50 * unit))
    blades = canvas.grain(2.6 * unit, 0.7, rows) * np.clip(down * 1.3, 0.1, 1)
    tone = far + (near - far) * down
    shade += np.float32(0.075 * rough) * blades
    tone *= 1 + shade * _COOL_SHADE
    canvas.lay(top, mask, canvas.light.on(tone, distance))
    haze = np.clip(1 - depth / np.float32(40 * unit), 0, 1) * np.float32(0.4 * distance)
    canvas.lay(top, (mask * haze)[: int(41 * unit + np.ptp(profile)) + 2], canvas.light.haze)


def flowers(canvas: Canvas, profile: Array, colours: tuple[str, ...], count: int) -> None:
    """Dots of colour in drifts over the ground below `profile`, larger and sparser towards the viewer."""
    rng, unit = canvas.rng, canvas.unit
    x = rng.integers(0, canvas.width, count)
    t = rng.random(count) ** 1.4
    y = profile[x] + 3 + t * (canvas.height - profile[x] - 3)
    drifts = field(rng, canvas.height, canvas.width, (16 * unit, 60 * unit), 2)
    keep = (y < canvas.height - 1) & (drifts[np.clip(y, 0, canvas.height - 1).astype(np.intp), x] > 0.2)
    x, y, t = x[keep], y[keep].astype(np.intp), t[keep]
    palette = canvas.light.on(np.concatenate([rgb(code) for code in colours], axis=1), 0.05)[..., 0]  # [3, colours]
    hue = palette[:, rng.integers(0, len(colours), len(x))] * rng.uniform(0.8, 1.1, len(x)).astype(np.float32)
    for dy in range(4):
        for dx in range(4):
            part = (dy**2 + dx**2 * 0.8) < (0.6 + 2.6 * t * unit) ** 2
            rows, columns = np.clip(y[part] + dy, 0, canvas.height - 1), np.clip(x[part] + dx, 0, canvas.width - 1)
            canvas.pixels[:, rows, columns] = 0.2 * canvas.pixels[:, rows, columns] + 0.8 * hue[:, part]


def dune(canvas: Canvas, outline: Array, sand: Array, distance: float) -> None:
    """A dune: from its tops crests wind down and part the lit from the shaded slopes; wind ripples.

    `outline` reaches beyond the frame by the same number of pixels on either side.
    """
    unit, rng, width = canvas.unit, canvas.rng, canvas.width
    beyond = (len(outline) - width) // 2
    profile = outline[beyond : beyond + width]
    top, mask = canvas.below(profile)
    depth = _depth(canvas, profile, top)
    lean = rng.uniform(0.5, 1.6) * rng.choice((-1, 1))
    sway = 14 * unit * curve(rng, mask.shape[0], 40 * unit, 2)[:, None] * np.clip(depth / np.float32(40 * unit), 0, 1)
    columns = np.arange(width)[None, :] + np.clip(lean * depth + sway, -beyond, beyond).astype(np.intp) + beyond
    slope = np.gradient(_smooth(outline, 5 * unit))[columns] * canvas.side
    shade = smoothstep(-0.05, 0.12, -slope) * np.clip(1.1 - depth / np.float32(150 * unit), 0.15, 1)
    shade += 0.1 * field(rng, mask.shape[0], width, (30 * unit, 110 * unit), 2)
    ripple = canvas.grain(1.1, 9 * unit, mask.shape[0]) * np.clip(depth / np.float32(60 * unit), 0, 1)
    dark = sand * pigment(0.58, 0.48, 0.52)
    tone = sand * np.float32(1.06) + (dark - sand) * np.clip(shade, 0, 1).astype(np.float32)
    crest = np.exp(-depth / np.float32(2.5 * unit)) * np.float32(0.12)
    tone *= 1 + np.float32(0.03) * ripple + crest
    canvas.lay(top, mask, canvas.light.on(tone, distance))


def mesa_line(canvas: Canvas, base: float, lift: float, cell: float) -> Array:
    """The outline of table mountains: a curve pressed flat above and below, with broken edges."""
    line = curve(canvas.rng, canvas.width, cell, 4, 0.4)
    steps = 0.62 * np.tanh(9 * (line - 0.25)) + 0.38 * np.tanh(9 * (line + 0.55))
    return np.asarray(base - lift * steps - 0.05 * lift * peaks(canvas.rng, canvas.width, cell / 3, 4), np.float32)


def mesa(canvas: Canvas, profile: Array, distance: float) -> None:
    """Red rock in strata with fluted faces, scree at the foot."""
    unit = canvas.unit
    top, mask = canvas.below(profile)
    rows = mask.shape[0]
    y = np.arange(top, top + rows, dtype=np.float32)[:, None]
    warp = 3.5 * unit * field(canvas.rng, rows, canvas.width, (40 * unit, 120 * unit), 3)
    bands = curve(canvas.rng, canvas.height * 2, 15 * unit, 4, 0.7)
    strata = bands[np.clip(y + warp + canvas.height / 2, 0, 2 * canvas.height - 1).astype(np.intp)]
    flutes = creases(canvas.rng, rows, canvas.width + 8, (110 * unit, 15 * unit), 3, 0.6)
    fall = flutes[:, 4:-4] - flutes[:, 4 + 2 * canvas.side : canvas.width + 4 + 2 * canvas.side]
    slope = np.tanh(0.9 * np.gradient(_smooth(profile, 4 * unit))) * canvas.side
    depth = _depth(canvas, profile, top)
    shine = np.clip(0.55 + 0.35 * fall + 0.3 * slope * np.exp(-depth / np.float32(60 * unit)), 0, 1)
    dark, lit = rgb("#7a3a30"), rgb("#e09060")
    tone = dark + (lit - dark) * shine
    tone = tone * (1 + np.float32(0.12) * strata).astype(np.float32)
    scree = np.clip((depth - 46 * unit) / np.float32(60 * unit), 0, 0.8).astype(np.float32)
    canvas.lay(top, mask, canvas.light.on(mix(tone, rgb("#c98a5c"), 1.0) * scree + tone * (1 - scree), distance))


def _depth(canvas: Canvas, profile: Array, top: int) -> Array:
    """Pixels below the outline [rows, width], not negative."""
    rows = np.arange(top, canvas.floor, dtype=np.float32)[:, None]
    depth: Array = np.maximum(rows - profile[None, :], 0)
    return depth


def _smooth(line: Array, width: float) -> Array:
    """Moving average; the ends see themselves repeated."""
    half = max(int(width) // 2, 1)
    padded = np.pad(line, half, mode="edge")
    total = np.cumsum(np.concatenate([[0.0], padded]))
    mean: Array = ((total[2 * half + 1 :] - total[: -2 * half - 1]) / (2 * half + 1)).astype(np.float32)
    return mean
