"""From a stored photograph to training pictures: squares of it, resized by Lanczos, as PNG or JPEG."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.engine.stage import RGB

PNG_LEVEL = 6
LHQ_SIDE = 1024  # pixels: the short side that LHQ's photographs were brought to first
MARGIN = 2  # a reduced decode leaves this many pixels for each of the picture's, at least


@dataclass(frozen=True)
class Making:
    """How a photo becomes pictures."""

    resolution: int  # side of every picture, in pixels
    seed: int = 0  # of the squares that are drawn
    jpeg: int | None = None  # quality; None: PNG
    exact: bool = False  # decode every photo in full
    lhq: bool = False  # as LHQ was made: short side to 1,024 pixels first, both steps by Lanczos; implies exact


@dataclass(frozen=True)
class Square:
    """A part of a photo, in pixels."""

    left: int
    top: int
    side: int


def square(photo_id: str, crop: int, width: int, height: int, resolution: int, seed: int = 0) -> Square:
    """The square that is crop number `crop` of a photo: number 0 the centre square, the others drawn.

    A drawn square depends on nothing but the photo's id and size, its own number, the resolution and the seed: the
    first three 64-bit big-endian integers of sha256("<photo_id>/<crop>"), or with a seed other than 0
    sha256("<photo_id>/<crop>/<seed>"), choose its side, left and top. The side lies between half the photo's short
    side (but not below the resolution, where the photo has it) and all of it.
    """
    longest = min(width, height)
    if crop == 0:
        return Square((width - longest) // 2, (height - longest) // 2, longest)
    name = f"{photo_id}/{crop}/{seed}" if seed else f"{photo_id}/{crop}"
    digest = hashlib.sha256(name.encode()).digest()
    sizes, lefts, tops = (int.from_bytes(digest[at : at + 8], "big") for at in (0, 8, 16))
    shortest = min(longest, max(resolution, (longest + 1) // 2))
    side = shortest + sizes % (longest - shortest + 1)
    return Square(lefts % (width - side + 1), tops % (height - side + 1), side)


def squares(photo_id: str, crops: Sequence[int], width: int, height: int, making: Making) -> list[Square]:
    """These crops of a photo of that size; with `lhq` in the pixels of the shortened photo."""
    if making.lhq:
        width, height = shortened_size(width, height)
    return [square(photo_id, crop, width, height, making.resolution, making.seed) for crop in crops]


def decoded_side(parts: Sequence[Square], width: int, height: int, making: Making) -> int | None:
    """What the short side must measure, decoded, so that each part has twice the pixels of its picture; None: all."""
    if making.exact or making.lhq:
        return None
    smallest = min(part.side for part in parts)
    return math.ceil(MARGIN * making.resolution * min(width, height) / smallest)


def shortened_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of a photo whose short side is brought to `LHQ_SIDE`; a smaller one stays as it is."""
    short = min(width, height)
    if short <= LHQ_SIDE:
        return width, height
    return round(width * LHQ_SIDE / short), round(height * LHQ_SIDE / short)


def shortened(image: RGB) -> RGB:
    """The photo [height, width, 3] at that size, by Lanczos."""
    height, width = image.shape[:2]
    return np.asarray(Image.fromarray(image).resize(shortened_size(width, height), Image.Resampling.LANCZOS))


def cut(image: RGB, part: Square, resolution: int, scale: int = 1) -> RGB:
    """That part of a photo, resized to [resolution, resolution, 3] by Lanczos.

    `image` [height, width, 3] is the photo decoded at 1/scale of its size; `part` is in pixels of the whole photo. No
    pixel outside the part counts, but for those that its edge runs through.
    """
    box = (part.left / scale, part.top / scale, (part.left + part.side) / scale, (part.top + part.side) / scale)
    left, top = math.floor(box[0]), math.floor(box[1])
    hull = image[top : math.ceil(box[3]), left : math.ceil(box[2])]
    within = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    resized = Image.fromarray(hull).resize((resolution, resolution), Image.Resampling.LANCZOS, box=within)
    return np.asarray(resized)


def encode(image: RGB, jpeg: int | None = None) -> bytes:
    """PNG bytes, or JPEG of that quality with its colours in full resolution; without any metadata."""
    buffer = io.BytesIO()
    if jpeg is None:
        Image.fromarray(image).save(buffer, "PNG", compress_level=PNG_LEVEL)
    else:
        Image.fromarray(image).save(buffer, "JPEG", quality=jpeg, subsampling=0)
    return buffer.getvalue()
