"""Trees from afar: the outline of a wood against what lies behind it, and blades of grass the same way."""

from __future__ import annotations

import numpy as np

from pipelines.sources.painting.canvas import Canvas
from pipelines.sources.painting.light import rgb
from pipelines.sources.painting.noise import Array, curve, smoothstep

LEAVES: dict[str, tuple[str, ...]] = {
    "spring": ("#5f8a3c", "#7da24a", "#4d7a3f"),
    "summer": ("#3f6b34", "#557d3c", "#2f5a35"),
    "autumn": ("#c2702c", "#d99a3a", "#a4472a"),
    "winter": ("#66717a", "#7c868c", "#59646e"),
}
SLIM = 0.2  # half the breadth of a conifer over its height
NEEDLES = ("#2c4f3c", "#34573a", "#264840")


def spires(canvas: Canvas, tall: float, spacing: float, bare: float = 0.0) -> Array:
    """Heights [2, width] above the ground (two samples a pixel) of a row of conifers at random places.

    `tall` and `spacing` in pixels; `bare` is the share of gaps.
    """
    rng, width = canvas.rng, canvas.width
    reach = tall * SLIM + 2
    count = max(int((width + 2 * reach) / spacing), 3)
    x = rng.uniform(-reach, width + reach, count)
    gaps = curve(rng, width, 60 * canvas.unit, 3)[np.clip(x, 0, width - 1).astype(np.intp)] if bare else np.ones(count)
    height = tall * rng.uniform(0.45, 1.0, count) * (gaps > 2.4 * bare - 1.2)
    out = np.zeros(2 * width, np.float32)
    for centre, top in zip(x.tolist(), height.tolist(), strict=True):
        half = top * SLIM
        first, last = max(int(2 * (centre - half)), 0), min(int(2 * (centre + half)) + 2, 2 * width)
        if last <= first or top < 1:
            continue
        u = np.abs(np.arange(first, last, dtype=np.float32) * np.float32(0.5) - np.float32(centre)) / np.float32(half)
        tiers = np.float32(max(min(top / 4.5, 9), 2))
        step = u * tiers
        rise = top * np.clip(1 - (np.floor(step) + np.float32(0.25) * (step - np.floor(step))) / tiers, 0, 1) * (u <= 1)
        np.maximum(out[first:last], rise, out=out[first:last])
    return np.stack([out[0::2], out[1::2]])


def crowns(canvas: Canvas, tall: float, spacing: float) -> Array:
    """Heights [2, width] of a row of round trees."""
    rng, width = canvas.rng, canvas.width
    count = max(int((width + 4 * tall) / spacing), 3)
    x = rng.uniform(-tall, width + tall, count)
    height = tall * rng.uniform(0.5, 1.0, count)
    at = np.arange(2 * width, dtype=np.float32)[None, :] * np.float32(0.5)
    u = (at - x[:, None].astype(np.float32)) / (0.62 * height[:, None].astype(np.float32))
    out = (height[:, None] * np.sqrt(np.clip(1 - u * u, 0, 1))).max(axis=0)
    out = out + 0.05 * tall * curve(rng, 2 * width, 7 * canvas.unit, 3, 0.8) * (out > 1)
    return np.stack([out[0::2], out[1::2]]).astype(np.float32)


def wood(canvas: Canvas, foot: Array, heights: Array, leaf: Array, distance: float, snowy: float = 0.0) -> None:
    """Fill the trees whose `heights` [2, width] stand on `foot` [width] (y in pixels), and all below them."""
    outline = foot[None, :] - heights
    high = outline.min(axis=0)
    top = int(np.clip(np.floor(outline.min()) - 1, 0, canvas.floor - 1))
    rows = np.arange(top, canvas.floor, dtype=np.float32)[:, None]
    mask = 0.5 * (np.clip(rows - outline[0] + 0.5, 0, 1) + np.clip(rows - outline[1] + 0.5, 0, 1))
    size = np.float32(max(float(heights.max()), 2.0))
    depth = np.clip((rows - high[None, :]) / size, 0, 3)
    boughs = canvas.grain(1.0 * canvas.unit, 0.9 * canvas.unit, mask.shape[0])
    clumps = canvas.grain(5 * canvas.unit, 2.2 * canvas.unit, mask.shape[0])
    tip = np.exp(-2.2 * depth)
    tone = leaf * (0.62 + 0.5 * tip + (0.10 * boughs + 0.10 * clumps) * (0.5 + tip)).astype(np.float32)
    if snowy > 0:
        white = smoothstep(0.0, 1.1, 0.25 * boughs + 0.3 * clumps + 1.5 * tip - 0.3) * np.float32(snowy)
        tone += (rgb("#eef3f8") - tone) * white
    canvas.lay(top, mask.astype(np.float32), canvas.light.on(tone, distance))


def leaf_colour(canvas: Canvas, *, needles: bool) -> Array:
    """The colour of a wood in this season."""
    palette = NEEDLES if needles else LEAVES[canvas.season]
    a, b = canvas.rng.integers(0, len(palette), 2)
    blend = canvas.rng.random(dtype=np.float32)
    return rgb(palette[a]) + (rgb(palette[b]) - rgb(palette[a])) * blend
