"""The flat manifest: one table that a person opens, and its cache beside the recipe."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import atomic

_INPUTS = b"lhq.inputs"
ROW_GROUP = 65_536


def cached(path: Path, inputs: str) -> pa.Table | None:
    """The cached table, if it was made from these inputs."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            made_from = (file.schema_arrow.metadata or {}).get(_INPUTS)
            return file.read() if made_from == inputs.encode() else None
    except (OSError, pa.ArrowException):  # absent or damaged: it is only a cache
        return None


def write(path: Path, rows: pa.Table, inputs: str) -> None:
    """Write a flat manifest atomically; `inputs` names what it was made from."""
    marked = rows.replace_schema_metadata({_INPUTS: inputs.encode()})
    with atomic.replacing(path) as temporary:
        pq.write_table(marked, temporary, compression="zstd", row_group_size=ROW_GROUP, write_page_checksum=True)
