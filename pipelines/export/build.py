"""One export in a local folder: claims it, makes what is missing, packs it, puts rights and sums beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests import atomic, faults, plain_json
from manifests.errors import MisuseError
from pipelines.engine.pool import Batch, Pool
from pipelines.engine.progress import Progress
from pipelines.export import croissant, rights
from pipelines.export.card import Content, card
from pipelines.export.format import Format, Member
from pipelines.export.picture import Making
from pipelines.export.worker import ExportWorker, Item

BATCH = 64  # photos, or what a worker makes in worker.SECONDS
STATE = "export.json"  # in OUT: what this export is; written first
SUMS = "SHA256SUMS"  # written last: with it the export is whole


@dataclass(frozen=True)
class Job:
    """What to build."""

    root: Path  # the dataset's folder
    members: Sequence[Member]
    form: Format
    making: Making
    facts: Mapping[str, Any]  # for export.json


@dataclass(frozen=True)
class Built:
    """What was built."""

    made: int  # pictures, in this run
    errors: Mapping[str, str]  # photo_id -> why it could not be decoded
    kept: Sequence[Member]  # what the export holds now


def build(job: Job, out: Path, pool: Pool) -> Built:
    """Make the export, or go on with it; what is there already is not made again."""
    prepare(out, job.facts)
    made, errors = _make(job, out, pool)
    left_out = frozenset(errors)
    job.form.pack(out, job.members, left_out, pool)
    kept = [member for member in job.members if member.row["photo_id"] not in errors]
    content = Content(
        facts=job.facts,
        where=job.form.where,
        members=kept,
        holders=job.form.holders(job.members, left_out),
        enlarged=enlarged(kept, job.making.resolution),
        left_out=len(errors),
    )
    _write_beside(out, content)
    return Built(made, errors, kept)


def enlarged(members: Sequence[Member], resolution: int) -> int:
    """Photos smaller than their pictures."""
    return sum(min(one.row["file_width"], one.row["file_height"]) < resolution for one in members)


def prepare(out: Path, facts: Mapping[str, Any]) -> None:
    """Claim the folder for this export, or go on with it; refuse a folder that holds anything else."""
    state = out / STATE
    if state.is_file():
        refuse_other(str(out), state.read_bytes(), facts)
        return
    if out.exists() and not (out.is_dir() and all(_is_ours(path) for path in out.iterdir())):
        raise MisuseError(f"{out} is not empty; an export goes into a new or empty folder")
    atomic.make_folder(out)
    atomic.write_bytes(state, text_of(facts))


def refuse_other(out: str, state: bytes, facts: Mapping[str, Any]) -> None:
    """MisuseError where the export.json of a place says something else than these facts."""
    if state == text_of(facts):
        return
    try:
        known = plain_json.mapping(state)
    except ValueError:
        known = {}
    differing = ", ".join(name for name in facts if known.get(name) != facts[name]) or "unreadable"
    raise MisuseError(
        f"{out} holds another export ({STATE} says which; it differs in: {differing}); choose a new place or remove "
        "that one"
    )


def text_of(facts: Mapping[str, Any]) -> bytes:
    """The bytes of export.json."""
    return (json.dumps(facts, indent=2) + "\n").encode()


def _is_ours(path: Path) -> bool:
    """What an export that was killed while it claimed the folder left."""
    return path.name.startswith(atomic.TEMPORARY) and path.name.endswith(f"-{STATE}")


def _make(job: Job, out: Path, pool: Pool) -> tuple[int, dict[str, str]]:
    """Make the pictures that are neither placed nor packed: how many, and which photos could not be decoded."""
    workplace = job.form.workplace(out).resolve()
    atomic.sweep_temporaries(out)
    items = _missing(job.members, job.form.packed(out, job.members) | _placed(workplace, job.members))
    if items:
        (out / SUMS).unlink(missing_ok=True)  # of an export that lost pictures: not whole until they are back
        atomic.fsync(out)
        for folder in sorted({file.rpartition("/")[0] for item in items for _, file in item.files}):
            atomic.make_folder(workplace / folder)
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

        pool.run(ExportWorker(job.root, workplace, job.making), items, BATCH, commit)
    for member in job.members:
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
            row = member.row
            items.append(Item(row["photo_id"], row["path"], row["file_width"], row["file_height"], files))
    return items


def _write_beside(out: Path, content: Content) -> None:
    """Attribution, cards and sums; the sums come last, so their presence says that the export is whole.

    Sums of pictures that stand already are not taken anew: damage done since is not to be made valid.
    """
    known = _known_sums(out)
    sums = {name: known.get(name) or _sha256(out / name) for name in content.holders}
    for name, data in {
        rights.TABLE: rights.attribution_csv(content.members),
        "ATTRIBUTION.md": rights.attribution_md(content.members),
        "README.md": card(content),
    }.items():
        atomic.write_bytes(out / name, data)
        sums[name] = hashlib.sha256(data).hexdigest()
    described = croissant.describe(content, sums)
    atomic.write_bytes(out / croissant.FILE, described)
    sums[croissant.FILE] = hashlib.sha256(described).hexdigest()
    sums[STATE] = _sha256(out / STATE)
    atomic.write_bytes(out / SUMS, "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode())


def _known_sums(out: Path) -> dict[str, str]:
    path = out / SUMS
    pairs = [line.partition("  ") for line in path.read_text(errors="replace").splitlines()] if path.is_file() else []
    return {name: digest for digest, _, name in pairs}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
