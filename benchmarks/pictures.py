"""Training pictures: an export of the toolkit, or any folder or zip of square pictures of one size, in memory."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from manifests.decode import decode
from manifests.errors import InputError, SetupError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
ZIP = "dataset.zip"  # of an export in that format
LARGEST_FILE = 64 * 2**20  # bytes of a picture in a zip, unpacked
SMALLEST, LARGEST = 8, 1024  # pixels a side that the networks have


@dataclass(frozen=True)
class Pictures:
    """What is learned from and measured against. images: uint8 [n, 3, resolution, resolution]."""

    images: Tensor
    dataset: str
    subset: str
    subset_hash: str

    @property
    def resolution(self) -> int:
        """Pixels a side."""
        return self.images.shape[2]


def read(data: Path) -> Pictures:
    """Read every picture, in the order of their names.

    Raises SetupError for what is not there, not square, not of one size or a size that no network has, and for an
    export that is not whole.
    """
    facts = _facts(data)
    images: list[Tensor] = []
    whole = hashlib.sha256()
    for name, content in _files(data):
        try:
            image = decode(content)  # [height, width, 3]
        except InputError as error:
            raise SetupError(f"{data}: {name}: {error}; remove the file or export again") from error
        _check(data, name, image.shape[:2], images)
        whole.update(hashlib.sha256(content).digest())
        images.append(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).contiguous())
    if not images:
        raise SetupError(f"{data} holds no pictures; make an export with: lhq export DATASET {data} ...")
    return Pictures(
        images=torch.stack(images),
        dataset=facts.get("dataset", data.resolve().stem),
        subset=facts.get("subset", ""),
        subset_hash=facts.get("subset_hash", whole.hexdigest()),
    )


def _check(data: Path, name: str, size: tuple[int, int], before: list[Tensor]) -> None:
    height, width = size
    if height != width or width & (width - 1) or not SMALLEST <= width <= LARGEST:
        raise SetupError(
            f"{data}: {name} is {width}x{height}; pictures are square, with a power of two from {SMALLEST} to "
            f"{LARGEST} pixels a side: lhq export makes them so"
        )
    if before and before[0].shape[2] != width:
        raise SetupError(f"{data}: {name} is {width}x{height}, the ones before are {before[0].shape[2]} wide")


def _facts(data: Path) -> dict[str, str]:
    """What an export says of itself; nothing where the pictures come from elsewhere."""
    state = data / "export.json"
    if not state.is_file():
        return {}
    if not (data / "SHA256SUMS").is_file():
        raise SetupError(f"the export {data} is not whole: run the same lhq export again")
    try:
        facts = json.loads(state.read_bytes())
        return {name: str(facts[name]) for name in ("dataset", "subset", "subset_hash")}
    except (ValueError, KeyError, TypeError) as error:
        raise SetupError(f"{state} is damaged ({error!r}); export again") from error


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    if data.is_dir() and not (data / ZIP).is_file():
        for path in sorted(path for path in data.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()):
            yield path.relative_to(data).as_posix(), path.read_bytes()
        return
    archive = data / ZIP if data.is_dir() else data
    if not archive.is_file():
        raise SetupError(f"{data} does not exist; DATA is an export, or a folder or zip of square pictures")
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in sorted(opened.infolist(), key=lambda member: member.filename):
                if member.filename.lower().endswith(SUFFIXES):
                    if member.file_size > LARGEST_FILE:
                        raise SetupError(f"{archive}: {member.filename} would be {member.file_size:,} bytes")
                    yield member.filename, opened.read(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise SetupError(f"{archive} is not a zip that can be read ({error})") from error
