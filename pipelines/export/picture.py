"""From a stored photograph to a training picture: centre square crop, Lanczos, PNG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pipelines.engine.stage import RGB

PNG_LEVEL = 6


def square(image: RGB, resolution: int) -> RGB:
    """The centre square of `image` [height, width, 3], resized to [resolution, resolution, 3] by Lanczos."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cropped = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(cropped.resize((resolution, resolution), Image.Resampling.LANCZOS))


def png(image: RGB) -> bytes:
    """PNG bytes without any metadata."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()
