"""`lhq export --format zip`: the pictures in OUT/dataset.zip, as the tools around StyleGAN2 and StyleGAN3 read them;
those of a validation part in OUT/validation.zip.

Their reader (`training/dataset.py` of NVlabs/stylegan2-ada-pytorch and NVlabs/stylegan3) takes every member with a
picture's extension, sorted by name, all of one shape, and the labels in `dataset.json`, where null means none. Their
writer (`dataset_tool.py`) stores the members uncompressed, a thousand to a folder, with `dataset.json` last.

Pictures are made in OUT/making and packed in one pass, which for that time needs their space twice; members carry no
time, so that the same pictures give the same bytes. Memory grows with the table of contents only.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from manifests import atomic, faults
from manifests.archives import BAD_ZIP
from manifests.errors import SetupError
from pipelines.engine.pool import Pool
from pipelines.engine.progress import Progress
from pipelines.export.format import TRAIN, VALIDATION, Member, Part

ARCHIVES: dict[Part, str] = {TRAIN: "dataset.zip", VALIDATION: "validation.zip"}
LABELS = "dataset.json"
MAKING = "making"
_NEVER = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can say
_PIECE = 1024**2  # bytes held at once


@dataclass(frozen=True)
class Zip:
    """One archive per part. suffix: `.png` or `.jpg`."""

    suffix: str
    where: str = "`dataset.zip`, laid out for the data readers of StyleGAN2-ADA and StyleGAN3"

    def file(self, number: int, part: Part) -> str:
        del part
        digits = f"{number:08d}"
        return f"{digits[:5]}/img{digits}{self.suffix}"

    def workplace(self, out: Path) -> Path:
        return out / MAKING

    def packed(self, out: Path, members: Sequence[Member]) -> set[str]:
        return set().union(*(_names(out / ARCHIVES[part]) for part in _parts(members)))

    def pack(self, out: Path, members: Sequence[Member], left_out: frozenset[str], pool: Pool) -> None:
        """Write each archive unless it has all its pictures; one that lacks some is written anew around those it
        has."""
        del pool  # one file is written by one process
        for part in _parts(members):
            kept = [one for one in members if one.part == part and one.row["photo_id"] not in left_out]
            files = sorted(file for member in kept for file in member.files)
            if not {LABELS, *files} <= _names(out / ARCHIVES[part]):
                _write(out / ARCHIVES[part], self.workplace(out), files)
                faults.point("export.packed")
        if self.workplace(out).exists():
            shutil.rmtree(self.workplace(out))
            atomic.fsync(out)

    def holders(self, members: Sequence[Member], left_out: frozenset[str]) -> dict[str, Part]:
        del left_out
        return {ARCHIVES[part]: part for part in _parts(members)}


def _parts(members: Sequence[Member]) -> list[Part]:
    return [part for part in ARCHIVES if any(member.part == part for member in members)]


def _names(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with _reading(path) as archive:
        return set(archive.namelist())


def _write(path: Path, workplace: Path, files: Sequence[str]) -> None:
    with contextlib.ExitStack() as stack:
        before = stack.enter_context(_reading(path)) if path.exists() else None
        target = stack.enter_context(atomic.replacing(path))
        progress = stack.enter_context(Progress("pack", len(files), "pictures"))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for name in files:
                faults.point("export.packing")
                with _picture(workplace / name, before, name) as source, archive.open(_entry(name), "w") as member:
                    shutil.copyfileobj(source, member, _PIECE)
                progress.advance(1)
            archive.writestr(_entry(LABELS), json.dumps({"labels": None}))


def _picture(placed: Path, before: zipfile.ZipFile | None, name: str) -> IO[bytes]:
    return placed.open("rb") if before is None or placed.exists() else before.open(name)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _NEVER)
    entry.create_system = 3  # Unix, whatever wrote it: the permissions below are read as such
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            if any(one.compress_type != zipfile.ZIP_STORED for one in archive.infolist()):
                raise zipfile.BadZipFile("its members are packed, which ours are not")
            yield archive
    except BAD_ZIP as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's trouble, not the archive's
        raise SetupError(f"{path} is damaged ({error}): remove it and run the same command again") from error
