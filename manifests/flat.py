"""The flat manifest: one table that a person opens, its columns, and its cache beside the recipe."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import atomic, schema
from manifests.dataset import OF_FILES
from manifests.schema import column
from manifests.tables import read_through

_INPUTS = b"lhq.inputs"
ROW_GROUP = 65_536


def columns(stages: Iterable[str]) -> pa.Schema:
    """The columns of the flat manifest of a recipe with these stages, in the order in which photos meet them."""
    fields = [*schema.PHOTOS]
    fields += [schema.FILES.field(name).with_name(here).with_nullable(True) for here, name in OF_FILES.items()]
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


def write(path: Path, tables: Iterable[pa.Table], inputs: str) -> None:
    """Write a flat manifest atomically, a table at a time, at least one; `inputs` names what it was made from."""
    with atomic.replacing(path) as temporary, contextlib.ExitStack() as stack:
        writer = None
        for rows in tables:
            marked = rows.replace_schema_metadata({_INPUTS: inputs.encode()})
            if writer is None:
                form = pq.ParquetWriter(temporary, marked.schema, compression="zstd", write_page_checksum=True)
                writer = stack.enter_context(form)
            writer.write_table(marked, row_group_size=ROW_GROUP)


def copy(path: Path, out: Path, inputs: str) -> bool:
    """Copy the flat manifest at `path` if it is whole and was made from these inputs; whether it was."""
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(path.open("rb"))
        except OSError:  # it is only a cache
            return False
        if not _is_whole(stream, inputs):
            return False
        stream.seek(0)
        with atomic.replacing(out) as temporary, temporary.open("wb") as target:
            shutil.copyfileobj(stream, target)
    return True


def _is_whole(stream: BinaryIO, inputs: str) -> bool:
    """Whether it was made from these inputs and can be read to its end."""
    try:
        with pq.ParquetFile(stream, page_checksum_verification=True) as file:
            made_from = (file.schema_arrow.metadata or {}).get(_INPUTS)
            if made_from != inputs.encode():
                return False
            read_through(file)
            return True
    except (OSError, pa.ArrowException):
        return False
