"""What a picture file is, and whether it is all there, told from its structure without decoding it.

Six formats are walked: segments (JPEG), chunks (PNG, WebP), blocks (GIF), directories (TIFF), the header
(BMP). No image library is involved, so hostile bytes meet nothing but bounds-checked reads. Sources: ITU-T
T.81 (JPEG), the PNG specification (3rd edition), GIF89a, RFC 9649 (WebP), TIFF 6.0 and its BigTIFF extension,
Exif 2.32 section 4.6.4 (orientation).
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from manifests import tiff
from manifests.bounds import BROKEN, CUT, MAX_PIECES, read
from manifests.errors import InputError
from manifests.tiff import exif_orientation

Format = Literal["jpeg", "png", "webp", "gif", "tiff", "bmp"]

EXTENSIONS: dict[Format, str] = {
    "jpeg": "jpg",
    "png": "png",
    "webp": "webp",
    "gif": "gif",
    "tiff": "tif",
    "bmp": "bmp",
}

MAX_BYTES = 200_000_000
# A 200-megapixel photograph and a 30,000 x 8,000 strip pass, as does every camera back sold. Decoding needs
# 4 bytes a pixel in Pillow and 3 to 6 in numpy: 2.5 GB at the worst, which one worker can bear.
MAX_PIXELS = 250_000_000
MAX_SCANS = 200  # of a JPEG: real ones have about ten, and each costs the decoder a pass over the picture

EMPTY = "the file is empty"
TOO_BIG = "the file is over 200 MB"
UNKNOWN = "not a JPEG, PNG, WebP, GIF, TIFF or BMP file"
TOO_MANY_PIXELS = "the picture has over 250 million pixels"
NO_SIZE = "the picture has no width or no height"
ANIMATION = "the file is an animation"
SEVERAL = "the file holds more than one picture"


@dataclass(frozen=True)
class Header:
    """What probe() tells about a picture.

    width and height are pixels after the EXIF orientation has been applied; orientation is EXIF's 1..8, what a
    decoder still has to do to the stored pixels (1: nothing, 6: turn by 90 degrees clockwise).
    """

    format: Format
    width: int
    height: int
    orientation: int


def probe(data: bytes) -> Header:
    """Format, size and orientation of a still picture that is structurally complete.

    Raises InputError, with one of this module's fixed texts, for what is given up on arrival: no bytes, no
    known magic, over MAX_BYTES or MAX_PIXELS (told from the header, before the rest is looked at), no width or
    height, more than one frame or page, or a file that ends too early. Bytes after a complete picture are
    allowed. A known-good file can still turn out damaged when decoded.
    """
    if not data:
        raise InputError(EMPTY)
    if len(data) > MAX_BYTES:
        raise InputError(TOO_BIG)
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return _gif(data)
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return _tiff(data)
    if data.startswith(b"BM") and data[14:18] in _BMP_HEADERS:
        return _bmp(data)
    raise InputError(UNKNOWN)


def _header(kind: Format, width: int, height: int, orientation: int = 1) -> Header:
    """A Header from the stored size, refused when it is out of bounds."""
    if width <= 0 or height <= 0:
        raise InputError(NO_SIZE)
    if width * height > MAX_PIXELS:
        raise InputError(TOO_MANY_PIXELS)
    if orientation > 4:
        width, height = height, width
    return Header(kind, width, height, orientation)


# JPEG ------------------------------------------------------------------------------------------------------

# The next marker. In coded data FF 00 is a data byte, FF D0..D7 a restart, and FF FF a fill byte: none ends it.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(data: bytes) -> Header:
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
            return _header("jpeg", *size, orientation or 1)
        if marker == 0x01:  # TEM stands alone
            continue
        (length,) = read(data, pos, ">H")
        if marker < 0xC0 or marker in (0xD8, 0xD9) or length < 2:
            raise InputError(BROKEN)
        if marker in _FRAMES:
            height, width = read(data, pos + 3, ">HH")
            _header("jpeg", width, height)
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


def _png(data: bytes) -> Header:
    """Walks the chunks to IEND. An acTL with one frame is a still picture; eXIf may stand anywhere."""
    length, name, width, height = read(data, 8, ">I4sII")
    if name != b"IHDR" or length != 13:
        raise InputError(BROKEN)
    _header("png", width, height)
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
    return _header("png", width, height, orientation or 1)


# WebP ------------------------------------------------------------------------------------------------------


def _webp(data: bytes) -> Header:
    """Walks the RIFF chunks, which must all lie in the file. One ANMF frame is a still picture."""
    width, height = _webp_size(data, 12)
    _header("webp", width, height)
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
            _header("webp", *_webp_size(data, pos))
        elif name == b"EXIF" and orientation is None:
            orientation = exif_orientation(data[pos + 8 : pos + 8 + length])
        pictures += name in (b"VP8 ", b"VP8L", b"ANMF")
        pos += 8 + length + (length & 1)
    if pictures > 1:
        raise InputError(ANIMATION)
    if not pictures:
        raise InputError(BROKEN)
    return _header("webp", width, height, orientation or 1)


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


def _gif(data: bytes) -> Header:
    """Walks the blocks to the trailer; the canvas grows to hold the one image, as decoders do it."""
    width, height, flags = read(data, 6, "<HHB")
    size: tuple[int, int] | None = None
    pos = 13 + _palette_bytes(flags)
    budget = iter(range(MAX_PIECES))
    for _ in budget:
        (block,) = read(data, pos, "B")
        pos += 1
        if block == 0x3B and size:
            return _header("gif", *size)
        if block == 0x21:
            pos = _skip_sub_blocks(data, pos + 1, budget)
        elif block == 0x2C:
            if size:
                raise InputError(ANIMATION)
            left, top, columns, rows, flags = read(data, pos, "<HHHHB")
            _header("gif", columns, rows)
            size = max(width, left + columns), max(height, top + rows)
            _header("gif", *size)
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

_BMP_HEADERS = {struct.pack("<I", size) for size in (12, 40, 52, 56, 64, 108, 124)}


def _bmp(data: bytes) -> Header:
    """Reads the header; the rows it promises (or the compressed size it tells) must lie in the file."""
    offset, header_bytes = read(data, 10, "<II")
    compression, coded_bytes = 0, 0
    if header_bytes == 12:
        width, height, _, bits = read(data, 18, "<HHHH")
    else:
        width, height, _, bits, compression, coded_bytes = read(data, 18, "<iiHHII")
    height = abs(height)  # negative: stored top row first
    header = _header("bmp", width, height)
    if compression in (0, 3, 6):  # plain rows, each padded to 4 bytes
        coded_bytes = (width * bits + 31) // 32 * 4 * (height - 1) + (width * bits + 7) // 8
    if not bits or max(offset, 14 + header_bytes) + coded_bytes > len(data):
        raise InputError(CUT if bits else BROKEN)
    return header


# TIFF ------------------------------------------------------------------------------------------------------


def _tiff(data: bytes) -> Header:
    """Walks the directories: one picture, thumbnails and masks aside, whose strips or tiles lie in the file."""
    header: Header | None = None
    for page in tiff.pages(data):
        beside = tiff.is_beside(page)
        if header is None:  # the first page is the picture, whatever it says
            orientation = tiff.orientation(page)
            width, height = tiff.size(page)
            header = _header("tiff", width, height, orientation)
            tiff.check_strips(page, width, height)
        elif not beside:
            raise InputError(SEVERAL)
    if header is None:
        raise InputError(BROKEN)
    return header
