"""A table is rewritten by writing a new generation beside the old one and naming it in dataset.json.

All tables that a rewrite touches change in one atomic replace. The writer holds every lock of the dataset, so
whoever holds one knows that another generation than the named one is a leftover of a killed rewrite.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import about, atomic, faults
from manifests.tables import Table, is_generation, naming, open_part, write_part


def following(table: Table) -> Path:
    """Folder of the generation after this one."""
    return table.folder.with_name(str(int(table.folder.name) + 1))


def begin(table: Table) -> Path:
    """Make the folder of the next generation; the current one is there too, so that its loss would be seen."""
    atomic.make_folder(table.folder)
    new = following(table)
    atomic.make_folder(new)
    return new


def copy_without(table: Table, folder: Path, column: str, dropped: pa.Array) -> int:
    """Write a table into another folder without the rows whose `column` is among `dropped`; how many they are.

    Parts keep their numbers; one that loses no row becomes a link to the same file, where links can be made.
    """
    lost = 0
    for part in table.parts():
        with open_part(part) as file, naming(part):
            found = pc.is_in(file.read(columns=[column])[column], value_set=dropped)
            gone = int(pc.sum(found).as_py() or 0)
            lost += gone
            if gone == 0:
                _link(part.path, folder / part.path.name)
                continue
            with atomic.replacing(folder / part.path.name) as temporary:
                kept = _rows_without(file, column, dropped)
                write_part(temporary, file.schema_arrow, kept, fault="generation.inside")
    atomic.fsync(folder)
    return lost


def _link(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no links."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        with atomic.replacing(target) as temporary:
            shutil.copyfile(source, temporary)


def _rows_without(file: pq.ParquetFile, column: str, dropped: pa.Array) -> Iterator[pa.RecordBatch]:
    for group in range(file.num_row_groups):
        rows = file.read_row_group(group)
        yield from rows.filter(pc.invert(pc.is_in(rows[column], value_set=dropped))).to_batches()


def name(root: Path, new: Mapping[str, Path], facts: Mapping[str, Any] | None = None) -> None:
    """Make these generations (folders by table) the current ones, all at once; further facts change with them."""
    path = root / about.FILE
    known = about.read(root)
    numbers = {table: int(folder.name) for table, folder in new.items()}
    changed = {**known, **(facts or {}), "generations": {**known["generations"], **numbers}}
    with atomic.replacing(path) as temporary:
        temporary.write_text(json.dumps(changed, indent=2) + "\n")
        faults.point("generation.before_name")


def sweep(table: Table) -> None:
    """Remove every generation but this one; call under a lock. A current one that is gone is refused, not swept."""
    table.parts()
    place = table.folder.parent
    if not place.is_dir():
        return
    for other in sorted(place.iterdir()):
        if other != table.folder and is_generation(other):
            shutil.rmtree(_set_aside(other))
        elif other.name.startswith(atomic.TEMPORARY):
            shutil.rmtree(other)


def _set_aside(folder: Path) -> Path:
    """Give a folder another name, so that no reader meets half of it; where that fails it goes under its own."""
    aside = atomic.temporary_beside(folder)
    try:
        folder.rename(aside)
    except OSError:
        return folder
    return aside
