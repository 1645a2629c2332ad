"""`make convergence`: does the trainer bring every model near its pictures, and does a panorama keep what frames have?

Painted scenes at 64x64, the smoke recipe with more pictures, some minutes a training. The distance of frames to the
pictures must fall to a fifth of its start or less. The two models that make panoramas are trained with three seeds, to
compare the distance of a panorama's frames with that of independent ones: the ALIS paper (arXiv:2104.06954, table 1)
says that it hardly grows for ALIS, and thirty-fold for LocoGAN. What was reached is kept in
benchmarks/convergence.json.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import metrics, recipes
from manifests import atomic
from manifests.errors import SetupError

RECORD = Path("benchmarks/convergence.json")
SCENES, CROPS, RESOLUTION = 300, 6, 64
IMAGES = {"stylegan2": 16_000, "alis": 6_000, "locogan": 6_000}
SEEDS = {"stylegan2": (0,), "alis": (0, 1, 2), "locogan": (0, 1, 2)}
WANTED = 0.2  # of the start, at most


def main() -> int:
    """Train all models and write the record; 1 where one does not come near enough."""
    with tempfile.TemporaryDirectory(prefix="lhq-convergence-") as place:
        pictures = paint(Path(place))
        runs = [train(model, seed, pictures, Path(place)) for model, seeds in SEEDS.items() for seed in seeds]
        found = record(runs)
    print(json.dumps(found, indent=2))
    return int(any(one["share"] > WANTED for one in found["runs"]))


def paint(place: Path, scenes: int = SCENES, resolution: int = RESOLUTION) -> Path:
    """Painted scenes, exported below `place`; returns the export."""
    dataset, pictures = place / "scenes", place / "pictures"
    _lhq(f"crawl {dataset} --source synthetic --limit {scenes} --workers 0")
    _lhq(f"filter {dataset} --tags --workers 0")
    _lhq(f"export {dataset} {pictures} --format folder --resolution {resolution} --crops {CROPS} --workers 0")
    return pictures


def train(model: str, seed: int, pictures: Path, place: Path, images: int | None = None) -> Path:
    """Train one model below `place`, on one thread; returns the run."""
    run = place / f"{model}-{seed}"
    images = images or IMAGES[model]
    _lhq(f"train {model} {pictures} -o {run} --seed {seed} --set images={images} --threads 1")
    return run


def reached(run: Path) -> dict[str, Any]:
    """How near a run came: distances of frames at its start and end, and of a panorama's frames at its end."""
    recipe = recipes.load(run)
    first, *_, last = metrics.measured(run)
    found = {
        "model": recipe.model,
        "seed": recipe.seed,
        "images": last["images"],
        "recipe_hash": recipes.recipe_hash(recipe),
        "fd_start": first["fd"],
        "fd_end": last["fd"],
        "share": last["fd"] / first["fd"],
    }
    if "infinity_fd" in last:
        found |= {"infinity_fd_end": last["infinity_fd"], "infinity_over_fd": last["infinity_fd"] / last["fd"]}
    return found


def record(runs: list[Path]) -> dict[str, Any]:
    """Keep what the runs reached; returns it."""
    facts = {"scenes": SCENES, "crops": CROPS, "resolution": RESOLUTION, "runs": [reached(run) for run in runs]}
    atomic.write_bytes(RECORD, (json.dumps(facts, indent=2) + "\n").encode())
    return facts


def _lhq(command: str) -> dict[str, Any]:
    """Run a command of the toolkit in a process of its own; returns its summary."""
    words = [sys.executable, "-m", "lhq_toolkit.cli", *shlex.split(command), "--json"]
    ran = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        raise SetupError(f"lhq {command} ended with {ran.returncode}")
    summary: dict[str, Any] = json.loads(ran.stdout)
    return summary


if __name__ == "__main__":
    sys.exit(main())
