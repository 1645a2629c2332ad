"""One PNG file of any width, from pixels that arrive column by column.

PNG stores rows from top to bottom, so nothing can be written before the last column is known. Until then the raw
pixels lie in a file without a name in the same folder, 3 bytes each, reserved before the first is made: a disk that is
too small says so at once. In memory are a block and pieces of two rows.

Portable Network Graphics (PNG) Specification, third edition, W3C 2025: chunks (5), filters (9), compression (10).
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lhq_toolkit.panoramas.stream import Pixels, Stream, new_file
from manifests.errors import MisuseError

LARGEST_WIDTH = 1_000_000  # pixels: libpng opens no wider file unless it is told to
CHUNK = 2**18  # bytes of compressed pixels
PIECE = 2**14  # pixels of a row at once
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 3  # bytes of a pixel
_PAETH = 4


def check(width: int) -> None:
    """MisuseError where a file so wide would not open."""
    if width > LARGEST_WIDTH:
        raise MisuseError(
            f"a PNG file {width:,} pixels wide opens in few programs ({LARGEST_WIDTH:,} is the limit): name a folder "
            "for strips, or FILE.dzi for a tiled pyramid"
        )


def write(path: Path, stream: Stream) -> None:
    """Write the whole picture; on any error nothing remains. OSError where the disk is full."""
    check(stream.width)
    with new_file(path) as temporary, tempfile.TemporaryFile(dir=path.parent) as spool:
        _gather(spool, stream)
        with temporary.open("xb") as file:
            _encode(file, spool, stream.height, stream.width)


def _gather(spool: BinaryIO, stream: Stream) -> None:
    """Every row in its place, one after the other."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(spool.fileno(), 0, stream.height * stream.width * _RGB)
    done = 0
    for block in stream.blocks:
        for y, row in enumerate(block):
            spool.seek((y * stream.width + done) * _RGB)
            spool.write(row.tobytes())
        done += block.shape[1]
    if done != stream.width:
        raise ValueError(f"{done} pixels of {stream.width} came")


def _encode(file: BinaryIO, spool: BinaryIO, height: int, width: int) -> None:
    """8-bit RGB, not interlaced, every row by the Paeth filter, which is the best for photographs."""
    file.write(_SIGNATURE)
    _chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(6)
    packed = bytearray()
    for y in range(height):
        packed += packer.compress(bytes([_PAETH]))
        for x in range(0, width, PIECE):
            packed += packer.compress(_filtered(spool, width, y, x, min(PIECE, width - x)))
            if len(packed) >= CHUNK:
                _chunk(file, b"IDAT", bytes(packed))
                packed.clear()
    _chunk(file, b"IDAT", bytes(packed) + packer.flush())
    _chunk(file, b"IEND", b"")


def _filtered(spool: BinaryIO, width: int, y: int, x: int, count: int) -> bytes:
    """`count` pixels of a row from x on, less what their neighbours let expect, modulo 256 (section 9.4).

    Of the pixels on the left, above and in the corner between it is the one nearest to left + above - corner.
    """
    row = _with_left(spool, width, y, x, count)
    over = _with_left(spool, width, y - 1, x, count) if y else np.zeros_like(row)
    left, above, corner = row[:-1], over[1:], over[:-1]
    a, b, c = (one.astype(np.int16) for one in (left, above, corner))
    to_left, to_above, to_corner = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    take_left = (to_left <= to_above) & (to_left <= to_corner)
    rest = row[1:] - np.where(take_left, left, np.where(to_above <= to_corner, above, corner))
    return rest.tobytes()


def _with_left(spool: BinaryIO, width: int, y: int, x: int, count: int) -> Pixels:
    """uint8 [1 + count, 3]: the pixels of a row from x on, and the one before, which is black at the border."""
    before = min(x, 1)
    spool.seek((y * width + x - before) * _RGB)
    found = np.frombuffer(spool.read((before + count) * _RGB), np.uint8).reshape(-1, _RGB)
    return found if before else np.concatenate([np.zeros_like(found[:1]), found])


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
