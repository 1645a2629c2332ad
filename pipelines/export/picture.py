"""From a stored photograph to training pictures: squares of it, resized by Lanczos, as PNG."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.engine.stage import RGB

PNG_LEVEL = 6


@dataclass(frozen=True)
class Square:
    """A part of a photo, in pixels."""

    left: int
    top: int
    side: int


def square(photo_id: str, crop: int, width: int, height: int, resolution: int) -> Square:
    """The square that is crop number `crop` of a photo: number 0 the centre square, the others drawn.

    A drawn square depends on nothing but the photo's id and size, its own number and the resolution: the first three
    64-bit big-endian integers of sha256("<photo_id>/<crop>") choose its side, left and top. The side lies between half
    the photo's short side (but not below the resolution, where the photo has it) and all of it.
    """
    longest = min(width, height)
    if crop == 0:
        return Square((width - longest) // 2, (height - longest) // 2, longest)
    digest = hashlib.sha256(f"{photo_id}/{crop}".encode()).digest()
    sizes, lefts, tops = (int.from_bytes(digest[at : at + 8], "big") for at in (0, 8, 16))
    shortest = min(longest, max(resolution, (longest + 1) // 2))
    side = shortest + sizes % (longest - shortest + 1)
    return Square(lefts % (width - side + 1), tops % (height - side + 1), side)


def cut(image: RGB, part: Square, resolution: int) -> RGB:
    """That part of `image` [height, width, 3], resized to [resolution, resolution, 3] by Lanczos."""
    rows, columns = slice(part.top, part.top + part.side), slice(part.left, part.left + part.side)
    cropped = Image.fromarray(image[rows, columns])
    return np.asarray(cropped.resize((resolution, resolution), Image.Resampling.LANCZOS))


def png(image: RGB) -> bytes:
    """PNG bytes without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()
