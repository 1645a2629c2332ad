"""A take-down: photos leave every table, database, cache and the image store, and later crawls leave them out.

The tables change in one atomic replace; killed anywhere, the same command again ends as an unbroken one.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests import atomic, faults, generations, removal, schema, tombstones
from manifests.dataset import Dataset
from manifests.errors import MisuseError
from manifests.rows import latest
from manifests.tables import Table
from manifests.tombstones import ID, Tombstones
from pipelines import handed_on
from pipelines.every_lock import all_tables, any_table, every_lock, measurement_tables
from pipelines.frontier import databases
from pipelines.removal_request import Key, Request, resolve

Cuts = Mapping[str, tuple[Table, str, pa.Array]]  # by table: the column and its values that go


@dataclass(frozen=True)
class Findings:
    """What a take-down removes, or has removed."""

    photos: Sequence[Mapping[str, Any]]  # photo_id, title, author, page_url of each, as they stand
    rows: Mapping[str, int]  # by table or database, superseded ones included
    files: Mapping[str, str]  # sha256 -> path of images that go
    shared: Sequence[str]  # paths of images that stay, because other photos have the same bytes
    stones: Set[Key]  # tombstones to lay
    laid_before: int  # parts of the request that were removed before
    exports: Sequence[Mapping[str, Any]]  # see handed_on.holding


def preview(dataset: Dataset, request: Request) -> Findings:
    """What `run` would remove; MisuseError where the request cannot be read or fits nothing."""
    standing = Tombstones.load(dataset)
    exports = list(handed_on.noted(dataset.root))
    handed_on.check(exports, request.look_into)
    asked = resolve(dataset, request)
    laid = [one for one in asked if any(standing.holds(*key) for key in one.keys)]
    for one in asked:
        if not one.photo_ids and one not in laid:
            raise MisuseError(
                f"{one.typed} fits no photo of {dataset.root}, nor one removed before; nothing was changed "
                f"(lhq manifest {quote(str(dataset.root))} -o all.parquet writes every id, author and address)"
            )
    photo_ids = sorted(set[str]().union(*(one.photo_ids for one in asked)))
    keys = set[Key]().union(*(one.keys for one in asked)) | {(ID, photo_id) for photo_id in photo_ids}
    mine = pa.array(photo_ids, pa.string())
    files, shared = _files(dataset, mine)
    rows = {name: _count(*cut) for name, cut in _cuts(dataset, mine, files).items()}
    for path in databases(dataset.root):
        rows[path.name] = removal.rows_in(path, photo_ids, list(files))
    return Findings(
        photos=_photos(dataset, mine),
        rows={name: count for name, count in rows.items() if count},
        files=files,
        shared=shared,
        stones={key for key in keys if not standing.holds(*key)},
        laid_before=len(laid),
        exports=handed_on.holding(exports, set(photo_ids), request.look_into) if photo_ids else [],
    )


def run(dataset: Dataset, request: Request) -> Findings:
    """Remove what the request names, under every lock of the dataset."""
    with every_lock(dataset):
        removal.finish(dataset, databases(dataset.root))
        atomic.sweep_temporaries(dataset.root)
        dataset.store.sweep()
        findings = preview(dataset, request)
        if findings.stones:
            try:
                new = _rewrite(dataset, findings)
            except BaseException:
                _forsake(dataset)
                raise
            faults.point("remove.named")
            for table in new:
                generations.sweep(table)
            removal.finish(Dataset.open(dataset.root), databases(dataset.root))
    return findings


# What goes.


def _photos(dataset: Dataset, mine: pa.Array) -> list[dict[str, Any]]:
    rows = dataset.photos_table.read(["photo_id", "title", "author", "page_url"])
    rows = rows.filter(pc.is_in(rows["photo_id"], value_set=mine))
    return list(latest(rows, "photo_id").sort_by("photo_id").to_pylist())


def _files(dataset: Dataset, mine: pa.Array) -> tuple[dict[str, str], list[str]]:
    """Images of these photos: those that go (path by sha256), and the paths of those that other photos use."""
    rows = dataset.files_table.read(["photo_id", "sha256", "path"])
    rows = rows.filter(pc.is_valid(rows["sha256"]))
    own = pc.is_in(rows["photo_id"], value_set=mine)
    ours, others = rows.filter(own), rows.filter(pc.invert(own))
    paths = dict(zip(ours["sha256"].to_pylist(), ours["path"].to_pylist(), strict=True))
    used = others["sha256"].filter(pc.is_in(others["sha256"], value_set=pa.array(list(paths), pa.string())))
    shared = set(used.to_pylist())
    go = {sha256: path for sha256, path in sorted(paths.items()) if sha256 not in shared}
    return go, sorted(paths[sha256] for sha256 in shared)


def _cuts(dataset: Dataset, mine: pa.Array, files: Mapping[str, str]) -> Cuts:
    """What leaves which table: rows of these photos, and measurements of images that go."""
    gone = pa.array(list(files), pa.string())
    cuts = {name: (any_table(dataset, name), "photo_id", mine) for name in schema.CRAWL_TABLES}
    for name in measurement_tables(dataset):
        table = any_table(dataset, name)
        by_photo = "photo_id" in table.stored_columns()
        cuts[name] = (table, "photo_id", mine) if by_photo else (table, "sha256", gone)
    return cuts


def _count(table: Table, column: str, values: pa.Array) -> int:
    return int(pc.sum(pc.is_in(table.read([column])[column], value_set=values)).as_py() or 0)


def _rewrite(dataset: Dataset, findings: Findings) -> list[Table]:
    """Write the new generations, announce what goes beside them, and make them the current ones; these tables."""
    photo_ids = [str(photo["photo_id"]) for photo in findings.photos]
    salt = tombstones.salt(dataset.root) or secrets.token_bytes(16)
    new: dict[str, Path] = {}
    for name, (table, column, values) in _cuts(dataset, pa.array(photo_ids, pa.string()), findings.files).items():
        if findings.rows.get(name):
            new[name] = generations.begin(table)
            generations.copy_without(table, new[name], column, values)
    stones = dataset.tombstones_table
    new["tombstones"] = generations.begin(stones)
    generations.copy_without(stones, new["tombstones"], "hash", pa.array([], pa.string()))
    now = datetime.now(UTC)
    laid = [
        {"kind": kind, "removed_at": now, "hash": tombstones.hash_of(salt, kind, key)}
        for kind, key in sorted(findings.stones)
    ]
    Table(new["tombstones"], schema.TOMBSTONES).append(pa.Table.from_pylist(laid, schema=schema.TOMBSTONES))
    numbers = {name: int(folder.name) for name, folder in new.items()}
    doomed = removal.Doomed(numbers, photo_ids, findings.files)
    removal.announce(dataset, doomed)
    generations.name(dataset.root, new, {"salt": salt.hex()})
    return [Table(folder, pa.schema([])) for folder in new.values()]


def _forsake(dataset: Dataset) -> None:
    """After an error: the room that new generations take is given back, unless dataset.json names them already."""
    with contextlib.suppress(OSError):
        if Dataset.open(dataset.root).generations != dataset.generations:
            return  # the next locked start completes it
        for table in all_tables(dataset).values():
            generations.sweep(table)
        removal.finish(dataset, databases(dataset.root))
