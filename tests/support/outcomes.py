"""What a command that was broken and run again must leave: what an unbroken run of it leaves.

Each function takes the folder in which the command ran and that of the unbroken run. Times and speeds aside, as
`comparing.py` says.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from comparing import assert_equal_datasets, files_of
from safetensors.torch import load_file

from benchmarks.reference import FOLDER
from manifests import reviews

Check = Callable[[Path, Path], None]
STATISTICS = f"{FOLDER}/"
SPEEDS = ("ms_per_image", "images_per_s", "panorama_ms_per_frame", "date", "train_hours")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d[^<\"]*")


def same(*names: str) -> Check:
    """These files, and all files of these folders, have the same bytes."""

    def check(place: Path, reference: Path) -> None:
        for name in names:
            if (reference / name).is_dir():
                assert files_of(place / name) == files_of(reference / name), name
            else:
                assert (place / name).read_bytes() == (reference / name).read_bytes(), name

    return check


def all_of(*checks: Check) -> Check:
    """Each of these."""

    def check(place: Path, reference: Path) -> None:
        for one in checks:
            one(place, reference)

    return check


def dataset(place: Path, reference: Path) -> None:
    """The dataset `d`: tables, images, fits, recipes, verdicts, the list of exports; nothing under way."""
    assert_equal_datasets(place / "d", reference / "d")
    assert _decisions(place) == _decisions(reference)
    assert _exports(place) == _exports(reference)
    assert files_of(place / "d" / "damaged") == files_of(reference / "d" / "damaged")
    assert not (place / "d" / "removal.json").exists()
    assert not list((place / "d" / "exports").glob("*"))


def _decisions(place: Path) -> dict[str, dict[str, str]]:
    standing = reviews.load(place / "d").standing
    return {photo: {who: one.verdict for who, one in given.items()} for photo, given in standing.items()}


def _exports(place: Path) -> list[dict[str, Any]]:
    path = place / "d" / "exports.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [{**line, "at": None, "out": line["out"].rpartition("/")[2]} for line in lines]


def table(place: Path, reference: Path) -> None:
    """The flat manifest `m.parquet`."""
    assert pq.read_table(place / "m.parquet").equals(pq.read_table(reference / "m.parquet"))


def page(name: str) -> Check:
    """A page, but for the time at which it was made."""

    def check(place: Path, reference: Path) -> None:
        mine, theirs = (_TIME.sub("", (one / name).read_text()) for one in (place, reference))
        assert mine == theirs, name

    return check


def run(place: Path, reference: Path) -> None:
    """The run `run`: the same losses, checkpoints and pictures; its page is there."""
    same("run/recipe.json", "run/data.json", "run/metrics.jsonl", "run/samples")(place, reference)
    mine, theirs = (
        {path.parent.name: load_file(path) for path in (one / "run").rglob("state.safetensors")}
        for one in (place, reference)
    )
    assert mine.keys() == theirs.keys()
    for step, tensors in theirs.items():
        assert tensors.keys() == mine[step].keys()
        assert all(torch.equal(tensor, mine[step][name]) for name, tensor in tensors.items()), step
    assert (place / "run" / "report.html").read_bytes().endswith(b"</html>")


def cache(place: Path, reference: Path) -> None:
    """What is kept decoded below LHQ_CACHE, or fetched; of statistics some may be missing, which costs time only."""
    mine, theirs = (
        {name: digest for name, digest in files_of(one / "cache").items() if not name.endswith((".json", ".lock"))}
        for one in (place, reference)
    )
    statistics, wanted = (
        {name: files.pop(name) for name in list(files) if name.startswith(STATISTICS)} for files in (mine, theirs)
    )
    assert statistics.items() <= wanted.items()
    assert sorted(mine.values()) == sorted(theirs.values())


def board(place: Path, reference: Path) -> None:
    """The leaderboard `board.csv`, but for times and speeds; a run that was measured twice may stand there twice."""

    def rows(folder: Path) -> list[dict[str, str]]:
        found = csv.DictReader(io.StringIO((folder / "board.csv").read_text()))
        return [{key: value for key, value in row.items() if key not in SPEEDS} for row in found]

    mine = rows(place)
    assert [row for at, row in enumerate(mine) if row not in mine[:at]] == rows(reference)


def evaluation(place: Path, reference: Path) -> None:
    """What a measuring left in the run `run`."""
    mine, theirs = (json.loads((one / "run" / "evaluation.json").read_bytes()) for one in (place, reference))
    assert {**mine, "speed": None} == {**theirs, "speed": None}
