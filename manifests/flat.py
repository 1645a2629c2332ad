"""The flat manifest: one table that a person opens, and its cache beside the recipe."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import atomic
from manifests.tables import read_through

_INPUTS = b"lhq.inputs"
ROW_GROUP = 65_536


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
