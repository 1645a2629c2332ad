"""What a picture file is, and whether it is all there, told from its structure without decoding it.

Six formats are walked: segments (JPEG), chunks (PNG, WebP), blocks (GIF), directories (TIFF), the header
(BMP). No image library is involved, so hostile bytes meet nothing but bounds-checked reads. The walks are in
`walks.py` and `tiff.py`; here is what they are for, and how large a picture may be.
"""

from dataclasses import dataclass
from typing import Literal

from manifests import foreign, tiff, walks
from manifests.bounds import ANIMATION, BROKEN, CUT, MAX_PIECES, SEVERAL, Walk
from manifests.errors import InputError
from manifests.tiff import MAX_ENTRIES, MAX_PAGES, MAX_TILE_MARGIN
from manifests.walks import MAX_SCANS, png_chunks

# The limits and complaints of the walks are ours too: a caller need not know which module met them.
__all__ = [
    "ANIMATION",
    "BROKEN",
    "CUT",
    "EMPTY",
    "EXTENSIONS",
    "MAX_BYTES",
    "MAX_ENTRIES",
    "MAX_PAGES",
    "MAX_PIECES",
    "MAX_PIXELS",
    "MAX_SCANS",
    "MAX_TILE_MARGIN",
    "NO_SIZE",
    "SEVERAL",
    "TOO_BIG",
    "TOO_MANY_PIXELS",
    "UNKNOWN",
    "Format",
    "Header",
    "png_chunks",
    "probe",
]

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

EMPTY = "the file is empty"
TOO_BIG = "the file is over 200 MB"
UNKNOWN = "not a JPEG, PNG, WebP, GIF, TIFF or BMP file"
TOO_MANY_PIXELS = "the picture has over 250 million pixels"
NO_SIZE = "the picture has no width or no height"


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
    known magic (and what it is instead, where `foreign` knows), over MAX_BYTES or MAX_PIXELS (told from the
    header, before the rest is looked at), no width or height, more than one frame or page, or a file that ends
    too early. Bytes after a complete picture are allowed. A known-good file can still turn out damaged when
    decoded.
    """
    if not data:
        raise InputError(EMPTY)
    if len(data) > MAX_BYTES:
        raise InputError(TOO_BIG)
    kind, walk = _kind(data)
    width, height, orientation = walk(data, _check_size)
    if orientation > 4:
        width, height = height, width
    return Header(kind, width, height, orientation)


def _kind(data: bytes) -> tuple[Format, Walk]:
    """The format that the first bytes tell, and the walk for it."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg", walks.jpeg
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png", walks.png
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp", walks.webp
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif", walks.gif
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff", tiff.walk
    if data.startswith(b"BM") and data[14:18] in walks.BMP_HEADERS:
        return "bmp", walks.bmp
    known = foreign.told(data)
    raise InputError(f"{UNKNOWN}, but {known}" if known else UNKNOWN)


def _check_size(width: int, height: int) -> None:
    """InputError when a stored size (pixels) is out of bounds."""
    if width <= 0 or height <= 0:
        raise InputError(NO_SIZE)
    if width * height > MAX_PIXELS:
        raise InputError(TOO_MANY_PIXELS)
