"""`lhq export`: the photos of a subset, what their terms allow, and where the export goes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any

import pyarrow as pa

from manifests import about, atomic, faults
from manifests.counts import plural
from manifests.dataset import SHORT_LOCK_SECONDS, Dataset
from manifests.errors import MisuseError, SetupError
from manifests.licenses import UNKNOWN
from manifests.recipes import Recipe
from manifests.rows import sorted_by
from pipelines.engine.pool import Pool
from pipelines.engine.progress import Progress
from pipelines.export import rights
from pipelines.export.build import STATE, SUMS, Built, Job, build, enlarged, refuse_other
from pipelines.export.format import PARTS, Format, Member
from pipelines.export.place import Remote, is_url, send
from pipelines.export.wanted import Wanted
from pipelines.funnel import Funnel, walk

LOCK = "exports"
STAGING = "exports"  # folder of the dataset in which an export for a URL is made
SHOWN = 10  # photos of a list
ROW = [*rights.READ, "sha256", "path", "file_width", "file_height"]


@dataclass(frozen=True)
class Exported:
    """What an export did."""

    out: str
    photos: int  # in the export now
    pictures: int  # in the export now: every crop of these photos
    made: int  # pictures, in this run
    enlarged: int  # photos, of all, that are smaller than the resolution
    unknown_licence: int  # photos, of all
    errors: Mapping[str, str]  # photo_id -> why it could not be decoded
    subset_hash: str


def run(dataset: Dataset, recipe: Recipe, out: str, wanted: Wanted, pool: Pool, toolkit: str) -> Exported:
    """Export the subset of `recipe`; the same command again goes on, or ends at once when all is there.

    `out`: a folder, or a URL that fsspec knows.
    """
    remote = Remote.open(out) if is_url(out) else None
    place = remote.url if remote else str(Path(out).resolve())
    if remote is None and Path(out).resolve().is_relative_to(dataset.root.resolve()):
        raise MisuseError(f"{out} lies inside the dataset {dataset.root}: export into a folder of its own")
    funnel = walk(dataset, recipe, ROW)
    form = wanted.form()
    members = _members(funnel, form, wanted)
    if not members:
        raise SetupError(
            f"subset {recipe.name!r} is empty: nothing to export; see: lhq status {quote(str(dataset.root))}"
        )
    _refuse_terms(members, wanted)
    _refuse_empty_part(members, wanted)
    _refuse_missing(dataset, members)
    facts = {
        "dataset": about.read(dataset.root)["name"],
        "subset": recipe.name,
        "subset_hash": funnel.subset_hash(),
        "toolkit": toolkit,
        **wanted.facts(),
    }
    job = Job(dataset.root, members, form, wanted.making(), facts)
    key = hashlib.sha256(place.encode()).hexdigest()[:16]
    with dataset.lock(f"export-{key}"):
        if remote:
            built = _build_remote(job, remote, dataset.root / STAGING / key, pool)
        else:
            built = build(job, Path(out), pool)
    counts = {"photos": len(built.kept), "pictures": len(built.kept) * wanted.crops}
    _note(dataset, {**facts, "out": place, **counts})
    return Exported(
        out=out,
        **counts,
        made=built.made,
        enlarged=enlarged(built.kept, wanted.resolution),
        unknown_licence=sum(one.row["license"] == UNKNOWN.spdx for one in built.kept),
        errors=built.errors,
        subset_hash=facts["subset_hash"],
    )


def _members(funnel: Funnel, form: Format, wanted: Wanted) -> list[Member]:
    """Photos of the subset, each with the names its pictures get: by part, then by id; one photo's follow each other.

    Numbers go on from part to part, so that no two pictures of an export have one name.
    """
    rows = sorted_by(funnel.photos.select(["photo_id", *ROW]).filter(pa.array(funnel.members)), "photo_id").to_pylist()
    parts = {part: [row for row in rows if wanted.part(row["sha256"]) == part] for part in PARTS}
    members: list[Member] = []
    for part, mine in parts.items():
        for row in mine:
            start = len(members) * wanted.crops
            files = tuple(form.file(number, part) for number in range(start, start + wanted.crops))
            members.append(Member(row, files, part))
    return members


# What is refused before anything is made.


def _refuse_terms(members: Sequence[Member], wanted: Wanted) -> None:
    refused = rights.refused(members, wanted.own_use, wanted.require_licence)
    if not refused:
        return
    lists = [f"{plural(len(ids), 'photo')} {reason}: {_some(ids)}" for reason, ids in refused.items()]
    ways = ["reject them in a review, or take them out with lhq remove"]
    if set(refused) - {rights.NO_LICENCE}:
        ways.append("say --own-use if the export stays with you")
    raise SetupError(f"the terms of some photos forbid this export: {'; '.join(lists)}. To go on, {'; or '.join(ways)}")


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return ", ".join(ids[:SHOWN]) + more


def _refuse_empty_part(members: Sequence[Member], wanted: Wanted) -> None:
    if wanted.validation and len({member.part for member in members}) < 2:
        raise MisuseError(
            f"--validation {wanted.validation:g} puts all {plural(len(members), 'photo')} on one side: choose another "
            "share or another --seed"
        )


def _refuse_missing(dataset: Dataset, members: Sequence[Member]) -> None:
    """SetupError where a photo's file is gone, or its row does not say how large it is."""
    for one in members:
        if min(one.row["file_width"] or 0, one.row["file_height"] or 0) <= 0:
            raise SetupError(
                f"the row of {one.row['photo_id']} in {dataset.root} does not tell how large its file is: restore the "
                "table from a backup; nothing was exported"
            )
    missing = [one.row["path"] for one in members if not (dataset.root / one.row["path"]).is_file()]
    if missing:
        raise SetupError(
            f"{len(missing):,} of {len(members):,} files of the subset are missing from {dataset.root} (first: "
            f"{missing[0]}): restore them from a backup; nothing was exported"
        )


# An export for a URL is made in the dataset, sent file by file, and its folder removed.


def _build_remote(job: Job, remote: Remote, staging: Path, pool: Pool) -> Built:
    """Make the export in `staging` and send it: export.json first, the sums last."""
    state = remote.read(STATE)
    if state is not None:
        refuse_other(remote.url, state, job.facts)
        if not staging.exists() and remote.read(SUMS) is not None:
            return _whole_already(job, remote)
    elif not staging.exists() and not remote.is_empty():
        raise MisuseError(f"{remote.url} is not empty; an export goes into a new or empty folder")
    out = staging / "out"
    built = build(job, out, pool)
    if state is None:
        remote.put(out / STATE, STATE)
    first = {STATE, SUMS}
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    with Progress("send", len(names) - len(first), "files") as progress:
        pictures = [name for name in names if name not in first]
        send(remote, out, pictures, staging / "sent.jsonl", lambda: progress.advance(1))
        faults.point("export.sent")
        send(remote, out, [SUMS], staging / "sent.jsonl", lambda: None)
    shutil.rmtree(staging)
    atomic.fsync(staging.parent)
    return built


def _whole_already(job: Job, remote: Remote) -> Built:
    """What an export that was finished before holds, as its own list tells."""
    try:
        table = (remote.read(rights.TABLE) or b"").decode()
        there = {row["photo_id"] for row in csv.DictReader(io.StringIO(table, newline=""))}
    except (UnicodeDecodeError, csv.Error, KeyError) as error:
        raise SetupError(f"ATTRIBUTION.csv at {remote.url} is damaged ({error!r}): export to another place") from error
    kept = [member for member in job.members if member.row["photo_id"] in there]
    lost = [member for member in job.members if member.row["photo_id"] not in there]
    return Built(0, {one.row["photo_id"]: "could not be decoded when the export was made" for one in lost}, kept)


def _note(dataset: Dataset, facts: Mapping[str, Any]) -> None:
    """Add a line to the dataset's exports.jsonl, unless it says the same already."""
    path = dataset.root / "exports.jsonl"
    same = json.dumps(facts)
    with dataset.lock(LOCK, wait_seconds=SHORT_LOCK_SECONDS):
        before = path.read_text(errors="replace") if path.exists() else ""
        if not any(line.endswith(same[1:]) for line in before.splitlines()):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            atomic.write_bytes(path, f'{before}{{"at": "{now}", {same[1:]}\n'.encode())
