"""A folder for a static host: the rows, the page, the pictures, the recipes, what they were made with.

It opens from a disk without a network, and the same rows, runs and versions give the same bytes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import leaderboard, paper
from benchmarks.leaderboard import Row
from lhq_toolkit.board import page, text
from lhq_toolkit.board.pictures import Drawn
from lhq_toolkit.board.view import Group
from manifests import atomic
from manifests.errors import MisuseError

SUMS = "SHA256SUMS"
LIBRARIES = ("torch", "torchvision", "numpy", "pillow", "jinja2", "safetensors", "clean-fid", "ray")
OURS = ("recipes", "evaluations", "pictures")  # folders whose files change from one publication to the next
PICTURES = ("strip", "panorama", "at_anchors", "between", "apart")


def publish(
    name: str, rows: Sequence[Row], groups: Sequence[Group], drawn: Mapping[Row, Drawn], out: Path, toolkit: str
) -> list[str]:
    """Write the folder; the names of its files. Raises SetupError where `out` holds something else."""
    files = contents(name, rows, groups, drawn, toolkit)
    before = _published(out, files)
    atomic.make_folder(out)
    for place, data in files.items():
        atomic.make_folder((out / place).parent)
        atomic.write_bytes(out / place, data)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {place}\n" for place, data in sorted(files.items()))
    atomic.write_bytes(out / SUMS, sums.encode())
    for place in before - files.keys():
        (out / place).unlink(missing_ok=True)
    return sorted([*files, SUMS])


def contents(
    name: str, rows: Sequence[Row], groups: Sequence[Group], drawn: Mapping[Row, Drawn], toolkit: str
) -> dict[str, bytes]:
    """Every file but the sums, by its place in the folder."""
    files = {
        "leaderboard.csv": leaderboard.as_csv(rows),
        "paper.csv": paper.FILE.read_bytes(),
        "index.html": page.html(name, groups, drawn, toolkit).encode("utf-8", errors="replace"),
        "leaderboard.md": (text.markdown(groups) + "\n").encode("utf-8", errors="replace"),
        "leaderboard.tex": (text.latex(groups) + "\n").encode("utf-8", errors="replace"),
        "environment.json": _json(_environment(rows, toolkit)),
    }
    for row, one in drawn.items():
        run = f"{row.recipe_hash[:12]}-{row.subset_hash[:12]}"
        files[f"recipes/{row.recipe_hash}.json"] = _json(asdict(one.recipe))
        if one.details:
            files[f"evaluations/{run}.json"] = _json(one.details)
        for kind in PICTURES:
            if (picture := getattr(one, kind)) is not None:
                files[f"pictures/{run}-{kind}.jpg"] = picture.data
    return files


def _environment(rows: Sequence[Row], toolkit: str) -> dict[str, object]:
    """What published it, and what the rows say of where they were trained and measured."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            versions[library] = "not installed"
    measured = {(row.toolkit, row.device, row.dtype, row.threads, row.train_devices): None for row in rows}
    names = ("toolkit", "device", "dtype", "threads", "train_devices")
    return {
        "published_with": {"lhq-toolkit": toolkit, "python": platform.python_version(), **versions},
        "measured_with": [dict(zip(names, one, strict=True)) for one in measured],
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _published(out: Path, files: Mapping[str, bytes]) -> set[str]:
    """Files of the publication that lies there. SetupError where there is anything else: it is not ours to replace."""
    if not out.exists():
        return set()
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} if out.is_dir() else {""}
    known = set(files) | {SUMS}
    if (out / SUMS).is_file():
        lines = (out / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
        known |= {place for line in lines if (place := line.partition("  ")[2]).split("/")[0] in OURS}
    there = {place for place in there if not Path(place).name.startswith(atomic.TEMPORARY)}
    if foreign := sorted(there - known):
        raise MisuseError(f"{out} holds what is not of a published leaderboard ({foreign[0]}): choose a new folder")
    return there - {SUMS}
