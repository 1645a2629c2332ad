"""Picture files made by hand, and how far two pictures are apart."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins
FAITHFUL: dict[str, dict[str, Any]] = {"webp": {"lossless": True}, "jpeg": {"quality": 100, "subsampling": 0}}


def encode(image: Image.Image | Array, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width: int = 96, height: int = 64) -> Array:
    """A smooth picture without symmetry [height, width, 3]: every corner has its own colour."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * x / width, 255 * y / height, 255 * (1 - (x + y) / (width + height))
    return np.stack([red, green, blue], -1).astype(np.uint8)


def distance(a: Array, b: Array) -> int:
    """The largest difference in levels; the shapes must agree."""
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def psnr(a: Array, b: Array) -> float:
    """Peak signal-to-noise ratio in dB of two 8-bit pictures."""
    assert a.shape == b.shape
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, depth: int, colour: int, rows: Array, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG from the raw bytes of its rows [height, bytes], as Pillow cannot write all kinds."""
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", packed), (b"IEND", b"")]
    return PNG + b"".join(png_chunk(*part) for part in parts)


def over_white(colours: Array, alpha: Array) -> Array:
    return np.rint((colours * (alpha / 255.0)[..., None]) + 255 * (1 - alpha / 255.0)[..., None])
