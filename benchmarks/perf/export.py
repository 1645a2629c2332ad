"""Speed of making 256x256 pictures from 12-megapixel JPEGs on one core, against a plain Pillow loop.

Both read a file, cut the centre square, resize by Lanczos and write a PNG. Ours decodes at a reduced scale, as `lhq
export` does by default, and also makes every picture durable and names it atomically; with `--exact` it decodes in
full, as Pillow does.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import PIL
import simplejpeg
from PIL import Image

from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from benchmarks.perf.decode import HEIGHT, WIDTH, photograph
from manifests.store import ImageStore
from pipelines.export.picture import Making
from pipelines.export.worker import ExportWorker, Item

RESOLUTION = 256  # pixels
PHOTOS = 8  # of a batch


def pillow_loop(paths: list[Path], out: Path) -> None:
    """The plain way: open, crop, resize, save."""
    for path in paths:
        image = Image.open(path).convert("RGB")
        left, top = (image.width - image.height) // 2, 0
        square = image.crop((left, top, left + image.height, top + image.height))
        square.resize((RESOLUTION, RESOLUTION), Image.Resampling.LANCZOS).save(out / f"{path.stem}.png")


def ours(root: Path, paths: list[Path], out: Path, making: Making) -> None:
    """What a worker of `lhq export` does with a batch."""
    items = [Item(path.stem, str(path.relative_to(root)), WIDTH, HEIGHT, ((0, f"{path.stem}.png"),)) for path in paths]
    worker = ExportWorker(root, out, making)
    while items:  # a worker stops after a second and is given the rest again
        items = items[worker.run(items).done :]


def measure(name: str, quality: int, progressive: bool, place: Path, repeats: int) -> list[Row]:
    """Rows of one kind of JPEG: pictures per second."""
    root, out = place / name, place / f"{name} out"
    out.mkdir()
    content = photograph(1, quality, progressive)
    with ImageStore(root).batch() as placing:  # bytes after a JPEG's end are allowed, and make each another file
        paths = [root / placing.add(content + bytes([number]), "jpg").path for number in range(PHOTOS)]
    cases: dict[str, Callable[[], object]] = {
        "reduced": lambda: ours(root, paths, out, Making(RESOLUTION)),
        "exact": lambda: ours(root, paths, out, Making(RESOLUTION, exact=True)),
        "lhq": lambda: ours(root, paths, out, Making(RESOLUTION, exact=True, lhq=True)),
        "pillow": lambda: pillow_loop(paths, out),
    }
    taken = median_seconds(cases, repeats)
    rates = {case: PHOTOS / seconds for case, seconds in taken.items()}
    return [
        compare(f"{name}: lhq export / Pillow loop", rates["reduced"], rates["pillow"], "pictures/s"),
        compare(f"{name}: lhq export --exact / Pillow loop", rates["exact"], rates["pillow"], "pictures/s"),
        compare(f"{name}: lhq export --lhq / Pillow loop", rates["lhq"], rates["pillow"], "pictures/s"),
    ]


def main() -> None:
    """Measures and prints; about 25 s, with --full about 100 s."""
    options = parse_options("Speed of 256x256 pictures from 12-megapixel JPEGs against a plain Pillow loop.")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    repeats = 15 if options.full else 3
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        rows = [
            *measure("baseline q90", 90, False, place, repeats),
            *measure("progressive q85", 85, True, place, repeats),
        ]
    publish("export", rows, options, pillow=PIL.__version__, simplejpeg=simplejpeg.__version__)


if __name__ == "__main__":
    main()
