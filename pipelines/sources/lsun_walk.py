"""Asks a database for every one of its keys, in a process of its own: a forged file kills this one, and no other.

LMDB trusts its file. A page, a key or a value that reaches beyond the file ends whatever process looks there, and pages
that name each other may make keys without end. Values are not read, but for one byte of the one that reaches furthest.
"""

import sys
from pathlib import Path

import lmdb
import numpy as np

SMALLEST = 8  # bytes that a key takes in a file, at least


def walk(folder: Path) -> None:
    """Ask for every key as a crawl does. Exits with a text where the file cannot be what it says."""
    size = (folder / "data.mdb").stat().st_size
    environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False, create=False)
    lowest = highest = None
    furthest = memoryview(b"")
    with environment.begin(buffers=True) as transaction, transaction.cursor() as cursor:
        for count, key in enumerate(cursor.iternext(keys=True, values=False)):
            if count * SMALLEST > size:
                sys.exit("it has more keys than room for them")
            value: memoryview | None = transaction.get(key)
            if not value:
                continue
            first = np.frombuffer(value, np.uint8).__array_interface__["data"][0]
            if lowest is None or first < lowest:
                lowest = first
            if highest is None or first + len(value) > highest:
                highest, furthest = first + len(value), value
        if lowest is not None and highest is not None and highest - lowest > size:
            sys.exit("a value is longer than the file")
        bytes(furthest[-1:])


if __name__ == "__main__":
    walk(Path(sys.argv[1]))
