"""What every walk through a picture file shares: bounds-checked reads, its result, and its fixed complaints."""

import struct
from collections.abc import Callable
from typing import Any

from manifests.errors import InputError

MAX_PIECES = 1_000_000  # segments, chunks or blocks of one file; full GIF blocks of probe.MAX_BYTES stay below it

ANIMATION = "the file is an animation"
SEVERAL = "the file holds more than one picture"
CUT = "the file is cut short"
BROKEN = "the file's structure is broken"

# A walk goes through a file from its header to its end and raises InputError where it is not whole. It calls its
# `check` with every width and height (pixels) as soon as it meets them, so that a forged size is refused before
# the rest is looked at.
Stored = tuple[int, int, int]  # width and height (pixels) before EXIF's orientation 1..8 is applied, and that
Check = Callable[[int, int], None]
Walk = Callable[[bytes, Check], Stored]


def read(data: bytes, pos: int, layout: str) -> tuple[Any, ...]:
    """The struct fields of this layout at this byte; InputError where the file ends before them."""
    if pos + struct.calcsize(layout) > len(data):
        raise InputError(CUT)
    return struct.unpack_from(layout, data, pos)
