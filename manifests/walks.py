"""The walks through JPEG, PNG, WebP, GIF and BMP files; TIFF's is in `tiff.py`, what a walk is in `bounds.py`.

Sources: ITU-T T.81 (JPEG), the PNG specification (3rd edition), RFC 9649 (WebP), GIF89a.
"""

import re
import struct
from collections.abc import Iterator

from manifests.bounds import ANIMATION, BROKEN, CUT, MAX_PIECES, Check, Stored, read
from manifests.errors import InputError
from manifests.tiff import exif_orientation

MAX_SCANS = 200  # of a JPEG: real ones have about ten, and each costs the decoder a pass over the picture

# JPEG ------------------------------------------------------------------------------------------------------

# The next marker. In coded data FF 00 is a data byte, FF D0..D7 a restart, and FF FF a fill byte: none ends it.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def jpeg(data: bytes, check: Check) -> Stored:
    """Walks the segments; after the last scan's coded data the end marker (EOI) must follow."""
    size: tuple[int, int] | None = None
    orientation: int | None = None
    scans, pos = 0, 2
    for _ in range(MAX_PIECES):
        found = _MARKER.search(data, pos)
        if found is None:
            raise InputError(CUT)
        marker, pos = data[found.start() + 1], found.end()
        if marker == 0xD9 and size and scans:
            return *size, orientation or 1
        if marker == 0x01:  # TEM stands alone
            continue
        (length,) = read(data, pos, ">H")
        if marker < 0xC0 or marker in (0xD8, 0xD9) or length < 2:
            raise InputError(BROKEN)
        if marker in _FRAMES:
            height, width = read(data, pos + 3, ">HH")
            check(width, height)
            if size:
                raise InputError(BROKEN)
            size = width, height
        if pos + length > len(data):
            raise InputError(CUT)
        if marker == 0xE1 and orientation is None and data[pos + 2 : pos + 8] == b"Exif\0\0":
            orientation = exif_orientation(data[pos + 8 : pos + length])
        scans += marker == 0xDA
        if scans > MAX_SCANS:
            raise InputError(BROKEN)
        pos += length
    raise InputError(BROKEN)


# PNG -------------------------------------------------------------------------------------------------------


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, first byte and length of the body of each chunk up to IEND; InputError if IEND is not reached."""
    pos = 8
    for _ in range(MAX_PIECES):
        length, name = read(data, pos, ">I4s")
        pos += 8
        if pos + length + 4 > len(data):
            raise InputError(CUT)
        yield name, pos, length
        if name == b"IEND":
            return
        pos += length + 4  # the checksum
    raise InputError(BROKEN)


def png(data: bytes, check: Check) -> Stored:
    """Walks the chunks to IEND. An acTL with one frame is a still picture; eXIf may stand anywhere."""
    length, name, width, height = read(data, 8, ">I4sII")
    if name != b"IHDR" or length != 13:
        raise InputError(BROKEN)
    check(width, height)
    orientation: int | None = None
    pixels = False
    for name, pos, length in png_chunks(data):
        if name == b"IDAT":
            pixels = True
        elif name == b"acTL" and length >= 4 and read(data, pos, ">I")[0] > 1:
            raise InputError(ANIMATION)
        elif name == b"eXIf" and orientation is None:
            orientation = exif_orientation(data[pos : pos + length])
    if not pixels:
        raise InputError(BROKEN)
    return width, height, orientation or 1


# WebP ------------------------------------------------------------------------------------------------------


def webp(data: bytes, check: Check) -> Stored:
    """Walks the RIFF chunks, which must all lie in the file. One ANMF frame is a still picture."""
    width, height = _webp_size(data, 12)
    check(width, height)
    end = 8 + int(read(data, 4, "<I")[0])
    if end > len(data):
        raise InputError(CUT)
    orientation: int | None = None
    pictures, pos = 0, 12
    for _ in range(MAX_PIECES):
        if pos + 8 > end:
            break
        name, length = read(data, pos, "<4sI")
        if pos + 8 + length > end:
            raise InputError(CUT)
        if name in (b"VP8 ", b"VP8L"):
            check(*_webp_size(data, pos))
        elif name == b"EXIF" and orientation is None:
            orientation = exif_orientation(data[pos + 8 : pos + 8 + length])
        pictures += name in (b"VP8 ", b"VP8L", b"ANMF")
        pos += 8 + length + (length & 1)
    if pictures > 1:
        raise InputError(ANIMATION)
    if not pictures:
        raise InputError(BROKEN)
    return width, height, orientation or 1


def _webp_size(data: bytes, pos: int) -> tuple[int, int]:
    """Stored width and height told by the VP8, VP8L or VP8X chunk at this byte."""
    name = data[pos : pos + 4]
    if name == b"VP8X":
        a, b, c, d, e, f = read(data, pos + 12, "6B")
        return 1 + a + (b << 8) + (c << 16), 1 + d + (e << 8) + (f << 16)
    if name == b"VP8L":
        signature, bits = read(data, pos + 8, "<BI")
        if signature == 0x2F:
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif name == b"VP8 ":
        start_code, width, height = read(data, pos + 11, "<3sHH")
        if start_code == b"\x9d\x01\x2a":
            return width & 0x3FFF, height & 0x3FFF
    raise InputError(BROKEN)


# GIF -------------------------------------------------------------------------------------------------------


def gif(data: bytes, check: Check) -> Stored:
    """Walks the blocks to the trailer; the canvas grows to hold the one image, as decoders do it."""
    width, height, flags = read(data, 6, "<HHB")
    size: tuple[int, int] | None = None
    pos = 13 + _palette_bytes(flags)
    budget = iter(range(MAX_PIECES))
    for _ in budget:
        (block,) = read(data, pos, "B")
        pos += 1
        if block == 0x3B and size:
            return *size, 1
        if block == 0x21:
            pos = _skip_sub_blocks(data, pos + 1, budget)
        elif block == 0x2C:
            if size:
                raise InputError(ANIMATION)
            left, top, columns, rows, flags = read(data, pos, "<HHHHB")
            check(columns, rows)
            size = max(width, left + columns), max(height, top + rows)
            check(*size)
            pos = _skip_sub_blocks(data, pos + 10 + _palette_bytes(flags), budget)
        elif block != 0x00:  # stray terminators are harmless
            raise InputError(BROKEN)
    raise InputError(BROKEN)


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_sub_blocks(data: bytes, pos: int, budget: Iterator[int]) -> int:
    """The byte after the chain of sub-blocks that begins at this one."""
    for _ in budget:
        if pos >= len(data):
            raise InputError(CUT)
        length = data[pos]
        pos += 1 + length
        if not length:
            return pos
    raise InputError(BROKEN)


# BMP -------------------------------------------------------------------------------------------------------

BMP_HEADERS = frozenset(struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124))  # by their length


def bmp(data: bytes, check: Check) -> Stored:
    """Reads the header; the rows it promises (or the compressed size it tells) must lie in the file."""
    offset, header_bytes = read(data, 10, "<II")
    compression, coded_bytes = 0, 0
    if header_bytes == 12:
        width, height, _, bits = read(data, 18, "<HHHH")
    else:
        width, height, _, bits, compression, coded_bytes = read(data, 18, "<iiHHII")
    height = abs(height)  # negative: stored top row first
    check(width, height)
    if compression in (0, 3, 6):  # plain rows, each padded to 4 bytes
        coded_bytes = (width * bits + 31) // 32 * 4 * (height - 1) + (width * bits + 7) // 8
    if not bits or max(offset, 14 + header_bytes) + coded_bytes > len(data):
        raise InputError(CUT if bits else BROKEN)
    return width, height, 1
