"""A dataset is a folder: this opens one, hands out its tables, locks and store, and gives the current view."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from manifests import about, atomic, generations, schema
from manifests.errors import MisuseError, SetupError
from manifests.locks import Lock, locked
from manifests.rows import latest_at, take
from manifests.store import ImageStore
from manifests.tables import Table

CRAWL_LOCK = "crawl"
RECIPES_LOCK = "recipes"
SHORT_LOCK_SECONDS = 30.0  # to wait for a lock that is held for milliseconds
OF_FILES = {  # columns of `files` beside a photo's own: what each is called there
    **{name: name for name in ("sha256", "path")},
    **{f"file_{name}": name for name in ("status", "bytes", "format", "width", "height", "error")},
}


def stage_lock(stage: str) -> str:
    """Name of the lock that guards a stage's measurements and fits."""
    return f"stage-{stage}"


@dataclass(frozen=True)
class Dataset:
    """An existing dataset folder. Reading needs no lock and never waits."""

    root: Path
    generations: Mapping[str, int]  # current generation of each table; 1 where it names none, as of a new stage's

    @staticmethod
    def open(root: Path) -> Dataset:
        """Open an existing dataset; SetupError where there is none, it is damaged, or a newer toolkit made it."""
        return Dataset(root, about.read(root)["generations"])

    @staticmethod
    def open_or_create(root: Path, toolkit: str) -> Dataset:
        """Open the dataset, or make an empty one in a new or empty folder."""
        if not (root / about.FILE).exists():
            if root.exists() and not root.is_dir():
                raise MisuseError(f"{root} is a file; a dataset is a folder")
            if root.is_dir() and not all(_may_stand_in_a_new_dataset(path) for path in root.iterdir()):
                raise MisuseError(f"{root} holds other files and no {about.FILE}; choose a new or empty folder")
            atomic.make_folder(root)
            facts = {
                "format": schema.FORMAT,
                "name": root.resolve().name,
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "toolkit": toolkit,
                "salt": secrets.token_hex(16),  # of the tombstones' hashes
                "generations": dict.fromkeys(schema.CRAWL_TABLES, 1),
            }
            atomic.write_bytes(root / about.FILE, (json.dumps(facts, indent=2) + "\n").encode())
        return Dataset.open(root)

    @property
    def store(self) -> ImageStore:
        return ImageStore(self.root)

    def table(self, name: str, columns: pa.Schema) -> Table:
        """The current generation of a table."""
        return Table(self.root / "tables" / name / str(self.generations.get(name, 1)), columns)

    @property
    def sightings_table(self) -> Table:
        return self.table("sightings", schema.SIGHTINGS)

    @property
    def photos_table(self) -> Table:
        return self.table("photos", schema.PHOTOS)

    @property
    def files_table(self) -> Table:
        return self.table("files", schema.FILES)

    @property
    def tombstones_table(self) -> Table:
        return self.table("tombstones", schema.TOMBSTONES)

    def stated_tables(self) -> list[Table]:
        """What the crawl's lock guards: its tables and the tombstones."""
        return [self.table(name, columns) for name, columns in schema.STATED.items()]

    def measurements_table(self, stage: str, columns: Mapping[str, pa.DataType]) -> Table:
        """What an image stage measured, keyed by sha256 and fingerprint."""
        return self.table(schema.measurement_table(stage), schema.measurement_schema(columns))

    def fits_folder(self, stage: str) -> Path:
        """Where what a stage learned from the set lies, one folder per fingerprint."""
        return self.root / "fits" / stage

    @contextlib.contextmanager
    def lock(self, name: str, tables: Sequence[Table] = (), *, wait_seconds: float = 0.0) -> Iterator[Lock]:
        """Hold a lock; what interrupted writes and merges left in the tables it guards is swept first and last.

        Swept last so that at rest a plain reader of all `part-*.parquet` meets every row once.
        """
        with locked(self.root, name, wait_seconds=wait_seconds) as held:
            if Dataset.open(self.root).generations != self.generations:
                raise SetupError(f"{self.root} was rewritten by a take-down meanwhile: run the same command again")
            for table in tables:
                generations.sweep(table)
                table.sweep()
            yield held
            held.check()
            for table in tables:
                table.sweep()

    # The current view.

    def photos(self) -> pa.Table:
        """One row per photo: the columns of `photos` and `queries`, all that found it, sorted."""
        return self.with_queries(self.photos_table.current("photo_id"))

    def with_queries(self, rows: pa.Table) -> pa.Table:
        """`rows` with the column `queries` added for their `photo_id`; null where no sighting is known."""
        found = self.sightings_table.read(["photo_id", "query"])
        found = found.group_by(["photo_id", "query"], use_threads=False).aggregate([]).sort_by("query")
        queries = found.group_by("photo_id", use_threads=False).aggregate([("query", "list")])
        return _left_join(rows, queries.rename_columns({"query_list": "queries"}), "photo_id")

    def files(self) -> pa.Table:
        """One row per photo that was tried: its latest file row."""
        return self.files_table.current("photo_id")

    def photos_with_files(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The columns of `photos` beside `file_status`, `sha256`, `path`, `file_{bytes,format,width,height,error}`.

        With `columns` only these of them, and `photo_id`; what is not asked for is not read.
        """
        if columns is not None and (unknown := sorted({*columns} - {*OF_FILES} - {*schema.PHOTOS.names})):
            raise KeyError(f"no column {unknown[0]!r} of photos and their files")
        mine = [name for name in schema.PHOTOS.names if columns is None or name in {"photo_id", *columns}]
        theirs = {name: stored for name, stored in OF_FILES.items() if columns is None or name in columns}
        photos = self.photos_table.current("photo_id", mine)
        if not theirs:
            return photos
        files = self.files_table.read(["photo_id", *theirs.values()]).rename_columns(["photo_id", *theirs])
        return _left_join(photos, files, "photo_id")


def _may_stand_in_a_new_dataset(path: Path) -> bool:
    """The locks, and what a creation that was interrupted left."""
    return path.name == "locks" or (path.name.startswith(atomic.TEMPORARY) and path.name.endswith(f"-{about.FILE}"))


def _left_join(left: pa.Table, right: pa.Table, key: str) -> pa.Table:
    """`left` in its order with the columns of the last row of its key in `right`; null where it has none.

    Arrow's own join does not carry list columns, so the rows are looked up and taken.
    """
    found = take(right.drop_columns([key]), latest_at(left[key], right[key]))
    for field, column in zip(found.schema, found.columns, strict=True):
        left = left.append_column(field.with_nullable(True), column)
    return left
