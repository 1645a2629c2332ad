"""The flat manifest: one table that a person opens, its columns, and its cache beside the recipe."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import atomic, schema
from manifests.schema import column

_INPUTS = b"lhq.inputs"
ROW_GROUP = 65_536

_FILE = {"sha256": "sha256", "path": "path"} | {  # column here -> column of `files`
    f"file_{name}": name for name in ("status", "bytes", "format", "width", "height", "error")
}


def columns(stages: Iterable[str]) -> pa.Schema:
    """The columns of the flat manifest of a recipe with these stages, in the order in which photos meet them."""
    fields = [*schema.PHOTOS]
    fields += [schema.FILES.field(name).with_name(here).with_nullable(True) for here, name in _FILE.items()]
    fields.append(column("queries", pa.list_(pa.string()), "all that found it, sorted"))
    for stage in stages:
        fields += [
            column(f"{stage}_value", pa.float64(), f"the number that `{stage}` compared with its threshold"),
            column(f"{stage}_keep", pa.bool_(), "its verdict; null where it was not asked or could not tell"),
            column(f"{stage}_reason", pa.string(), "why it rejects, or why it could not tell"),
        ]
    fields += [
        column("review", pa.string(), "the human verdict that counts: `keep`, `reject` or `flag`"),
        column("reviewers", pa.list_(pa.string()), "who gave one"),
        column("keep", pa.bool_(), "whether the photo is in the subset"),
        column("reason", pa.string(), "why not: a review, else the first stage that did not keep it, else its file"),
    ]
    return pa.schema(fields)


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
