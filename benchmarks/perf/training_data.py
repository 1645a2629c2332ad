"""Training with pictures that are mapped from the cache against random pictures in memory, and what the cache costs.

Two trainings of one recipe take their steps in turn, so that a busy moment falls on both alike; a row is a round of
steps in which each regulariser of the generator has its turn. The pictures of this size fit into the system's memory,
as they do in a second epoch; a set that is larger than memory waits for the disk.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks import exports, pictures, pixel_cache, presets
from benchmarks.batches import Order
from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from benchmarks.training import Training
from manifests.decode import decode

RESOLUTION = 64  # pixels
PICTURES = 4_000
BATCHES = 50  # fetched at once, where a batch alone is timed


def write(folder: Path) -> None:
    """PNG files of ramps with noise, as photographs of a sky have them."""
    rng = np.random.default_rng(1)
    ramp = np.linspace(0, 1, RESOLUTION)[:, None, None]
    for number in range(PICTURES):
        above, below = rng.uniform(40, 216, (2, 3))
        noise = 6 * rng.standard_normal((RESOLUTION, RESOLUTION, 3))
        pixels = (above + (below - above) * ramp + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")


def decoded_each_time(folder: Path) -> Tensor:
    """The plain way: every file decoded into memory, one after the other, in every process that trains."""
    files = sorted(folder.iterdir())
    images = torch.empty(len(files), 3, RESOLUTION, RESOLUTION, dtype=torch.uint8)
    for at, path in enumerate(files):
        images[at] = torch.from_numpy(decode(path.read_bytes())).permute(2, 0, 1)
    return images


def steps(model: str, sets: Sequence[Tensor], device: torch.device, rounds: int) -> list[float]:
    """Median milliseconds of a step with each of the sets of pictures, which take turns step by step."""
    recipe = presets.preset(model, "bench", "smoke" if device.type == "cpu" else "small", RESOLUTION)
    trainings = [Training(recipe, images, device) for images in sets]
    taken: list[list[float]] = [[] for _ in sets]
    for number in range(-1, rounds):  # the first is the warm-up
        whole = [0.0] * len(sets)
        for step in range(recipe.path_every):
            for at in range(len(sets)) if step % 2 else reversed(range(len(sets))):
                started = time.perf_counter()
                losses = trainings[at].advance()
                sum(float(loss) for loss in losses.values())  # waits for the device
                whole[at] += time.perf_counter() - started
        if number >= 0:
            for at, seconds in enumerate(whole):
                taken[at].append(1000 * seconds / recipe.path_every)
    return [statistics.median(times) for times in taken]


def remade(folder: Path, cache: Path) -> None:
    """Decode into the cache as if nothing were there."""
    (cache / pixel_cache.FOLDER / exports.find(folder).key / pixel_cache.ABOUT).unlink(missing_ok=True)
    pictures.read(folder, cache)


def main() -> None:
    """Measures and prints; about a minute, with --full some minutes."""
    options = parse_options("Training with pictures from the cache against random pictures in memory.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary) / "pictures", Path(temporary) / "cache"
        folder.mkdir()
        write(folder)
        mapped = pictures.read(folder, cache).images
        if not torch.equal(mapped, decoded_each_time(folder)):
            raise AssertionError("the cache holds other pixels than the files")
        random = torch.randint(0, 256, mapped.shape, dtype=torch.uint8)
        rows: list[Row] = []
        for model in ("stylegan2", "alis"):
            ours, baseline = steps(model, (mapped, random), device, rounds=60 if options.full else 12)
            rows.append(compare(f"{model}: a step with the cache / with random pictures", ours, baseline, "ms"))
        order = Order(0, PICTURES)
        batches = [order.rows(16 * number, 16) for number in range(BATCHES)]
        taken = median_seconds(
            {
                "mapped": lambda: [mapped[batch] for batch in batches],
                "random": lambda: [random[batch] for batch in batches],
                "open": lambda: pictures.read(folder, cache),
                "make": lambda: remade(folder, cache),
                "plain": lambda: decoded_each_time(folder),
            },
            repeats=9 if options.full else 3,
        )
    batch = {name: 1000 * taken[name] / BATCHES for name in ("mapped", "random")}
    count = f"{PICTURES:,} pictures"
    rows += [
        compare("a batch of 16 alone, from the cache / from memory", batch["mapped"], batch["random"], "ms"),
        compare(f"{count}: open the cache / decode each time", taken["open"], taken["plain"], "s"),
        compare(f"{count}: make the cache / decode once", taken["make"], taken["plain"], "s"),
    ]
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    rows = [dataclasses.replace(row, name=f"{RESOLUTION}x{RESOLUTION}, {row.name}") for row in rows]
    publish("training_data", rows, options, torch=torch.__version__, device=where)


if __name__ == "__main__":
    main()
