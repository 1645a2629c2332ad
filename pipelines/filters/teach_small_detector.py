"""Trains the small detector on painted scenes: `python -m pipelines.filters.teach_small_detector`, in five minutes.

The file that it writes is what `--set objects.detector=small` looks with. It takes about ten minutes of one core's
time, a third of it for painting: five on two cores, both of which painting and training use. The same seed gives the
same file, whatever the number of cores, but for how a processor rounds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from manifests import atomic
from models.detectors import SMALL_FILE
from models.detectors.example import CLASSES, Example
from pipelines.engine import threads
from pipelines.engine.progress import Progress
from pipelines.sources.painter import describe, paint_planted, plans

SEED = 20_210_414  # of the scenes and of the training; tests look at others
SCENES = 1_600
STEPS = 2_000
SIDE = 184  # pixels: the short side of what is learned from


def example(seed: int, index: int) -> Example:
    """A painted scene and the truth about it, reduced."""
    from PIL import Image

    pixels, planted = paint_planted(seed, index)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for one in planted:
        mask[one.mask] = 255
    factor = SIDE / min(pixels.shape[:2])
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    small, inside = (np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in (pixels, mask))
    boxes = np.array([one.box for one in planted], np.float32).reshape(-1, 4)
    return Example(small, [CLASSES.index(one.kind) for one in planted], boxes, inside[..., None])


def scenes(seed: int, count: int) -> list[int]:
    """Indices of so many scenes: two of three hold something, which is more than in the series."""
    holding: list[int] = []
    empty: list[int] = []
    index = 0
    while len(holding) < 2 * count // 3 or len(empty) < count - 2 * count // 3:
        chosen, most = (holding, 2 * count // 3) if plans(describe(seed, index)) else (empty, count - 2 * count // 3)
        if len(chosen) < most:
            chosen.append(index)
        index += 1
    return sorted(holding + empty)


def paint_examples(seed: int, count: int) -> list[Example]:
    """Examples for a training, painted on all cores."""
    jobs = [(seed, index) for index in scenes(seed, count)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(threads.cores()) as pool, Progress("painting", len(jobs), "scenes") as progress:
        found = []
        for one in pool.imap(_example, jobs, chunksize=8):
            found.append(one)
            progress.advance(1)
        return found


def _example(job: tuple[int, int]) -> Example:
    return example(*job)


def teach(path: Path, seed: int = SEED, count: int = SCENES, steps: int = STEPS) -> float:
    """Paint, train, and write the weights as half-precision safetensors; returns the seconds it took."""
    import safetensors.torch

    from models.detectors.small_training import train

    started = time.monotonic()
    examples = paint_examples(seed, count)
    with Progress("training", steps, "steps") as progress:
        network = train(examples, steps, seed, progress.reach)
    kept = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    atomic.write_bytes(path, safetensors.torch.save({name: value.half().contiguous() for name, value in kept.items()}))
    return time.monotonic() - started


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--out", type=Path, default=SMALL_FILE, help="default: the file in the checkout")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args(arguments)
    seconds = teach(given.out, given.seed, given.scenes, given.steps)
    print(f"{given.out}: trained in {seconds:.0f} s on {threads.cores()} cores")


if __name__ == "__main__":
    main()
