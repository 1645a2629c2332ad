"""One export, in any format: claims the folder, makes what is missing, packs it, puts rights and sums beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import atomic, faults, schema
from manifests.dataset import Dataset
from manifests.errors import MisuseError, SetupError
from manifests.recipes import Recipe
from manifests.tables import sorted_by
from pipelines.engine.pool import Batch, Pool
from pipelines.engine.progress import Progress
from pipelines.export import FORMATS, rights
from pipelines.export.format import Format, Member
from pipelines.export.worker import ExportWorker, Item
from pipelines.funnel import Funnel, walk

BATCH = 64  # photos, or what a worker makes in worker.SECONDS
STATE = "export.json"  # in OUT: what this export is; written first
SUMS = "SHA256SUMS"  # written last: with it the export is whole
LOCK = "exports"
ROW = [*(name for name in rights.COLUMNS if name in schema.PHOTOS.names), "path", "file_width", "file_height"]


@dataclass(frozen=True)
class Wanted:
    """What to make of a subset."""

    format: str  # one of FORMATS
    resolution: int  # side of every picture, in pixels
    crops: int = 1  # pictures per photo


@dataclass(frozen=True)
class Exported:
    """What an export did."""

    out: Path
    photos: int  # in the export now
    pictures: int  # in the export now: every crop of these photos
    made: int  # pictures, in this run
    enlarged: int  # photos, of all, that are smaller than the resolution
    errors: Mapping[str, str]  # photo_id -> why it could not be decoded
    subset_hash: str


def run(dataset: Dataset, recipe: Recipe, out: Path, wanted: Wanted, pool: Pool, toolkit: str) -> Exported:
    """Export the subset of `recipe`; the same command again goes on, or ends at once when all is there."""
    if out.resolve().is_relative_to(dataset.root.resolve()):
        raise MisuseError(f"{out} lies inside the dataset {dataset.root}: export into a folder of its own")
    funnel = walk(dataset, recipe, ROW)
    form = FORMATS[wanted.format]
    members = _members(funnel, form, wanted.crops)
    if not members:
        raise SetupError(f"subset {recipe.name!r} is empty: nothing to export; see: lhq status {dataset.root}")
    facts = {
        "dataset": json.loads((dataset.root / "dataset.json").read_text())["name"],
        "subset": recipe.name,
        "subset_hash": funnel.subset_hash(),
        "format": wanted.format,
        "resolution": wanted.resolution,
        "crops": wanted.crops,
        "toolkit": toolkit,
    }
    _refuse_missing(dataset, members)
    with dataset.lock(f"export-{hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]}"):
        _prepare(out, facts)
        made, errors = _make(dataset, members, form, out, wanted.resolution, pool)
        kept = [member for member in members if member.row["photo_id"] not in errors]
        form.pack(out, kept)
        enlarged = sum(min(one.row["file_width"], one.row["file_height"]) < wanted.resolution for one in kept)
        beside = {
            "ATTRIBUTION.csv": rights.attribution_csv(kept),
            "README.md": rights.card(facts, form.WHERE, kept, enlarged, left_out=len(errors)),
        }
        _write_beside(out, beside, form.holders(kept))
    counts = {"photos": len(kept), "pictures": len(kept) * wanted.crops}
    _note(dataset, {**facts, "out": str(out.resolve()), **counts})
    return Exported(out, **counts, made=made, enlarged=enlarged, errors=errors, subset_hash=funnel.subset_hash())


def _refuse_missing(dataset: Dataset, members: Sequence[Member]) -> None:
    missing = [one.row["path"] for one in members if not (dataset.root / one.row["path"]).is_file()]
    if missing:
        raise SetupError(
            f"{len(missing):,} of {len(members):,} files of the subset are missing from {dataset.root} (first: "
            f"{missing[0]}): restore them from a backup; nothing was exported"
        )


def _members(funnel: Funnel, form: Format, crops: int) -> list[Member]:
    """Photos of the subset sorted by id, each with the names its pictures get: one photo's follow each other."""
    rows = sorted_by(funnel.photos.select(ROW).filter(pa.array(funnel.members)), "photo_id").to_pylist()
    return [
        Member(row, tuple(form.file(number) for number in range(at * crops, (at + 1) * crops)))
        for at, row in enumerate(rows)
    ]


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
    dataset: Dataset, members: Sequence[Member], form: Format, out: Path, resolution: int, pool: Pool
) -> tuple[int, dict[str, str]]:
    """Make the pictures that are neither placed nor packed: how many, and which photos could not be decoded."""
    workplace = form.workplace(out).resolve()
    items = _missing(members, form.packed(out) | _placed(workplace, members))
    if items:
        (out / SUMS).unlink(missing_ok=True)  # of an export that lost pictures: not whole until they are back
        atomic.fsync(out)
        for folder in sorted({file.rpartition("/")[0] for item in items for _, file in item.files}):
            atomic.make_folder(workplace / folder)
    atomic.sweep_temporaries(out)
    errors: dict[str, str] = {}
    made = 0
    with Progress("export", len(items)) as progress:

        def commit(batch: Batch) -> None:
            nonlocal made
            faults.point("export.placed")
            for row in batch.rows.to_pylist():
                made += row["made"]
                if row["error"] is not None:
                    errors[row["photo_id"]] = row["error"]
            progress.advance(batch.done)

        pool.run(ExportWorker(dataset.root, workplace, resolution), items, BATCH, commit)
    for member in members:
        if member.row["photo_id"] in errors:  # what was made of it before it was damaged has no rights beside it
            for file in member.files:
                (workplace / file).unlink(missing_ok=True)
    return made, errors


def _placed(workplace: Path, members: Sequence[Member]) -> set[str]:
    """Names of the pictures in the workplace, after sweeping what is half written there."""
    names: set[str] = set()
    for folder in {file.rpartition("/")[0] for member in members for file in member.files}:
        if (workplace / folder).is_dir():
            atomic.sweep_temporaries(workplace / folder)
            names.update(f"{folder}/{path.name}" for path in (workplace / folder).iterdir())
    return names


def _missing(members: Sequence[Member], there: set[str]) -> list[Item]:
    """Photos that lack pictures, each with those that it lacks."""
    items = []
    for member in members:
        files = tuple((crop, file) for crop, file in enumerate(member.files) if file not in there)
        if files:
            items.append(Item(member.row["photo_id"], member.row["path"], files))
    return items


def _write_beside(out: Path, beside: Mapping[str, bytes], holders: Sequence[str]) -> None:
    """Attribution, card and sums; the sums come last, so their presence says that the export is whole.

    Sums of pictures that stand already are not taken anew: damage done since is not to be made valid.
    """
    known = _known_sums(out)
    for name, data in beside.items():
        atomic.write_bytes(out / name, data)
    sums = {name: _sha256(out / name) for name in (*beside, STATE)}
    sums.update((name, known.get(name) or _sha256(out / name)) for name in holders)
    atomic.write_bytes(out / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


def _known_sums(out: Path) -> dict[str, str]:
    path = out / SUMS
    pairs = [line.partition("  ") for line in path.read_text().splitlines()] if path.is_file() else []
    return {name: digest for digest, _, name in pairs}


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
