"""Formats that hold the pictures in several files of bounded size, each packed by one worker from the workplace.

Which photos stand in which shard follows from their number and the resolution alone, never from the workers. A shard
that lacks pictures which are placed now is written anew around those it has.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import atomic, faults
from pipelines.engine.pool import Batch, Pool
from pipelines.engine.progress import Progress
from pipelines.engine.share import Share
from pipelines.export import rights
from pipelines.export.format import PARTS, Member, Part

MAKING = "making"
SHARD_BYTES = 128 * 2**20  # of pixels, about: encoded they are half of it (PNG) or less
MOST_PICTURES = 10_000  # per shard

_DONE = pa.schema([("shard", pa.string())])


@dataclass(frozen=True)
class Example:
    """A picture with what is told of it."""

    file: str
    facts: Mapping[str, Any]  # columns of rights.FACTS


@dataclass(frozen=True)
class Shard:
    """One file of the export and what it is to hold, in order."""

    name: str
    part: Part
    members: tuple[Member, ...]

    def __hash__(self) -> int:  # of an item: the pool counts how often a worker died with it
        return hash(self.name)

    def examples(self) -> list[Example]:
        """The pictures of its photos."""
        return [
            Example(file, rights.facts_of(member, crop))
            for member in self.members
            for crop, file in enumerate(member.files)
        ]


@dataclass(frozen=True)
class Sharded(ABC):
    """suffix: `.png` or `.jpg`; resolution in pixels and crops per photo, which say how many photos fill a shard."""

    suffix: str
    resolution: int
    crops: int

    @property
    @abstractmethod
    def where(self) -> str: ...

    @abstractmethod
    def name(self, part: Part, number: int, count: int) -> str:
        """File name of shard `number` of `count`."""

    @abstractmethod
    def read(self, path: Path) -> dict[str, bytes]:
        """The pictures of a finished shard by name; SetupError where it is damaged."""

    @abstractmethod
    def write(self, path: Path, examples: Sequence[Example], pictures: Mapping[str, bytes]) -> None:
        """Write a shard; the same examples and pictures give the same bytes."""

    @abstractmethod
    def names(self, path: Path) -> set[str]:
        """Names of the pictures of a finished shard."""

    def file(self, number: int, part: Part) -> str:
        del part
        return f"{number // 1000:05d}/{number:08d}{self.suffix}"

    def workplace(self, out: Path) -> Path:
        return out / MAKING

    def packed(self, out: Path, members: Sequence[Member]) -> set[str]:
        paths = [out / shard.name for shard in self.shards(members)]
        return set().union(*(self.names(path) for path in paths if path.exists()))

    def pack(self, out: Path, members: Sequence[Member], left_out: frozenset[str], pool: Pool) -> None:
        todo = []
        for shard in self.shards(members):
            kept = tuple(member for member in shard.members if member.row["photo_id"] not in left_out)
            there = self.names(out / shard.name) if (out / shard.name).exists() else None
            if there is None or there != {file for member in kept for file in member.files}:
                todo.append(Shard(shard.name, shard.part, kept))
        with Progress("pack", len(todo), "shards") as progress:
            pool.run(Packer(self, out.resolve()), todo, 1, lambda batch: progress.advance(batch.done))
        if self.workplace(out).exists():
            shutil.rmtree(self.workplace(out))
            atomic.fsync(out)

    def holders(self, members: Sequence[Member], left_out: frozenset[str]) -> dict[str, Part]:
        del left_out
        return {shard.name: shard.part for shard in self.shards(members)}

    def shards(self, members: Sequence[Member]) -> list[Shard]:
        """All shards, each part's photos in their order; a photo's pictures stand together."""
        pictures = max(1, min(MOST_PICTURES, SHARD_BYTES // (3 * self.resolution**2)))
        photos = max(1, pictures // self.crops)
        shards = []
        for part in PARTS:
            mine = [member for member in members if member.part == part]
            starts = range(0, len(mine), photos)
            shards += [
                Shard(self.name(part, number, len(starts)), part, tuple(mine[start : start + photos]))
                for number, start in enumerate(starts)
            ]
        return shards


@dataclass(frozen=True)
class Packer:
    """Packs whole shards and removes from the workplace what went into them."""

    form: Sharded
    out: Path

    def setup(self, share: Share) -> None:
        pass

    def run(self, items: Sequence[Shard]) -> Batch:
        for shard in items:
            self._pack(shard)
        names = [shard.name for shard in items]
        return Batch(pa.table({"shard": names}, schema=_DONE), len(items))

    def _pack(self, shard: Shard) -> None:
        final, workplace = self.out / shard.name, self.form.workplace(self.out)
        before = self.form.read(final) if final.exists() else {}
        examples = shard.examples()
        pictures = {}
        for example in examples:
            placed = workplace / example.file
            pictures[example.file] = placed.read_bytes() if placed.exists() else before[example.file]
        with atomic.replacing(final) as temporary:
            self.form.write(temporary, examples, pictures)
            faults.point("export.packing")
        faults.point("export.packed")
        for name in pictures:
            (workplace / name).unlink(missing_ok=True)
