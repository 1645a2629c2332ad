"""Makes pictures: decodes a photo once, cuts every crop that is wanted, places each whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import atomic, faults
from manifests.errors import InputError
from pipelines.engine.measure import read_image
from pipelines.engine.pool import Batch, for_a_while
from pipelines.engine.share import Share
from pipelines.engine.stage import RGB
from pipelines.export import picture

SECONDS = 1.0  # what a worker makes in this time goes back as one batch

_DONE = pa.schema([("photo_id", pa.string()), ("made", pa.int64()), ("error", pa.string())])


@dataclass(frozen=True)
class Item:
    """A photo with pictures to make."""

    photo_id: str
    path: str  # in the dataset
    files: tuple[tuple[int, str], ...]  # crop number, name of the picture


@dataclass(frozen=True)
class ExportWorker:
    """Runs wherever the dataset's files and the export's workplace are; its rows say how much was made, or why not."""

    root: Path
    workplace: Path
    resolution: int

    def setup(self, share: Share) -> None:
        pass

    def run(self, items: Sequence[Item]) -> Batch:
        rows: list[dict[str, Any]] = []
        folders: set[Path] = set()
        for item in for_a_while(items, SECONDS):
            try:
                image = read_image(self.root, item.path, None)
            except InputError as error:
                rows.append({"photo_id": item.photo_id, "made": 0, "error": str(error)})
                continue
            for crop, file in item.files:
                folders.add(self._place(image, item.photo_id, crop, file))
            rows.append({"photo_id": item.photo_id, "made": len(item.files), "error": None})
        for folder in folders:
            atomic.fsync(folder)
        return Batch(pa.Table.from_pylist(rows, schema=_DONE), len(rows))

    def _place(self, image: RGB, photo_id: str, crop: int, file: str) -> Path:
        """Make one picture; its folder is returned, to be made durable once per batch."""
        height, width = image.shape[:2]
        part = picture.square(photo_id, crop, width, height, self.resolution)
        final = self.workplace / file
        temporary = atomic.temporary_beside(final)
        temporary.write_bytes(picture.png(picture.cut(image, part, self.resolution)))
        atomic.fsync(temporary)
        temporary.replace(final)
        faults.point("export.picture")
        return final.parent
