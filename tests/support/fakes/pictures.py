"""Small real pictures whose bytes follow from a photo's id, and the hostile ones a server may send instead."""

from __future__ import annotations

import functools
import io
import struct
import zlib

import numpy as np
import simplejpeg
from encoding import png_chunk
from PIL import Image

from fakes.chance import number

_EXIF_TURNED = (  # APP1: a TIFF directory with the one entry Orientation = 6
    b"\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    b"\x00\x00\x00\x00"
)
PLACEHOLDER_SIZE = (500, 374)


def jpeg(name: str, width: int, height: int, *, turned: bool = False) -> bytes:
    """A JPEG of four colours flowing into each other; `turned`: stored on its side, EXIF orientation 6.

    `width` and `height` are pixels after the orientation is applied.
    """
    corners = np.frombuffer(number(name, 1).to_bytes(8, "big") + number(name, 2).to_bytes(8, "big"), np.uint8)
    colours = corners[:12].reshape(2, 2, 3).astype(np.float32)
    stored_width, stored_height = (height, width) if turned else (width, height)
    down = np.linspace(0, 1, stored_height, dtype=np.float32)[:, None, None]
    across = np.linspace(0, 1, stored_width, dtype=np.float32)[None, :, None]
    upper = colours[0, 0] * (1 - across) + colours[0, 1] * across
    lower = colours[1, 0] * (1 - across) + colours[1, 1] * across
    pixels = np.ascontiguousarray((upper * (1 - down) + lower * down).astype(np.uint8))
    data = simplejpeg.encode_jpeg(pixels, quality=90)
    comment = f"made for a test: {name}".encode()
    exif = _EXIF_TURNED if turned else b""
    return data[:2] + exif + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + data[2:]


def resized(data: bytes, max_width: int | None, max_height: int | None) -> bytes:
    """As an image server with fit=max does: never larger than it was, the shape kept."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        scale = min(1.0, (max_width or width) / width, (max_height or height) / height)
        if scale == 1.0:
            return data
        out = io.BytesIO()
        image.resize((max(1, round(width * scale)), max(1, round(height * scale)))).save(out, "JPEG", quality=95)
        return out.getvalue()


@functools.cache
def placeholder() -> bytes:
    """The grey picture that stands for 'this photo is no longer available' (PNG)."""
    out = io.BytesIO()
    Image.new("RGB", PLACEHOLDER_SIZE, (230, 230, 230)).save(out, "PNG")
    return out.getvalue()


@functools.cache
def bomb() -> bytes:
    """A valid PNG of 30,000 x 30,000 pixels (one bit each) in some 110 KB."""
    side = 30_000
    squeeze = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(squeeze.compress(row * 100) for _ in range(side // 100)) + squeeze.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")


@functools.cache
def gzip_bomb() -> bytes:
    """260 MB of zeros behind Content-Encoding: gzip, in some 250 KB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(squeeze.compress(block) for _ in range(260)) + squeeze.flush()


def huge(name: str) -> bytes:
    """A small JPEG whose header claims 65,000 x 65,000 pixels."""
    data = bytearray(jpeg(name, 96, 64))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)
