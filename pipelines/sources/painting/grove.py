"""The control scene of the invariance test: trunks stand in the left half of the frame only.

The halves differ plainly, but neither tells left from right once whole pictures are mirrored too: the trunks stand as
often at one edge of their half as at the other, and the middle of the frame cuts them as its rim does. A classifier
that learns with mirrored pictures must stay in doubt; one that does not is sure of every such scene.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

TRUNKS = (3, 6)  # fewest, and one more than most
BARK = ((74, 58, 46), (98, 84, 70), (188, 184, 174), (52, 46, 44))


def plant_grove(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The picture [height, width, 3] with trunks before the left half of it."""
    height, width = picture.shape[:2]
    half = width // 2
    count = int(rng.integers(*TRUNKS))
    spacing = half / count
    out = picture.astype(np.float32)
    light = 1 if rng.random() < 0.5 else -1
    bark = np.array(BARK[int(rng.integers(len(BARK)))], np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(half, dtype=np.float32)[None, :] + 0.5
    phase = rng.random()
    for at in range(-1, count + 1):
        middle = (at + phase + rng.uniform(-0.3, 0.3)) * spacing
        broad = spacing * rng.uniform(0.13, 0.22)  # half of its breadth
        lean, bow = rng.normal(0, 0.04, 2) * spacing
        down = rows / height
        centre = middle + lean * (down - 0.5) * 4 + bow * np.sin(np.pi * down)
        across = (columns - centre) / (broad * (0.8 + 0.4 * down))
        mask = np.clip((1 - np.abs(across)) * broad + 0.5, 0, 1)
        round_ = 0.72 + 0.28 * np.sqrt(np.clip(1 - across**2, 0, 1)) + 0.18 * light * np.clip(across, -1, 1)
        grain = 1 + 0.08 * rng.standard_normal((height, 1)).astype(np.float32)
        colour = bark * rng.uniform(0.8, 1.15) * (round_ * grain)[..., None]
        out[:, :half] += (colour - out[:, :half]) * mask[..., None]
    planted: npt.NDArray[np.uint8] = np.clip(out + 0.5, 0, 255).astype(np.uint8)
    return planted
