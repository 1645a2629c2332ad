"""`lhq verify --repair`: mends what can be mended without a loss, under every lock of the dataset."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests import atomic, removal, schema
from manifests.dataset import Dataset
from manifests.records import File
from pipelines import frontier
from pipelines.discovery import rows_of
from pipelines.every_lock import every_lock
from pipelines.findings import SAFE, Finding, Kind, Verified
from pipelines.verify import leftovers, strays, verify

ASIDE = "damaged"  # folder of the dataset for files whose bytes are not those of their name


def repair(dataset: Dataset) -> Verified:
    """Verify, mend what is safe, and verify again: what is found then is left, the rest was repaired.

    A damaged file is put aside, never deleted; its photos, and those of a missing file, get a file row that says so and
    are fetched again by the next crawl. Leftovers, strays and damaged caches are removed.
    """
    before = verify(dataset)
    todo = [one for one in before.findings if one.kind in SAFE]
    if not todo:
        return before
    with every_lock(dataset) as locks:
        removal.finish(dataset, frontier.databases(dataset.root))
        dataset = Dataset.open(dataset.root)
        for lock in locks:
            lock.check()
        _mend_files(dataset, [one for one in todo if one.kind in (Kind.MISSING, Kind.DAMAGED)])
        _remove(dataset, {one.where for one in leftovers(dataset)})
        if any(one.kind is Kind.STRAY for one in todo):
            _remove(dataset, {one.where for one in strays(dataset)})
        for one in todo:
            if one.kind is Kind.CACHE:
                _remove_cache(dataset, one)
    after = verify(Dataset.open(dataset.root))
    after.repaired = [one for one in before.findings if one not in after.findings]
    return after


def _mend_files(dataset: Dataset, wrong: Sequence[Finding]) -> None:
    """Damaged files out of the way, then file rows that say what was wrong: a kill between is found again.

    The other way round a crawl would take the damaged file, if it has the right size, for the one it fetches anew.
    """
    for one in wrong:
        if one.kind is Kind.DAMAGED:
            path = dataset.root / one.where
            atomic.make_folder(dataset.root / ASIDE)
            with contextlib.suppress(FileNotFoundError):
                path.replace(dataset.root / ASIDE / path.name)
                atomic.fsync(path.parent)
                atomic.fsync(dataset.root / ASIDE)
    said = {one.where: one.kind for one in wrong}
    for place in said:
        if (dataset.root / ASIDE / Path(place).name).exists():  # by a repair that was killed, then
            said[place] = Kind.DAMAGED
    rows = dataset.files()
    rows = rows.filter(pc.is_in(rows["path"], value_set=pa.array(list(said), pa.string())))
    now = datetime.now(UTC)
    new = [
        File(row["photo_id"], now, schema.FAILED, error=f"lhq verify: its {said[row['path']]}")
        for row in rows.select(["photo_id", "path"]).to_pylist()
    ]
    dataset.files_table.append(rows_of(new, schema.FILES))


def _remove(dataset: Dataset, places: set[str]) -> None:
    for place in sorted(places):
        path = dataset.root / place
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            atomic.fsync(path.parent)


def _remove_cache(dataset: Dataset, finding: Finding) -> None:
    crawl = frontier.path_of(dataset.root)
    if finding.where == crawl.name:
        frontier.put_aside(crawl)
    else:
        (dataset.root / finding.where).unlink(missing_ok=True)
