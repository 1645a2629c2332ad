"""`lhq export --format parquet`: OUT/train-*.parquet, each row a picture with its facts, as Hugging Face reads them.

The column `image` is what `datasets` calls an Image feature: a struct of the encoded bytes and the file's name. The
schema's metadata say so, and any other reader of Parquet finds plain columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import SetupError
from pipelines.export import rights
from pipelines.export.format import Part
from pipelines.export.shards import Example, Sharded

ROW_GROUP = 100  # pictures: what a reader that wants one of them reads

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_KINDS = {"crop": (pa.int32(), "int32")}
_FEATURES = {
    "image": {"_type": "Image"},
    **{name: {"dtype": _KINDS.get(name, (None, "string"))[1], "_type": "Value"} for name in rights.FACTS},
}
SCHEMA = pa.schema(
    [("image", _IMAGE), *((name, _KINDS.get(name, (pa.string(), ""))[0]) for name in rights.FACTS)],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


@dataclass(frozen=True)
class HuggingFace(Sharded):
    """Files are named as `datasets` names them."""

    @property
    def where(self) -> str:
        return "`train-*.parquet` (Hugging Face)"

    def name(self, part: Part, number: int, count: int) -> str:
        return f"{part}-{number:05d}-of-{count:05d}.parquet"

    def names(self, path: Path) -> set[str]:
        return set(_read(path, ["image.path"])["image"].combine_chunks().field("path").to_pylist())

    def read(self, path: Path) -> dict[str, bytes]:
        rows = _read(path, ["image"])["image"].to_pylist()
        return {row["path"]: row["bytes"] for row in rows}

    def write(self, path: Path, examples: Sequence[Example], pictures: Mapping[str, bytes]) -> None:
        with pq.ParquetWriter(
            path,
            SCHEMA,
            compression={**dict.fromkeys(rights.FACTS, "zstd"), "image.bytes": "none", "image.path": "zstd"},
            use_dictionary=["license", "license_url"],
            write_statistics=list(rights.FACTS),
        ) as writer:
            for start in range(0, len(examples), ROW_GROUP):
                some = examples[start : start + ROW_GROUP]
                rows = [{"image": {"bytes": pictures[one.file], "path": one.file}, **one.facts} for one in some]
                writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), row_group_size=ROW_GROUP)


def _read(path: Path, columns: list[str]) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(SCHEMA):
                raise ValueError("its columns are others")
            return file.read(columns=columns)
    except (pa.ArrowException, OSError, ValueError) as error:  # of Arrow, an OSError has no number
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = str(error).partition("\n")[0]
        raise SetupError(f"{path} is damaged ({said}): remove it and run the same command again") from error
