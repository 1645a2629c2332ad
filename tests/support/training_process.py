"""A training in a process of its own, made to be killed: MODEL DATA RUN IMAGES."""

from __future__ import annotations

import sys
from pathlib import Path

import tiny
import torch

from benchmarks import pictures, runs


def main(model: str, data: str, run: str, images: str) -> None:
    """Train without measuring."""
    torch.set_num_threads(1)
    recipe = tiny.recipe(model, images=int(images))
    runs.train(
        recipe,
        pictures.read(Path(data), Path(run).parent / "cache"),
        Path(run),
        torch.device("cpu"),
        judge=lambda _: {},
        snapshots=2,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
