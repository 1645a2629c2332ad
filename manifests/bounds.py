"""Bounds-checked reads: how the walks of a picture file take numbers from hostile bytes."""

import struct
from typing import Any

from manifests.errors import InputError

MAX_PIECES = 1_000_000  # segments, chunks or blocks of one file; full GIF blocks of probe.MAX_BYTES stay below it

CUT = "the file is cut short"
BROKEN = "the file's structure is broken"


def read(data: bytes, pos: int, layout: str) -> tuple[Any, ...]:
    """The struct fields of this layout at this byte; InputError where the file ends before them."""
    if pos + struct.calcsize(layout) > len(data):
        raise InputError(CUT)
    return struct.unpack_from(layout, data, pos)
