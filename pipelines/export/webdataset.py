"""`lhq export --format webdataset`: OUT/shard-*.tar, each picture beside a JSON of its facts, as WebDataset reads them.

Plain USTAR archives: members sorted by name, no times, owners or pickles.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from manifests.archives import BAD_TAR
from manifests.errors import SetupError
from pipelines.export.format import TRAIN, Part
from pipelines.export.shards import Example, Sharded


@dataclass(frozen=True)
class WebDataset(Sharded):
    """Keys are the pictures' numbers."""

    @property
    def where(self) -> str:
        return "`shard-*.tar` (WebDataset)"

    def name(self, part: Part, number: int, count: int) -> str:
        del count
        return f"{'shard' if part == TRAIN else part}-{number:05d}.tar"

    def names(self, path: Path) -> set[str]:
        with _reading(path) as archive:
            return {one.name for one in archive if one.name.endswith(self.suffix)}

    def read(self, path: Path) -> dict[str, bytes]:
        pictures = {}
        with _reading(path) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name.endswith(self.suffix) else None
                if content is not None:
                    pictures[member.name] = content.read()
        return pictures

    def write(self, path: Path, examples: Sequence[Example], pictures: Mapping[str, bytes]) -> None:
        contents: dict[str, bytes] = {}
        for example in examples:
            contents[example.file] = pictures[example.file]
            contents[str(PurePosixPath(example.file).with_suffix(".json"))] = json.dumps(
                example.facts, sort_keys=True
            ).encode()
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
            for name in sorted(contents):
                entry = tarfile.TarInfo(name)  # mode 0644, owner 0, time 0
                entry.size = len(contents[name])
                archive.addfile(entry, io.BytesIO(contents[name]))


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[tarfile.TarFile]:
    """SetupError where it is no tar, or one with members that are larger than they are there."""
    try:
        with tarfile.open(path, "r:") as archive:
            if any(not one.isreg() or one.issparse() for one in archive):
                raise tarfile.ReadError("its members are not all plain files")
            yield archive
    except BAD_TAR as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's trouble, not the archive's
        raise SetupError(f"{path} is damaged ({error}): remove it and run the same command again") from error
