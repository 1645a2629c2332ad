"""Pictures through the duplicates stage as the engine takes them: decoded, measured, decided on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from manifests.decode import decode
from manifests.probe import probe
from pipelines.filters.duplicates import Duplicates, DuplicatesSettings


@dataclass(frozen=True)
class File:
    """A picture's name and its bytes."""

    name: str
    data: bytes


def look_at(files: Sequence[File]) -> pa.Table:
    """A view of files, first seen first, that everything else keeps and that stand under one licence."""
    stage = Duplicates(DuplicatesSettings())
    columns: dict[str, list] = {name: [] for name in ("photo_id", "sha256", "file_width", "file_height")}
    measured: dict[str, list] = {name: [] for name in stage.columns}
    for number, file in enumerate(files):
        header = probe(file.data)
        facts = {"photo_id": file.name, "sha256": f"{number:064x}"}
        for name, value in {**facts, "file_width": header.width, "file_height": header.height}.items():
            columns[name].append(value)
        for name, values in stage.measure([file.name], [decode(file.data, stage.min_side)]).items():
            measured[name].extend(values)
    table = pa.table(columns).append_column("license", pa.array(["CC0-1.0"] * len(files)))
    table = table.append_column("others", pa.array([True] * len(files)))
    for name, values in measured.items():
        table = table.append_column(name, pa.array(values, stage.columns[name]))
    return table


def keepers(view: pa.Table, **settings: object) -> Mapping[str, str]:
    """Of each file that goes the one that stays for it."""
    verdicts = Duplicates(DuplicatesSettings.model_validate(settings)).decide(view)
    pairs = zip(view["photo_id"].to_pylist(), verdicts.about or (), strict=True)
    return {name: about for name, about in pairs if about is not None}


@dataclass(frozen=True)
class Score:
    """How well what goes agrees with what is known."""

    precision: float  # of what goes, the share that is a copy of what stays for it
    recall: float  # of what is a copy of something, the share that goes
    missed: tuple[str, ...]
    wrong: tuple[tuple[str, str], ...]


def score(view: pa.Table, of: Mapping[str, str], kept_for: Mapping[str, str]) -> Score:
    """`of`: for every file the picture it shows. Of each picture one file may stay."""
    names = view["photo_id"].to_pylist()
    wrong = tuple((name, keeper) for name, keeper in kept_for.items() if of[name] != of[keeper])
    right = len(kept_for) - len(wrong)
    copies = len(names) - len({of[name] for name in names})
    staying = [name for name in names if name not in kept_for]
    seen: set[str] = set()
    missed = []
    for name in staying:
        if of[name] in seen:
            missed.append(name)
        seen.add(of[name])
    return Score(right / max(1, len(kept_for)), right / max(1, copies), tuple(missed), wrong)
