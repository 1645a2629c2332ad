"""All locks of a dataset at once: nobody else writes anything."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pyarrow as pa

from manifests import schema
from manifests.dataset import CRAWL_LOCK, RECIPES_LOCK, SHORT_LOCK_SECONDS, Dataset, stage_lock
from manifests.locks import Lock
from manifests.tables import Table
from pipelines.export.run import LOCK as EXPORTS_LOCK
from pipelines.filters import STAGES

SHORT_LOCKS = {RECIPES_LOCK, EXPORTS_LOCK}

MEASUREMENTS = schema.measurement_table("")  # what the names of such tables begin with


@contextlib.contextmanager
def every_lock(dataset: Dataset, *, sweeping: bool = True) -> Iterator[list[Lock]]:
    """All locks there are, also those of exports under way; LockedError where somebody holds one.

    `sweeping`: what killed writers left in the tables is removed.
    """
    stages = {*STAGES.names(), *(name.removeprefix(MEASUREMENTS) for name in measurement_tables(dataset))}
    guarded: dict[str, list[Table]] = {
        stage_lock(stage): [any_table(dataset, MEASUREMENTS + stage)] for stage in stages
    }
    guarded |= {CRAWL_LOCK: dataset.stated_tables(), RECIPES_LOCK: [], EXPORTS_LOCK: []}
    for path in (dataset.root / "locks").glob("*.lock"):
        guarded.setdefault(path.stem, [])
    with contextlib.ExitStack() as held:
        locks = []
        for name in sorted(guarded):
            wait = SHORT_LOCK_SECONDS if name in SHORT_LOCKS else 0.0
            tables = guarded[name] if sweeping else []
            locks.append(held.enter_context(dataset.lock(name, tables, wait_seconds=wait)))
        yield locks


def measurement_tables(dataset: Dataset) -> list[str]:
    """Names of the tables with measurements, those of unknown stages too."""
    return sorted(path.name for path in (dataset.root / "tables").glob(f"{MEASUREMENTS}*"))


def all_tables(dataset: Dataset) -> dict[str, Table]:
    """Every table there is, by name; see `any_table`."""
    return {name: any_table(dataset, name) for name in (*schema.STATED, *measurement_tables(dataset))}


def any_table(dataset: Dataset, name: str) -> Table:
    """A table with no columns stated: those of its parts, also where this toolkit does not know the stage."""
    return dataset.table(name, pa.schema([("photo_id", pa.string()), ("sha256", pa.string())]))
