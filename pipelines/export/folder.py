"""`lhq export --format folder`: one PNG per photo of a subset, resumable, never over somebody else's files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import atomic, faults
from manifests.dataset import Dataset
from manifests.errors import InputError, MisuseError, SetupError
from manifests.recipes import Recipe
from pipelines.engine.measure import read_image
from pipelines.engine.pool import Batch, Pool, for_a_while
from pipelines.engine.progress import Progress
from pipelines.engine.share import Share
from pipelines.export import picture, rights
from pipelines.funnel import Funnel, walk

BATCH = 64  # pictures, or
SECONDS = 1.0  # what a worker makes in this time
STATE = "export.json"  # in OUT: what this export is; written first
SUMS = "SHA256SUMS"  # written last: with it the export is whole
LOCK = "exports"

_DONE = pa.schema([("photo_id", pa.string()), ("error", pa.string())])

ExportItem = tuple[str, str, str]  # photo_id, path in the dataset, file in the export


@dataclass(frozen=True)
class Exported:
    """What an export did."""

    out: Path
    pictures: int  # in the export now
    made: int  # in this run
    enlarged: int  # of all, from photos smaller than the resolution
    errors: Mapping[str, str]  # photo_id -> why it could not be decoded
    subset_hash: str


def run(dataset: Dataset, recipe: Recipe, out: Path, resolution: int, pool: Pool, toolkit: str) -> Exported:
    """Export the subset of `recipe`; the same command again goes on, or ends at once when all is there."""
    if out.resolve().is_relative_to(dataset.root.resolve()):
        raise MisuseError(f"{out} lies inside the dataset {dataset.root}: export into a folder of its own")
    funnel = walk(dataset, recipe)
    members = _members(funnel)
    if not members:
        raise SetupError(f"subset {recipe.name!r} is empty: nothing to export; see: lhq status {dataset.root}")
    facts = {
        "dataset": json.loads((dataset.root / "dataset.json").read_text())["name"],
        "subset": recipe.name,
        "subset_hash": funnel.subset_hash(),
        "format": "folder",
        "resolution": resolution,
        "toolkit": toolkit,
    }
    _refuse_missing(dataset, members)
    with dataset.lock(f"export-{hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]}"):
        _prepare(out, facts)
        made, errors = _make(dataset, members, out, resolution, pool)
        kept = [row for row in members if row["photo_id"] not in errors]
        enlarged = sum(min(row["file_width"], row["file_height"]) < resolution for row in kept)
        _write_beside(out, facts, kept, enlarged, left_out=len(errors))
    _note(dataset, {**facts, "out": str(out.resolve()), "pictures": len(kept)})
    return Exported(out, len(kept), made, enlarged, errors, str(facts["subset_hash"]))


def _refuse_missing(dataset: Dataset, members: Sequence[Mapping[str, Any]]) -> None:
    missing = [row["path"] for row in members if not (dataset.root / row["path"]).is_file()]
    if missing:
        raise SetupError(
            f"{len(missing):,} of {len(members):,} files of the subset are missing from {dataset.root} (first: "
            f"{missing[0]}): restore them from a backup; nothing was exported"
        )


def _members(funnel: Funnel) -> list[dict[str, Any]]:
    """Photos of the subset sorted by id, each with the file name it gets."""
    columns = [
        name for name in (*rights.COLUMNS, "path", "file_width", "file_height") if name in funnel.photos.column_names
    ]
    rows = funnel.photos.select(columns).filter(pa.array(funnel.members)).sort_by("photo_id").to_pylist()
    return [{**row, "file": f"images/{at:07d}.png"} for at, row in enumerate(rows)]


def _prepare(out: Path, facts: Mapping[str, Any]) -> None:
    """Claim the folder for this export, or go on with it; refuse a folder that holds anything else."""
    state = out / STATE
    if state.is_file():
        if state.read_bytes() != _text(facts):
            raise SetupError(f"{out} holds another export ({state} says which); choose a new folder or remove that one")
        return
    if out.exists() and not (out.is_dir() and all(_is_ours(path) for path in out.iterdir())):
        raise SetupError(f"{out} is not empty; an export goes into a new or empty folder")
    atomic.make_folder(out)
    atomic.write_bytes(state, _text(facts))


def _text(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=2) + "\n").encode()


def _is_ours(path: Path) -> bool:
    """What an export that was killed while it claimed the folder left."""
    return path.name.startswith(atomic.TEMPORARY) and path.name.endswith(f"-{STATE}")


def _make(
    dataset: Dataset, members: Sequence[Mapping[str, Any]], out: Path, resolution: int, pool: Pool
) -> tuple[int, dict[str, str]]:
    atomic.make_folder(out / "images")
    for folder in (out, out / "images"):
        atomic.sweep_temporaries(folder)
    items: list[ExportItem] = [
        (row["photo_id"], row["path"], row["file"]) for row in members if not (out / row["file"]).exists()
    ]
    if items:
        (out / SUMS).unlink(missing_ok=True)  # of an export that lost pictures: not whole until they are back
    errors: dict[str, str] = {}
    with Progress("export", len(items)) as progress:

        def commit(batch: Batch) -> None:
            faults.point("export.placed")
            for row in batch.rows.to_pylist():
                if row["error"] is not None:
                    errors[row["photo_id"]] = row["error"]
            progress.advance(batch.done)

        pool.run(ExportWorker(dataset.root, out.resolve(), resolution), items, BATCH, commit)
    return len(items) - len(errors), errors


@dataclass(frozen=True)
class ExportWorker:
    """Decodes, crops, resizes and writes pictures; each appears whole or not at all."""

    root: Path
    out: Path
    resolution: int

    def setup(self, share: Share) -> None:
        pass

    def run(self, items: Sequence[ExportItem]) -> Batch:
        rows = [self._one(*item) for item in for_a_while(items, SECONDS)]
        atomic.fsync(self.out / "images")
        return Batch(pa.Table.from_pylist(rows, schema=_DONE), len(rows))

    def _one(self, photo_id: str, path: str, file: str) -> dict[str, Any]:
        try:
            image = read_image(self.root, path, None)
        except InputError as error:
            return {"photo_id": photo_id, "error": str(error)}
        final = self.out / file
        temporary = atomic.temporary_beside(final)
        data = picture.png(picture.square(image, self.resolution))
        temporary.write_bytes(data)
        atomic.fsync(temporary)
        temporary.replace(final)
        return {"photo_id": photo_id, "error": None}


def _write_beside(
    out: Path, facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], enlarged: int, left_out: int
) -> None:
    """Attribution, card and sums; the sums come last, so their presence says that the export is whole."""
    atomic.write_bytes(out / "ATTRIBUTION.csv", rights.attribution_csv(rows))
    atomic.write_bytes(out / "README.md", rights.card(facts, rows, enlarged, left_out))
    names = sorted(["ATTRIBUTION.csv", "README.md", STATE, *(row["file"] for row in rows)])
    sums = "".join(f"{_sha256(out / name)}  {name}\n" for name in names)
    atomic.write_bytes(out / SUMS, sums.encode())


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _note(dataset: Dataset, facts: Mapping[str, Any]) -> None:
    """Add a line to the dataset's exports.jsonl, unless it says the same already."""
    path = dataset.root / "exports.jsonl"
    same = json.dumps(facts)
    with dataset.lock(LOCK, wait_seconds=30.0):
        before = path.read_text() if path.exists() else ""
        if not any(line.endswith(same[1:]) for line in before.splitlines()):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            atomic.write_bytes(path, f'{before}{{"at": "{now}", {same[1:]}\n'.encode())
