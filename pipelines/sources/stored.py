"""Photos as the tables hold them, read back as values, for sources that look them up again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pyarrow.compute as pc

from manifests.records import Photo
from pipelines.sources.base import Listing

_COLUMNS = [field.name for field in dataclasses.fields(Photo)]
_TEXTS = ("tags_raw", "tags")


def photos_of(listing: Listing) -> Iterator[Photo]:
    """All photos of the source, in order of id, as they stood when the first was asked for."""
    table = listing.photos(_COLUMNS)
    order = pc.sort_indices(table["photo_id"])
    for chunk in table.take(order).to_batches(max_chunksize=1024):
        for row in chunk.to_pylist():
            yield Photo(**{**row, **{name: tuple(row[name]) for name in _TEXTS}})
