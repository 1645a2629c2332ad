"""Small pictures for people, cached in the dataset so that a take-down finds them: `thumbnails/ab/<sha256>.jpg`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from manifests import atomic, store
from manifests.decode import decode
from manifests.errors import InputError
from manifests.probe import probe

HEIGHT, WIDEST = 256, 1024  # pixels of a thumbnail, unless the picture is smaller
FOLDER = "thumbnails"
_BEGIN, _END = b"\xff\xd8", b"\xff\xd9"  # of a whole JPEG


def path_of(root: Path, sha256: str) -> Path:
    """Where the thumbnail of a file is cached in the dataset at `root`."""
    return root / FOLDER / sha256[:2] / f"{sha256}.jpg"


def thumbnail(root: Path, sha256: str, path: str) -> bytes:
    """A JPEG of the image at `path` (relative to the dataset), from the cache or made now.

    Raises InputError where the image is damaged or the path is not its own, FileNotFoundError where it is gone. A
    dataset that cannot be written has no cache.
    """
    if store.sha256_in(path) != sha256:
        raise InputError("its path is not that of its hash")
    cached = path_of(root, sha256)
    with contextlib.suppress(OSError):
        data = cached.read_bytes()
        if data.startswith(_BEGIN) and data.endswith(_END):  # not synced: a power cut may have cut it
            return data
    data = reduced(store.read(root, path), WIDEST, HEIGHT, quality=80)
    with contextlib.suppress(OSError):
        _write(cached, data)
        if not (root / path).exists():  # taken down meanwhile, perhaps after thumbnails were removed
            cached.unlink(missing_ok=True)
    return data


def reduced(image: bytes, width: int, height: int, quality: int) -> bytes:
    """A JPEG of an encoded image that fits into width x height pixels, never enlarged; upright, sRGB, no metadata."""
    header = probe(image)
    scale = min(1.0, width / header.width, height / header.height)
    size = max(1, round(header.width * scale)), max(1, round(header.height * scale))
    picture = Image.fromarray(decode(image, min_side=min(size)))
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()


def forget(root: Path, sha256s: Iterable[str]) -> None:
    """Remove the thumbnails of these files, and of them what a killed writer left."""
    for sha256 in sha256s:
        path = path_of(root, sha256)
        path.unlink(missing_ok=True)
        for leftover in path.parent.glob(f"{atomic.TEMPORARY}*{sha256}.jpg"):
            leftover.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.sweep_dead(path.parent)
    temporary = atomic.temporary_beside(path)
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
