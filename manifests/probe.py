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
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from manifests.errors import InputError

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
MAX_PIECES = 1_000_000  # segments, chunks or blocks of one file; full GIF blocks of MAX_BYTES stay below it
MAX_SCANS = 200  # of a JPEG: real ones have about ten, and each costs the decoder a pass over the picture
MAX_PAGES = 32  # of a TIFF: thumbnails and masks beside the picture
MAX_ENTRIES = 65_535  # of a TIFF directory: what plain TIFF can count; BigTIFF could make us hold gigabytes
MAX_TILE_MARGIN = 4096  # pixels by which a TIFF tile may exceed its picture; the decoder allocates whole tiles

EMPTY = "the file is empty"
TOO_BIG = "the file is over 200 MB"
UNKNOWN = "not a JPEG, PNG, WebP, GIF, TIFF or BMP file"
TOO_MANY_PIXELS = "the picture has over 250 million pixels"
NO_SIZE = "the picture has no width or no height"
ANIMATION = "the file is an animation"
SEVERAL = "the file holds more than one picture"
CUT = "the file is cut short"
BROKEN = "the file's structure is broken"


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


def _read(data: bytes, pos: int, layout: str) -> tuple[Any, ...]:
    """The struct fields of this layout at this byte; InputError where the file ends before them."""
    if pos + struct.calcsize(layout) > len(data):
        raise InputError(CUT)
    return struct.unpack_from(layout, data, pos)


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
        (length,) = _read(data, pos, ">H")
        if marker < 0xC0 or marker in (0xD8, 0xD9) or length < 2:
            raise InputError(BROKEN)
        if marker in _FRAMES:
            height, width = _read(data, pos + 3, ">HH")
            _header("jpeg", width, height)
            if size:
                raise InputError(BROKEN)
            size = width, height
        if pos + length > len(data):
            raise InputError(CUT)
        if marker == 0xE1 and orientation is None and data[pos + 2 : pos + 8] == b"Exif\0\0":
            orientation = _orientation(data[pos + 8 : pos + length])
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
        length, name = _read(data, pos, ">I4s")
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
    length, name, width, height = _read(data, 8, ">I4sII")
    if name != b"IHDR" or length != 13:
        raise InputError(BROKEN)
    _header("png", width, height)
    orientation: int | None = None
    pixels = False
    for name, pos, length in png_chunks(data):
        if name == b"IDAT":
            pixels = True
        elif name == b"acTL" and length >= 4 and _read(data, pos, ">I")[0] > 1:
            raise InputError(ANIMATION)
        elif name == b"eXIf" and orientation is None:
            orientation = _orientation(data[pos : pos + length])
    if not pixels:
        raise InputError(BROKEN)
    return _header("png", width, height, orientation or 1)


# WebP ------------------------------------------------------------------------------------------------------


def _webp(data: bytes) -> Header:
    """Walks the RIFF chunks, which must all lie in the file. One ANMF frame is a still picture."""
    width, height = _webp_size(data, 12)
    _header("webp", width, height)
    end = 8 + int(_read(data, 4, "<I")[0])
    if end > len(data):
        raise InputError(CUT)
    orientation: int | None = None
    pictures, pos = 0, 12
    for _ in range(MAX_PIECES):
        if pos + 8 > end:
            break
        name, length = _read(data, pos, "<4sI")
        if pos + 8 + length > end:
            raise InputError(CUT)
        if name in (b"VP8 ", b"VP8L"):
            _header("webp", *_webp_size(data, pos))
        elif name == b"EXIF" and orientation is None:
            orientation = _orientation(data[pos + 8 : pos + 8 + length])
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
        a, b, c, d, e, f = _read(data, pos + 12, "6B")
        return 1 + a + (b << 8) + (c << 16), 1 + d + (e << 8) + (f << 16)
    if name == b"VP8L":
        signature, bits = _read(data, pos + 8, "<BI")
        if signature == 0x2F:
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    elif name == b"VP8 ":
        start_code, width, height = _read(data, pos + 11, "<3sHH")
        if start_code == b"\x9d\x01\x2a":
            return width & 0x3FFF, height & 0x3FFF
    raise InputError(BROKEN)


# GIF -------------------------------------------------------------------------------------------------------


def _gif(data: bytes) -> Header:
    """Walks the blocks to the trailer; the canvas grows to hold the one image, as decoders do it."""
    width, height, flags = _read(data, 6, "<HHB")
    size: tuple[int, int] | None = None
    pos = 13 + _palette_bytes(flags)
    budget = iter(range(MAX_PIECES))
    for _ in budget:
        (block,) = _read(data, pos, "B")
        pos += 1
        if block == 0x3B and size:
            return _header("gif", *size)
        if block == 0x21:
            pos = _skip_sub_blocks(data, pos + 1, budget)
        elif block == 0x2C:
            if size:
                raise InputError(ANIMATION)
            left, top, columns, rows, flags = _read(data, pos, "<HHHHB")
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
    offset, header_bytes = _read(data, 10, "<II")
    compression, coded_bytes = 0, 0
    if header_bytes == 12:
        width, height, _, bits = _read(data, 18, "<HHHH")
    else:
        width, height, _, bits, compression, coded_bytes = _read(data, 18, "<iiHHII")
    height = abs(height)  # negative: stored top row first
    header = _header("bmp", width, height)
    if compression in (0, 3, 6):  # plain rows, each padded to 4 bytes
        coded_bytes = (width * bits + 31) // 32 * 4 * (height - 1) + (width * bits + 7) // 8
    if not bits or max(offset, 14 + header_bytes) + coded_bytes > len(data):
        raise InputError(CUT if bits else BROKEN)
    return header


# TIFF and EXIF ---------------------------------------------------------------------------------------------

_Entry = tuple[int, int, bytes]  # type, count, the value or its offset
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _ORIENTATION, _ROWS_PER_STRIP = 254, 256, 257, 274, 278
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_STRIPS, _TILES = (273, 279), (324, 325)  # offsets, byte counts


def _tiff(data: bytes) -> Header:
    """Walks the directories: one picture, thumbnails and masks aside, whose strips or tiles lie in the file."""
    order = "<" if data[:1] == b"I" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (page,) = _read(data, 8, order + "Q") if big else _read(data, 4, order + "I")
    header: Header | None = None
    seen: set[int] = set()
    while page and page not in seen and len(seen) < MAX_PAGES:
        seen.add(page)
        entries, page = _directory(data, page, order, big)
        kind = _number(data, entries, _NEW_SUBFILE_TYPE, order)
        if header is None:
            orientation = _number(data, entries, _ORIENTATION, order)
            width, height = (_number(data, entries, tag, order) for tag in (_WIDTH, _HEIGHT))
            header = _header("tiff", width, height, orientation if 1 <= orientation <= 8 else 1)
            _check_strips(data, entries, order, width, height)
        elif not kind & 0b101:  # neither a smaller copy nor a mask
            raise InputError(SEVERAL)
    if header is None:
        raise InputError(BROKEN)
    return header


def _directory(data: bytes, pos: int, order: str, big: bool) -> tuple[dict[int, _Entry], int]:
    """The entries of the directory at this byte by tag, and where the next directory is (0: nowhere)."""
    (count,) = _read(data, pos, order + ("Q" if big else "H"))
    pos += 8 if big else 2
    layout = order + ("HHQ8s" if big else "HHI4s")
    end = pos + count * struct.calcsize(layout)
    if end > len(data):
        raise InputError(CUT)
    if count > MAX_ENTRIES:
        raise InputError(BROKEN)
    entries = {tag: (kind, n, value) for tag, kind, n, value in struct.iter_unpack(layout, data[pos:end])}
    last = order + ("Q" if big else "I")
    following = _read(data, end, last)[0] if end + struct.calcsize(last) <= len(data) else 0
    return entries, following


def _numbers(data: bytes, entries: dict[int, _Entry], tag: int, order: str) -> npt.NDArray[np.uint64]:
    """The unsigned values of a tag [count], empty where the tag is missing or not integers."""
    kind, count, value = entries.get(tag, (0, 0, b""))
    if kind not in _INTEGERS:
        return np.zeros(0, np.uint64)
    if count > MAX_PIECES:
        raise InputError(BROKEN)
    dtype = np.dtype(order + _INTEGERS[kind])
    if count * dtype.itemsize > len(value):
        (offset,) = struct.unpack(order + ("I" if len(value) == 4 else "Q"), value)
        if offset + count * dtype.itemsize > len(data):
            raise InputError(CUT)
        return np.frombuffer(data, dtype, count, offset).astype(np.uint64)
    return np.frombuffer(value, dtype, count).astype(np.uint64)


def _number(data: bytes, entries: dict[int, _Entry], tag: int, order: str) -> int:
    """The first value of a tag, 0 where there is none."""
    values = _numbers(data, entries, tag, order)
    return int(values[0]) if len(values) else 0


def _check_strips(data: bytes, entries: dict[int, _Entry], order: str, width: int, height: int) -> None:
    """InputError unless strips or tiles cover the picture, lie in the file, and no tile is absurdly large."""
    if _TILES[0] in entries:
        tags, columns, rows = _TILES, *(_number(data, entries, tag, order) for tag in (_TILE_WIDTH, _TILE_HEIGHT))
        if not (0 < columns <= width + MAX_TILE_MARGIN and 0 < rows <= height + MAX_TILE_MARGIN):
            raise InputError(BROKEN)
    else:
        tags, columns, rows = _STRIPS, width, _number(data, entries, _ROWS_PER_STRIP, order) or height
    offsets, lengths = (_numbers(data, entries, tag, order) for tag in tags)
    if len(offsets) < -(-width // columns) * -(-height // rows):  # decoders leave the rest black
        raise InputError(BROKEN)
    if len(lengths) != len(offsets):  # old writers leave the lengths of uncompressed strips out
        lengths = np.zeros_like(offsets)
    size = np.uint64(len(data))
    if (offsets > size).any() or (lengths > size - offsets).any():
        raise InputError(CUT)


def _orientation(exif: bytes) -> int:
    """EXIF's orientation 1..8; 1 where the block is broken or does not say, as browsers have it."""
    exif = exif.removeprefix(b"Exif\0\0")
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    order = "<" if exif[:1] == b"I" else ">"
    try:
        (start,) = _read(exif, 4, order + "I")
        entries, _ = _directory(exif, start, order, big=False)
        value = _number(exif, entries, _ORIENTATION, order)
    except InputError:
        return 1
    return value if 1 <= value <= 8 else 1
