"""Sound files to begin a search from (`fuzz_parsers.py`): one of each kind that the parsers read."""

from __future__ import annotations

import io
import json
import pickle
import sys
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE, PICKLE, JSON = (bytes([at]) for at in range(3))  # the places of the parsers in `fuzz_parsers.PARSERS`
FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff")


def sound() -> dict[str, bytes]:
    """Inputs by name."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8))
    found = {}
    for kind in FORMATS:
        out = io.BytesIO()
        noise.save(out, kind)
        found[kind] = IMAGE + out.getvalue()
    value = {"words": ["a", None, True], "numbers": [1, -2.5, 10**12], "inside": {"deep": [[[]]]}}
    return found | {"pickle": PICKLE + pickle.dumps(value, protocol=4), "json": JSON + json.dumps(value).encode()}


if __name__ == "__main__":
    for name, data in sound().items():
        (Path(sys.argv[1]) / name).write_bytes(data)
