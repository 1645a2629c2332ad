"""The sky: its colours, sun or moon, stars, aurora and clouds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import WHITE, mix, pigment
from pipelines.sources.painting.noise import creases, curve, field, smoothstep


def paint_sky(canvas: Canvas, horizon: float) -> None:
    """The whole sky down to `horizon` (y in pixels), painted with broad strokes."""
    rows = min(int(horizon) + 24, canvas.height)
    _gradient(canvas, rows, horizon)
    light, rng = canvas.light, canvas.rng
    if light.dark > 0.9 and rng.random() < 0.45:
        _aurora(canvas, rows)
    if light.orb is not None:
        _orb(canvas, rows)
    draw = rng.random()
    overcast = float(light.sky[0].max() - light.sky[0].min()) < 0.2 and light.dark < 0.3
    if light.dark > 0.9:
        if draw < 0.3:
            _veils(canvas, rows, horizon)
    elif overcast:
        _cumulus(canvas, rows, horizon, cover=0.75)
    elif draw < 0.55:
        _cumulus(canvas, rows, horizon, cover=float(rng.uniform(0.1, 0.5)))
    elif draw < 0.85:
        _veils(canvas, rows, horizon)
    canvas.stroke(15 * canvas.unit, 4.5 * canvas.unit, 0.012, 0, rows)
    if light.dark > 0.9:
        _stars(canvas, rows)


def _gradient(canvas: Canvas, rows: int, horizon: float) -> None:
    """Zenith to horizon, the steps softly broken; below the horizon the last colour goes on."""
    wander = field(canvas.rng, rows, canvas.width, (60 * canvas.unit, 160 * canvas.unit), 1)
    t = np.arange(rows, dtype=np.float32)[:, None] / np.float32(horizon) + np.float32(0.022) * wander
    steps = np.linspace(0, 1, 256)
    table = np.stack([np.interp(steps, (0, 0.4, 0.75, 1.0), canvas.light.sky[:, i, 0, 0]) for i in range(3)])
    canvas.pixels[:, :rows] = table.astype(np.float32).take((t * 255).astype(np.int32), axis=1, mode="clip")
    canvas.pixels[:, rows:] = canvas.light.sky[3]


def _orb(canvas: Canvas, rows: int) -> None:
    """Sun or moon with its glow."""
    light, height = canvas.light, canvas.height
    moon = light.orb == "moon"
    dy = np.arange(rows, dtype=np.float32) - np.float32(light.y)
    dx = np.arange(canvas.width, dtype=np.float32) - np.float32(light.x)
    sky = canvas.pixels[:, :rows]
    for reach, force in ((0.13, 0.35), (0.05, 0.5)) if moon else ((0.34, 0.42), (0.12, 0.4), (0.05, 0.5)):
        size = np.float32(reach * height)
        glow = np.outer(np.exp(-((dy / size) ** 2)), np.exp(-((dx / size / 1.25) ** 2)))
        sky += (light.sun - sky) * (np.float32(force) * glow)
    radius = canvas.unit * canvas.rng.uniform(7, 13)
    far = np.sqrt(dy[:, None] ** 2 + dx[None, :] ** 2)
    disc = np.clip(np.float32(radius + 0.5) - far, 0, 1)
    if moon:
        bite = radius * canvas.rng.uniform(0.3, 2.2) * canvas.side
        lit = np.sqrt((dy[:, None] + np.float32(0.2 * bite)) ** 2 + (dx[None, :] + np.float32(bite)) ** 2)
        disc *= np.clip(lit - np.float32(radius * 0.98), 0.04, 1)
    canvas.lay(0, disc, mix(light.sun, WHITE, 0.5))


def _stars(canvas: Canvas, rows: int) -> None:
    """Points of light, denser along a band that may lie anywhere at any slope."""
    rng, width = canvas.rng, canvas.width
    slope, middle = rng.uniform(-0.6, 0.6), rng.uniform(-0.6 * width, rows + 0.6 * width)
    x = np.arange(width)
    centre = (middle + slope * x + 12 * canvas.unit * curve(rng, width, 120 * canvas.unit, 3)).astype(np.float32)
    along = (np.arange(rows, dtype=np.float32)[:, None] - centre) / np.float32(52 * canvas.unit)
    dust = field(rng, rows, width, (50 * canvas.unit, 50 * canvas.unit), 5, 0.6)
    band = np.exp(-(along**2)) * np.clip(0.6 + 0.4 * dust, 0, 2)
    canvas.lay(0, 0.16 * np.clip(band, 0, 1.5), pigment(0.66, 0.66, 0.86))
    chance = 0.0022 * (1 + 2.5 * band) / canvas.unit**2
    ys, xs = np.nonzero(rng.random((rows, width), np.float32) < chance)
    power = rng.random(len(ys)).astype(np.float32) ** 3
    hue = pigment(1.0, 0.96, 0.9)[:, 0] + rng.normal(0, 0.06, (3, len(ys))).astype(np.float32)
    for dy, dx, share in ((0, 0, 1.0), (0, 1, 0.45), (1, 0, 0.45), (0, -1, 0.3), (-1, 0, 0.3)):
        y, x2 = np.clip(ys + dy, 0, rows - 1), np.clip(xs + dx, 0, width - 1)
        force = (0.25 + 0.75 * power) * share * (1.0 if dy == dx else power)
        canvas.pixels[:, y, x2] += (hue - canvas.pixels[:, y, x2]) * force.astype(np.float32)


def _aurora(canvas: Canvas, rows: int) -> None:
    """Green curtains with violet hems: rays that rise from a wavy foot."""
    rng, width, unit = canvas.rng, canvas.width, canvas.unit
    y = np.arange(rows, dtype=np.float32)[:, None]
    green, violet = pigment(0.35, 0.95, 0.62), pigment(0.55, 0.35, 0.85)
    for _ in range(int(rng.integers(1, 4))):
        foot = rows * rng.uniform(0.4, 0.85) + 26 * unit * curve(rng, width, 170 * unit, 3)
        rays = np.clip(0.55 + 0.5 * curve(rng, width, 60 * unit, 6, 0.7), 0, 1.4)
        tall = np.float32(unit) * (60 + 26 * curve(rng, width, 90 * unit, 3))
        up = (foot - y) / np.maximum(tall, 20)
        force = np.exp(np.where(up > 0, -up, 7 * up)) * rays
        canvas.lay(0, np.clip(0.62 * force, 0, 0.85).astype(np.float32), green)
        canvas.lay(0, np.clip(0.3 * force * np.clip(up, 0, 1), 0, 1).astype(np.float32), violet)


def _recede(rows: int, horizon: float, tall: int) -> npt.NDArray[np.intp]:
    """Rows of a cloud field [tall] as seen towards the horizon, squeezed the more the lower they stand."""
    t = np.clip(np.arange(rows) / horizon, 0, 1)
    seen: npt.NDArray[np.intp] = ((tall - 1) * 0.62 * t / (1.62 - t)).astype(np.intp)
    return seen


def _cumulus(canvas: Canvas, rows: int, horizon: float, cover: float) -> None:
    """Heaped clouds, lit from one side by day and from below by a low sun."""
    rng, width, light, unit = canvas.rng, canvas.width, canvas.light, canvas.unit
    tall = int(rows * 1.2)
    size = unit * rng.uniform(70, 120)
    flat = field(rng, tall, width + 8, (0.62 * size, 1.5 * size), 3, 0.5)
    flat = np.float32(0.86) * flat + np.float32(0.5) * creases(rng, tall, width + 8, (0.26 * size, 0.4 * size), 3, 0.6)
    seen = _recede(rows, horizon, tall)
    here = flat[seen, 4:-4]
    step = max(int(3 * unit), 1)
    toward = flat[np.clip(seen - step, 0, tall - 1), 4 + 2 * canvas.side : 4 + 2 * canvas.side + width]
    edge = 0.95 - 1.5 * cover
    mask = smoothstep(edge, edge + 0.55, here)
    low_sun = light.dark > 0.2 and light.dark < 0.9
    relief = (here - toward) * (-0.8 if low_sun else 1.1)
    shine = np.clip(0.62 + relief - 0.16 * np.clip(here - edge - 0.5, 0, 2), 0, 1)
    lit = mix(light.sky[2], light.sun, 0.75) if low_sun else mix(light.sun, WHITE, 0.35)
    shade = mix(mix(light.sky[0], light.sky[1], 0.6), light.haze, 0.45 if not low_sun else 0.1)
    colour = shade + (lit - shade) * shine
    fade = np.clip(1.15 - (np.arange(rows, dtype=np.float32) / np.float32(horizon)) ** 3, 0.1, 1)[:, None]
    canvas.lay(0, mask * fade * np.float32(0.94), colour.astype(np.float32))


def _veils(canvas: Canvas, rows: int, horizon: float) -> None:
    """High thin clouds drawn out by the wind, to either side."""
    rng, width, light, unit = canvas.rng, canvas.width, canvas.light, canvas.unit
    tall, slope = int(rows * 1.4), rng.uniform(-1.6, 1.6)
    reach = int(abs(slope) * tall) + 1
    wide = field(rng, tall, width + reach, (30 * unit, 230 * unit), 5, 0.62)
    seen = _recede(rows, horizon, tall)
    shift = (np.arange(width)[None, :] + (slope * seen)[:, None].astype(np.intp)) + (reach if slope < 0 else 0)
    here = wide[seen[:, None], np.clip(shift, 0, width + reach - 1)]
    patches = field(rng, rows, width, (90 * unit, 200 * unit), 2)
    mask = smoothstep(-0.1, 1.5, here + 0.6 * patches) * np.float32(0.8 - 0.45 * (light.dark > 0.9))
    lit = mix(light.sky[2], light.sun, 0.55 if light.dark < 0.9 else 0.2)
    canvas.lay(0, mask, lit)
