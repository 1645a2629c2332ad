"""Makes pictures: decodes a photo once, cuts every crop that is wanted, places each whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import atomic, faults
from manifests.errors import InputError
from manifests.locks import on_local_disk
from pipelines.engine.measure import read_image
from pipelines.engine.pool import Batch, for_a_while
from pipelines.engine.share import Share
from pipelines.engine.stage import RGB
from pipelines.export import picture
from pipelines.export.picture import Making

SECONDS = 1.0  # what a worker makes in this time goes back as one batch

_DONE = pa.schema([("photo_id", pa.string()), ("made", pa.int64()), ("error", pa.string())])


@dataclass(frozen=True)
class Item:
    """A photo with pictures to make."""

    photo_id: str
    path: str  # in the dataset
    width: int  # pixels
    height: int
    files: tuple[tuple[int, str], ...]  # crop number, name of the picture


@dataclass(frozen=True)
class ExportWorker:
    """Runs wherever the dataset's files and the export's workplace are; its rows say how much was made, or why not."""

    root: Path
    workplace: Path
    making: Making

    def setup(self, share: Share) -> None:
        pass

    def run(self, items: Sequence[Item]) -> Batch:
        placed: list[tuple[Path, Path]] = []  # temporary and final name
        try:
            rows = self._make(items, placed)
            self._name(placed)
        except BaseException:
            for temporary, _ in placed:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            raise
        return Batch(pa.Table.from_pylist(rows, schema=_DONE), len(rows))

    def _make(self, items: Sequence[Item], placed: list[tuple[Path, Path]]) -> list[dict[str, Any]]:
        """Write the pictures under temporary names, which are added to `placed`; the rows of their photos."""
        rows: list[dict[str, Any]] = []
        for item in for_a_while(items, SECONDS):
            try:
                pictures = self._pictures(item)
            except InputError as error:
                rows.append({"photo_id": item.photo_id, "made": 0, "error": str(error)})
                continue
            for (_, file), image in zip(item.files, pictures, strict=True):
                final = self.workplace / file
                placed.append((atomic.temporary_beside(final), final))
                placed[-1][0].write_bytes(picture.encode(image, self.making.jpeg))
            rows.append({"photo_id": item.photo_id, "made": len(item.files), "error": None})
        return rows

    def _pictures(self, item: Item) -> list[RGB]:
        """The wanted crops [resolution, resolution, 3] of one photo."""
        making = self.making
        crops = [crop for crop, _ in item.files]
        parts = picture.squares(item.photo_id, crops, item.width, item.height, making)
        side = picture.decoded_side(parts, item.width, item.height, making)
        image = read_image(self.root, item.path, side)
        if making.lhq:
            image = picture.shortened(image)
            return [picture.cut(image, part, making.resolution) for part in parts]
        scale = round(item.width / image.shape[1])  # of a reduced decode: 2, 4 or 8
        return [picture.cut(image, part, making.resolution, scale) for part in parts]

    def _name(self, placed: Sequence[tuple[Path, Path]]) -> None:
        """Make the pictures durable, once per batch, and give them their names."""
        temporaries = [temporary for temporary, _ in placed]
        if on_local_disk(self.workplace):
            atomic.fsync_all(temporaries, self.workplace)
        else:
            for temporary in temporaries:
                atomic.fsync(temporary)
        for temporary, final in placed:
            temporary.replace(final)
            faults.point("export.picture")
        for folder in {final.parent for _, final in placed}:
            atomic.fsync(folder)
