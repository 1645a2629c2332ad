"""Training pictures: an export of the toolkit, or any folder or zip of square pictures of one size, in memory."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from manifests.decode import decode
from manifests.errors import InputError, SetupError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
ZIP, STATE, SUMS = "dataset.zip", "export.json", "SHA256SUMS"  # of an export
VALIDATION = "validation/"  # pictures of an export that are not learned from
LARGEST_FILE = 64 * 2**20  # bytes of a picture in a zip, unpacked
SMALLEST, LARGEST = 16, 1024  # pixels a side that can be learned from and measured


@dataclass(frozen=True)
class Pictures:
    """What is learned from and measured against. images: uint8 [n, 3, resolution, resolution]."""

    images: Tensor
    dataset: str
    subset: str
    subset_hash: str  # of an export: that of its photos; else pictures_hash
    pictures_hash: str  # of every picture's file, in their order

    @property
    def resolution(self) -> int:
        """Pixels a side."""
        return self.images.shape[2]

    def facts(self) -> dict[str, str | int]:
        """What tells these pictures from others, for JSON."""
        return {
            "dataset": self.dataset,
            "subset": self.subset,
            "subset_hash": self.subset_hash,
            "pictures_hash": self.pictures_hash,
            "pictures": len(self.images),
            "resolution": self.resolution,
        }


def read(data: Path) -> Pictures:
    """Read every picture, in the order of their names.

    Raises SetupError for what is not there, not square, not of one size or a size that no network has, and for an
    export that is not whole or has changed.
    """
    if data.name == ZIP and (data.parent / STATE).is_file():
        data = data.parent  # the zip of an export is the export
    facts, sums = _export(data)
    with ExitStack() as opened:
        files = _files(data, opened)
        _refuse_changed(data, list(files), sums)
        if len(files) < 2:
            raise SetupError(f"{data} holds {len(files)} pictures; make an export with: lhq export DATASET OUT ...")
        images, whole = _decoded(data, files, sums)
    return Pictures(
        images=images,
        dataset=facts.get("dataset", data.resolve().stem),
        subset=facts.get("subset", ""),
        subset_hash=facts.get("subset_hash", whole),
        pictures_hash=whole,
    )


def _decoded(data: Path, files: Mapping[str, Callable[[], bytes]], sums: Mapping[str, str]) -> tuple[Tensor, str]:
    """Pixels of all files, and the hash of their contents."""
    images: Tensor | None = None
    whole = hashlib.sha256()
    for at, (name, load) in enumerate(files.items()):
        try:
            content = load()
            image = decode(content)  # [height, width, 3]
        except (InputError, OSError, zlib.error, EOFError, zipfile.BadZipFile, RuntimeError) as error:
            raise SetupError(f"{data}: {name}: {error}; remove the file or export again") from error
        digest = hashlib.sha256(content)
        if sums.get(name, digest.hexdigest()) != digest.hexdigest():
            raise SetupError(f"{data}: {name} is not the picture that was exported ({SUMS}); export again")
        whole.update(digest.digest())
        _refuse_size(data, name, image.shape[:2], None if images is None else images.shape[2])
        if images is None:
            images = torch.empty(len(files), 3, *image.shape[:2], dtype=torch.uint8)
        images[at] = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    assert images is not None
    return images, whole.hexdigest()


def _refuse_size(data: Path, name: str, size: tuple[int, int], before: int | None) -> None:
    height, width = size
    if height != width or width & (width - 1) or not SMALLEST <= width <= LARGEST:
        raise SetupError(
            f"{data}: {name} is {width}x{height}; pictures are square, with a power of two from {SMALLEST} to "
            f"{LARGEST} pixels a side: lhq export makes them so"
        )
    if before not in (None, width):
        raise SetupError(f"{data}: {name} is {width}x{height}, the ones before are {before} wide")


def _export(data: Path) -> tuple[dict[str, str], dict[str, str]]:
    """What an export says of itself, and its files' sums; nothing where the pictures come from elsewhere."""
    state = data / STATE
    if not state.is_file():
        return {}, {}
    if not (data / SUMS).is_file():
        raise SetupError(f"the export {data} is not whole: run the same lhq export again")
    try:
        facts = json.loads(state.read_bytes())
        if facts.get("format") not in (None, "folder", "zip"):
            raise SetupError(f"{data} is an export in the format {facts['format']}; lhq reads folder and zip")
        lines = (line.split("  ", 1) for line in (data / SUMS).read_text().splitlines())
        sums = {name: digest for digest, name in lines}
        return {name: str(facts[name]) for name in ("dataset", "subset", "subset_hash")}, sums
    except (ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{state} or {SUMS} is damaged ({error!r}); export again") from error


def _refuse_changed(data: Path, names: list[str], sums: Mapping[str, str]) -> None:
    """SetupError where an export lacks a picture or has one too many, or its zip is not the one it made."""
    if not sums:
        return
    if ZIP in sums:
        if not (data / ZIP).is_file():
            raise SetupError(f"the export {data} is not whole: {ZIP} does not exist; copy it again, or export again")
        with (data / ZIP).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sums[ZIP]:
                raise SetupError(f"{data / ZIP} is not the file that was exported ({SUMS}); export again")
        return
    expected = {name for name in sums if name.lower().endswith(SUFFIXES) and not name.startswith(VALIDATION)}
    if differing := sorted(expected ^ set(names)):
        raise SetupError(
            f"the export {data} is not whole: {len(differing):,} pictures are missing or new, such as {differing[0]}; "
            "copy it again, or run the same lhq export again"
        )


def _files(data: Path, opened: ExitStack) -> dict[str, Callable[[], bytes]]:
    """Names of the pictures, sorted, and how to read each."""
    if data.is_dir() and not (data / ZIP).is_file():
        paths = (path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        names = {path.relative_to(data).as_posix(): path for path in paths}
        held_back = VALIDATION if (data / STATE).is_file() else "/"  # no relative name begins so
        return {name: names[name].read_bytes for name in sorted(names) if not name.startswith(held_back)}
    archive = data / ZIP if data.is_dir() else data
    if not archive.is_file():
        raise SetupError(f"{data} does not exist; DATA is an export, or a folder or zip of square pictures")
    try:
        unpacked = opened.enter_context(zipfile.ZipFile(archive))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise SetupError(f"{archive} is not a zip that can be read ({error})") from error
    found: dict[str, Callable[[], bytes]] = {}
    for member in sorted(unpacked.infolist(), key=lambda one: one.filename):
        if member.filename.lower().endswith(SUFFIXES):
            if member.file_size > LARGEST_FILE:
                raise SetupError(f"{archive}: {member.filename} would be {member.file_size:,} bytes")
            found[member.filename] = lambda member=member: unpacked.read(member)  # type: ignore[misc]
    return found
