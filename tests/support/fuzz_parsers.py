"""Coverage-guided search for bytes that break the parsers of strangers' files: `make fuzz`, for as long as one likes.

Atheris watches which lines of the parsers an input reaches and changes those that reach new ones. An input is read, or
refused by the error that is foreseen for it; anything else ends the search, and libFuzzer leaves the input in the
current folder as crash-..., to become a regression test. The tests search blindly and a little (`mangling.py`).
"""

from __future__ import annotations

import contextlib
import io
import sys

import atheris  # type: ignore[import-not-found]

with atheris.instrument_imports(include=["manifests", "models.pickle_walk"]):
    from manifests import plain_json
    from manifests.decode import decode
    from manifests.errors import InputError
    from manifests.probe import probe
    from models.pickle_walk import Limits, walk

SMALL = Limits(file=2**20, opcodes=20_000, depth=50)
SIDE = 64  # pixels: what is whole but large is decoded at reduced scale


def image(data: bytes) -> None:
    """What the crawl asks of a file when it arrives, and a stage of one that was whole."""
    with contextlib.suppress(InputError):
        header = probe(data)
        if header.width * header.height < 2**20:
            decode(data, SIDE)


def pickled(data: bytes) -> None:
    """What `lhq import` asks of a file before anything of it is built; every error of it refuses the file.

    What can go wrong is another thing: time and memory (`-timeout`, `-rss_limit_mb`), and a crash of Python.
    """
    with contextlib.suppress(Exception):
        walk(io.BytesIO(data), len(data), SMALL)


def json(data: bytes) -> None:
    """What is asked of every JSON file of a dataset that somebody else made."""
    with contextlib.suppress(ValueError):
        plain_json.loads(data)


PARSERS = (image, pickled, json)


def one(data: bytes) -> None:
    """The first byte says which parser, the others are its input."""
    if data:
        PARSERS[data[0] % len(PARSERS)](data[1:])


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
