"""Pictures that lie in a page itself: as JPEG, and as what an image's address may be."""

from __future__ import annotations

import base64
import io

from PIL import Image


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def address(data: bytes) -> str:
    """A `data:` address of a JPEG."""
    return f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
