"""`lhq manifest`: the whole dataset as one flat table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit.commands.options import DatasetPath, Json, Subset
from manifests.counts import plural


def manifest(
    dataset: DatasetPath,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.parquet", help="Where to write it.")],
    subset: Subset = "curated",
    json_: Json = False,
) -> int:
    """Write one Parquet table: every photo, its queries, rights and file, each stage's value, keep and reason."""
    from manifests.dataset import Dataset
    from manifests.errors import MisuseError
    from pipelines import manifest as pipeline
    from pipelines.filter import existing

    if output.suffix != ".parquet":
        raise MisuseError(f"-o {output}: the manifest is a Parquet file; give a name that ends in .parquet")
    if not output.parent.is_dir():
        raise MisuseError(f"-o {output}: there is no folder {output.parent}")
    if output.resolve().is_relative_to(dataset.resolve()):
        raise MisuseError(f"-o {output} lies inside the dataset {dataset}: write the manifest beside it")
    opened = Dataset.open(dataset)
    made = pipeline.write(opened, existing(opened, subset), output)
    if json_:
        print(json.dumps({"file": str(output), **dataclasses.asdict(made)}))
    else:
        print(
            f"{output}: {plural(made.photos, 'photo')}, {made.kept:,} of them in {subset!r}, "
            f"{plural(len(made.columns), 'column')}"
        )
    return 0
