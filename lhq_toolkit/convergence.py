"""`make convergence`: does the trainer bring every model near its pictures? A fixed recipe, its start and its end.

Painted scenes at 32x32, the smoke recipe with more pictures, some minutes a model on one core. The distance to
the pictures must fall to a fifth of its start or less; what was reached is kept in benchmarks/convergence.json.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from manifests import atomic
from manifests.errors import SetupError

RECORD = Path("benchmarks/convergence.json")
SCENES, CROPS, RESOLUTION, SEED = 300, 6, 32, 0
IMAGES = {"stylegan2": 6_400, "alis": 6_400}
WANTED = 0.2  # of the start, at most


def main() -> int:
    """Measure all models and write the record; 1 where one does not come near enough."""
    with tempfile.TemporaryDirectory(prefix="lhq-convergence-") as place:
        pictures = paint(Path(place))
        found = {model: measure(model, pictures, Path(place) / model, images) for model, images in IMAGES.items()}
    facts = {"scenes": SCENES, "crops": CROPS, "resolution": RESOLUTION, "seed": SEED, "models": found}
    atomic.write_bytes(RECORD, (json.dumps(facts, indent=2) + "\n").encode())
    print(json.dumps(facts, indent=2))
    return int(any(one["share"] > WANTED for one in found.values()))


def paint(place: Path, scenes: int = SCENES) -> Path:
    """Painted scenes, exported below `place`; returns the export."""
    dataset, pictures = place / "scenes", place / "pictures"
    _lhq(f"crawl {dataset} --source synthetic --limit {scenes} --workers 0")
    _lhq(f"filter {dataset} --tags --workers 0")
    _lhq(f"export {dataset} {pictures} --format folder --resolution {RESOLUTION} --crops {CROPS} --workers 0")
    return pictures


def measure(model: str, pictures: Path, run: Path, images: int) -> dict[str, Any]:
    """Train one model; its distance at the start and at the end, their ratio, and the minutes it took."""
    trained = _lhq(f"train {model} {pictures} -o {run} --seed {SEED} --set images={images} --threads 1")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    distances = [line["fd"] for line in lines if "fd" in line]
    return {
        "images": trained["images"],
        "recipe_hash": trained["recipe_hash"],
        "fd_start": distances[0],
        "fd_end": distances[-1],
        "share": distances[-1] / distances[0],
        "minutes": round(trained["seconds"] / 60, 2),
    }


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
