"""Decoded training pictures in a file that is mapped into memory: made once, checked by hash whenever it is opened.

They lie below `pictures/` in a cache folder, a folder for each export (whichever place it is at) and for each path of
other data. A file that is damaged is made again. Any of these folders may be removed when no command is making it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import mmap
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import simplejpeg
import torch
from torch import Tensor

from benchmarks import exports
from benchmarks.exports import Source
from benchmarks.picture_readers import Piece, pieces, unreadable
from manifests import atomic, faults, plain_json
from manifests.decode import decode
from manifests.errors import InputError, LockedError, SetupError
from manifests.locks import locked
from manifests.probe import probe

FOLDER = "pictures"  # in the cache
PIXELS, ABOUT = "pixels.u8", "about.json"  # in a folder of it
VERSION = 1  # of this layout, and of what our own code makes of a file
LOCK = "making"
BLOCK = 16 * 2**20  # bytes that one thread hashes at a time
SMALLEST, LARGEST = 16, 1024  # pixels a side that can be learned from and measured

Progress = Callable[[int, int], None]  # pictures decoded, pictures in all


@dataclass(frozen=True)
class Kept:
    """Pixels uint8 [n, 3, resolution, resolution], mapped from a file and not to be written to, and the SHA-256 of
    the hashes of their encoded files, in the order of their names."""

    images: Tensor
    pictures_hash: str


def kept(source: Source, cache: Path, progress: Progress | None = None) -> Kept:
    """The pictures of a source; decoded where that was not done before.

    What is kept is used when its own hash is right and the listing (names, sizes and times of the files) is as it
    was. An export with another listing is read and compared with its sums once more; other data are decoded anew. So
    a file that was changed with its size and time left as they were is not noticed, and the pixels are those of
    before. Raises SetupError for pictures that cannot be learned from, and where the cache cannot be written.
    """
    folder = cache / FOLDER / source.key
    known = _open(folder, source)
    if known is None:
        with pieces(source) as found:
            try:
                with _alone(folder):
                    known = _open(folder, source) or _make(folder, source, found, progress)
            except OSError as error:
                raise SetupError(
                    f"the pixels of {source.place} cannot be kept in {folder} ({error.strerror or error}): make room "
                    "there, or set LHQ_CACHE to a folder that has it"
                ) from error
    if progress is not None:
        progress(len(known.images), len(known.images))
    return known


def resolution(source: Source) -> int:
    """Pixels a side of its pictures: what an export says, else that of one of them."""
    if source.facts.get("resolution", "").isdecimal():
        return int(source.facts["resolution"])
    with pieces(source) as found:
        return _side(source, found, found[0].names[0])


def decoders() -> str:
    """What the pixels of one and the same file depend on."""
    return f"{VERSION}, Pillow {PIL.__version__}, simplejpeg {simplejpeg.__version__}"


def _open(folder: Path, source: Source) -> Kept | None:
    """What is kept of a source; None where that is nothing, damaged, or of other files."""
    try:
        written = plain_json.loads((folder / ABOUT).read_bytes())
        about = written["about"]
        if written["sha256"] != _sum(about):
            raise ValueError(ABOUT)
        if about["decoders"] != decoders() or (about["seen"] != source.seen and not source.is_export):
            return None
        with (folder / PIXELS).open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            count, colours, height, width = about["shape"]
            if min(count, height) < 1 or colours != 3 or height != width:
                raise ValueError(ABOUT)
            if size != math.prod(about["shape"]) or _digest(stream.fileno(), size) != about["sha256"]:
                raise ValueError(PIXELS)
            images = _mapped(stream.fileno(), about["shape"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        print(f"lhq: {folder} is damaged ({error}): the pictures are decoded again", file=sys.stderr, flush=True)
        return None
    if about["seen"] != source.seen:
        exports.refuse_changed(source)
        _note(folder, {**about, "seen": source.seen, "source": str(source.place.resolve())})
    return Kept(images, str(about["pictures_hash"]))


def _make(folder: Path, source: Source, found: Sequence[Piece], progress: Progress | None) -> Kept:
    atomic.sweep_temporaries(folder)
    (folder / ABOUT).unlink(missing_ok=True)
    names = sorted(name for piece in found for name in piece.names)
    side = _side(source, found, names[0])
    shape = (len(names), 3, side, side)
    with atomic.replacing(folder / PIXELS) as temporary, temporary.open("w+b") as stream:
        _reserve(stream.fileno(), math.prod(shape))
        work = _Decoding(source, {name: at for at, name in enumerate(names)}, side, stream.fileno())
        digests: dict[int, bytes] = {}
        for some in work.all(found):
            digests |= some
            if progress is not None:
                progress(len(digests), len(names))
        sha256 = _digest(stream.fileno(), math.prod(shape))
        exports.refuse_moving(source)
    faults.point("pictures.before_name")
    about: dict[str, Any] = {
        "source": str(source.place.resolve()),
        "decoders": decoders(),
        "seen": source.seen,
        "shape": shape,
        "sha256": sha256,
        "pictures_hash": hashlib.sha256(b"".join(digests[at] for at in range(len(names)))).hexdigest(),
    }
    _note(folder, about)
    with (folder / PIXELS).open("rb") as stream:
        return Kept(_mapped(stream.fileno(), shape), about["pictures_hash"])


@dataclass(frozen=True)
class _Decoding:
    """Pictures on their way into a file, each to the place of its name."""

    source: Source
    places: Mapping[str, int]
    side: int
    descriptor: int

    def all(self, found: Sequence[Piece]) -> Iterator[dict[int, bytes]]:
        """Decode everything in parallel; yields the places that are done, with the SHA-256 of their files."""
        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            try:
                for work in [threads.submit(self.one, piece) for piece in found]:
                    yield work.result()
            except BaseException:
                threads.shutdown(cancel_futures=True)
                raise

    def one(self, piece: Piece) -> dict[int, bytes]:
        """Decode the pictures of a piece."""
        done = {}
        for name, content in piece.read():
            if name not in self.places:
                raise SetupError(f"{self.source.place} changed while it was read: {name!r} is new; try again")
            at = self.places[name]
            digest = hashlib.sha256(content)
            if self.source.form == "folder" and self.source.is_export and digest.hexdigest() != self.source.sums[name]:
                raise exports.changed(self.source.place, name)
            _refuse_size(self.source, name, content, self.side)
            try:
                pixels = np.ascontiguousarray(decode(content).transpose(2, 0, 1))
            except InputError as error:
                raise unreadable(self.source.place, name, error) from error
            _write(self.descriptor, pixels.data.cast("B"), at * pixels.nbytes)
            done[at] = digest.digest()
            faults.point("pictures.inside")
        if len(done) != len(piece.names):
            raise SetupError(f"{self.source.place} changed while it was read: pictures are gone; try again")
        return done


def _side(source: Source, found: Sequence[Piece], first: str) -> int:
    """Pixels a side of the picture of this name, as all others must have them."""
    (piece,) = (one for one in found if first in one.names)
    content = next((content for name, content in piece.read() if name == first), b"")
    if source.form == "folder" and source.is_export and hashlib.sha256(content).hexdigest() != source.sums[first]:
        raise exports.changed(source.place, first)
    return _refuse_size(source, first, content, None)


def _refuse_size(source: Source, name: str, content: bytes, side: int | None) -> int:
    """Pixels a side, told from the header: a picture of another size is not decoded."""
    try:
        header = probe(content)
    except InputError as error:
        raise unreadable(source.place, name, error) from error
    height, width = header.height, header.width
    if height != width or width & (width - 1) or not SMALLEST <= width <= LARGEST:
        raise SetupError(
            f"{source.place}: {name} is {width}x{height}; pictures are square, with a power of two from {SMALLEST} to "
            f"{LARGEST} pixels a side: lhq export makes them so"
        )
    if side not in (None, width):
        raise SetupError(f"{source.place}: {name} is {width}x{height}, the first is {side} wide")
    return width


def _note(folder: Path, about: Mapping[str, Any]) -> None:
    text = json.dumps({"about": about, "sha256": _sum(about)}, indent=2) + "\n"
    try:
        atomic.write_bytes(folder / ABOUT, text.encode())
    except OSError:
        if not (folder / ABOUT).exists():  # else only the listing is new, and is compared again next time
            raise


def _sum(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _digest(descriptor: int, size: int) -> str:
    """SHA-256 of the SHA-256s of a file's blocks, which are taken in parallel."""

    def one(first: int) -> bytes:
        return hashlib.sha256(os.pread(descriptor, BLOCK, first)).digest()

    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        return hashlib.sha256(b"".join(threads.map(one, range(0, size, BLOCK)))).hexdigest()


def _mapped(descriptor: int, shape: Sequence[int]) -> Tensor:
    """A file as a tensor; its pages are the system's, shared by all that map it. Writing to it ends the process."""
    pixels = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
        return torch.frombuffer(pixels, dtype=torch.uint8).view(*shape)


def _reserve(descriptor: int, size: int) -> None:
    """Take the room for a file now, so that a full disk is met before the work, not in the midst of it."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # file systems that cannot say
            raise
    os.ftruncate(descriptor, size)


def _write(descriptor: int, data: memoryview, first: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, first)
        data, first = data[written:], first + written


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the right to make what is kept here; wait for whoever is making it."""
    atomic.make_folder(folder)
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder, LOCK))
        except LockedError as error:
            print(f"lhq: {error}; waiting", file=sys.stderr, flush=True)
            held.enter_context(locked(folder, LOCK, wait_seconds=math.inf))
        yield
