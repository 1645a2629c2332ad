"""TIFF directories: the walk through the pages of a TIFF file, and the orientation in an EXIF block.

Sources: TIFF 6.0 and its BigTIFF extension, Exif 2.32 section 4.6.4 (orientation).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manifests.bounds import BROKEN, CUT, MAX_PIECES, SEVERAL, Check, Stored, read
from manifests.errors import InputError

MAX_PAGES = 32  # of a TIFF: thumbnails and masks beside the picture
MAX_ENTRIES = 65_535  # of a TIFF directory: what plain TIFF can count; BigTIFF could make us hold gigabytes
MAX_TILE_MARGIN = 4096  # pixels by which a TIFF tile may exceed its picture; the decoder allocates whole tiles

_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _ORIENTATION, _ROWS_PER_STRIP = 254, 256, 257, 274, 278
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_STRIPS, _TILES = (273, 279), (324, 325)  # offsets, byte counts


@dataclass(frozen=True)
class _Directory:
    """One page of a file: by tag the type, the count, and the value or its offset."""

    data: bytes  # the whole file
    order: str  # of its bytes, "<" or ">"
    entries: dict[int, tuple[int, int, bytes]]


def walk(data: bytes, check: Check) -> Stored:
    """Walks the directories: one picture, thumbnails and masks aside, whose strips or tiles lie in the file."""
    stored: Stored | None = None
    for page in _pages(data):
        kind = _number(page, _NEW_SUBFILE_TYPE)
        if stored is None:  # the first page is the picture, whatever it says
            orientation = _orientation(page)
            width, height = _number(page, _WIDTH), _number(page, _HEIGHT)
            check(width, height)
            _check_strips(page, width, height)
            stored = width, height, orientation
        elif not kind & 0b101:  # neither a smaller copy nor a mask
            raise InputError(SEVERAL)
    if stored is None:
        raise InputError(BROKEN)
    return stored


def exif_orientation(exif: bytes) -> int:
    """EXIF's orientation 1..8; 1 where the block is broken or does not say, as browsers have it."""
    exif = exif.removeprefix(b"Exif\0\0")
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    order = _byte_order(exif)
    try:
        (start,) = read(exif, 4, order + "I")
        directory, _ = _directory(exif, start, order, big=False)
        return _orientation(directory)
    except InputError:
        return 1


def _byte_order(data: bytes) -> str:
    return "<" if data[:1] == b"I" else ">"


def _pages(data: bytes) -> Iterator[_Directory]:
    """The directories in their order, each parsed when asked for: up to MAX_PAGES, and not round a circle."""
    order = _byte_order(data)
    big = data[2:4] in (b"+\0", b"\0+")
    (pos,) = read(data, 8, order + "Q") if big else read(data, 4, order + "I")
    seen: set[int] = set()
    while pos and pos not in seen and len(seen) < MAX_PAGES:
        seen.add(pos)
        page, pos = _directory(data, pos, order, big)
        yield page


def _directory(data: bytes, pos: int, order: str, big: bool) -> tuple[_Directory, int]:
    """The directory at this byte, and where the next one is (0: nowhere)."""
    (count,) = read(data, pos, order + ("Q" if big else "H"))
    pos += 8 if big else 2
    layout = order + ("HHQ8s" if big else "HHI4s")
    end = pos + count * struct.calcsize(layout)
    if end > len(data):
        raise InputError(CUT)
    if count > MAX_ENTRIES:
        raise InputError(BROKEN)
    entries = {tag: (kind, n, value) for tag, kind, n, value in struct.iter_unpack(layout, data[pos:end])}
    last = order + ("Q" if big else "I")
    following = read(data, end, last)[0] if end + struct.calcsize(last) <= len(data) else 0
    return _Directory(data, order, entries), following


def _numbers(page: _Directory, tag: int) -> npt.NDArray[np.uint64]:
    """The unsigned values of a tag [count], empty where the tag is missing or not integers."""
    kind, count, value = page.entries.get(tag, (0, 0, b""))
    if kind not in _INTEGERS:
        return np.zeros(0, np.uint64)
    if count > MAX_PIECES:
        raise InputError(BROKEN)
    dtype = np.dtype(page.order + _INTEGERS[kind])
    if count * dtype.itemsize > len(value):
        (offset,) = struct.unpack(page.order + ("I" if len(value) == 4 else "Q"), value)
        if offset + count * dtype.itemsize > len(page.data):
            raise InputError(CUT)
        return np.frombuffer(page.data, dtype, count, offset).astype(np.uint64)
    return np.frombuffer(value, dtype, count).astype(np.uint64)


def _number(page: _Directory, tag: int) -> int:
    """The first value of a tag, 0 where there is none."""
    values = _numbers(page, tag)
    return int(values[0]) if len(values) else 0


def _orientation(page: _Directory) -> int:
    """The orientation 1..8; 1 where the page does not say."""
    value = _number(page, _ORIENTATION)
    return value if 1 <= value <= 8 else 1


def _check_strips(page: _Directory, width: int, height: int) -> None:
    """InputError unless strips or tiles cover the picture, lie in the file, and no tile is absurdly large."""
    if _TILES[0] in page.entries:
        tags, columns, rows = _TILES, _number(page, _TILE_WIDTH), _number(page, _TILE_HEIGHT)
        if not (0 < columns <= width + MAX_TILE_MARGIN and 0 < rows <= height + MAX_TILE_MARGIN):
            raise InputError(BROKEN)
    else:
        tags, columns, rows = _STRIPS, width, _number(page, _ROWS_PER_STRIP) or height
    offsets, lengths = (_numbers(page, tag) for tag in tags)
    if len(offsets) < -(-width // columns) * -(-height // rows):  # decoders leave the rest black
        raise InputError(BROKEN)
    if len(lengths) != len(offsets):  # old writers leave the lengths of uncompressed strips out
        lengths = np.zeros_like(offsets)
    size = np.uint64(len(page.data))
    if (offsets > size).any() or (lengths > size - offsets).any():
        raise InputError(CUT)
