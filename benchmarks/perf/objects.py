"""Speed of the whole objects stage (files in, committed rows out) on photographs of 12 megapixels, small detector.

The baseline is what its two large parts need one after the other on the same cores, each timed alone in the same run:
decoding at reduced scale in as many threads as there are cores, and the network with as many. On a graphics card the
stage is held against the network alone as well. Photographs are painted scenes, enlarged, with the grain of a camera.
"""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from manifests.dataset import Dataset
from manifests.store import ImageStore
from pipelines.engine import threads
from pipelines.engine.measure import bring_up_to_date, read_image
from pipelines.engine.pool import InProcess
from pipelines.filters.objects import BATCH, Objects, ObjectsSettings
from pipelines.sources.painter import paint_planted

LONG, SHORT = 4000, 3000  # pixels
SCENES = 6  # painted; every photograph is one of them with grain of its own
QUALITY = 90
SEED = 5


def photograph(scene: np.ndarray, seed: int) -> bytes:
    """A JPEG of 12 megapixels."""
    upright = scene.shape[0] > scene.shape[1]
    size = (SHORT, LONG) if upright else (LONG, SHORT)
    enlarged = np.asarray(Image.fromarray(scene).resize(size, Image.Resampling.BICUBIC), np.int16)
    grain = np.random.default_rng(seed).integers(-8, 9, (enlarged.shape[0], enlarged.shape[1], 1), np.int16)
    out = BytesIO()
    Image.fromarray((enlarged + grain).clip(0, 255).astype(np.uint8)).save(out, "jpeg", quality=QUALITY)
    return out.getvalue()


def write(root: Path, count: int) -> pa.Table:
    """Photographs in the image store at `root`, as a stage is given them: columns sha256 and path."""
    scenes = [paint_planted(SEED, index)[0] for index in range(SCENES)]
    with ImageStore(root).batch() as placing:
        placed = [placing.add(photograph(scenes[at % SCENES], at), "jpg") for at in range(count)]
    return pa.table({"sha256": [one.sha256 for one in placed], "path": [one.path for one in placed]})


class Cases:
    """What is timed, over the same photographs."""

    def __init__(self, place: Path, photos: pa.Table) -> None:
        self.place, self.photos = place, photos
        self.runs = 0
        self.stage = Objects(ObjectsSettings(detector="small"))
        self.stage.setup(None)
        self.paths: Sequence[str] = photos["path"].to_pylist()
        frames = [self.stage.prepare(read_image(place, path, self.stage.min_side)) for path in self.paths]
        kinds = {self.stage.alike(frame) for frame in frames}
        alike = [[frame for frame in frames if self.stage.alike(frame) == kind] for kind in kinds]
        self.batches = [group[at : at + BATCH] for group in alike for at in range(0, len(group), BATCH)]

    def whole(self) -> None:
        """The stage as `lhq filter --workers 0` runs it, on a dataset that has measured nothing yet."""
        self.runs += 1
        dataset = Dataset.open_or_create(self.place / f"dataset-{self.runs}", "benchmark")
        (dataset.root / "images").symlink_to(self.place / "images")
        done = bring_up_to_date(dataset, Objects(self.stage.settings), self.photos, InProcess())
        if (done.images, done.errors) != (self.photos.num_rows, 0):
            raise AssertionError(f"the stage measured {done}")

    def decode(self) -> None:
        """Reading and decoding alone, on all cores."""
        with ThreadPoolExecutor(threads.cores()) as pool:
            for _ in pool.map(lambda path: read_image(self.place, path, self.stage.min_side).shape, self.paths):
                pass

    def network(self) -> None:
        """The network alone, on all cores or on the graphics card, in batches of the size that the stage uses."""
        for frames in self.batches:
            self.stage.measure([""] * len(frames), frames)


def main() -> None:
    """Measures and prints; about 40 s, with --full about 3 minutes."""
    options = parse_options("Speed of the whole objects stage against its parts.")
    threads.fix(threads.cores())
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        cases = Cases(place, photos := write(place, 240 if options.full else 64))
        taken = median_seconds(
            {"whole": cases.whole, "decode": cases.decode, "network": cases.network}, 5 if options.full else 3
        )
        speed = {name: photos.num_rows / seconds for name, seconds in taken.items()}
        parts = photos.num_rows / (taken["decode"] + taken["network"])
    rows = [compare("whole stage / decoding and network, one after the other", speed["whole"], parts, "photos/s")]
    if torch.cuda.is_available():
        rows.append(compare("whole stage / network alone", speed["whole"], speed["network"], "photos/s"))
    else:
        reason = "no graphics card: held against decoding and network together"
        rows.append(
            Row(
                "whole stage / network alone on a graphics card",
                float(f"{speed['whole']:.4g}"),
                "photos/s",
                None,
                None,
                reason,
            )
        )
    rows += [
        Row("decoding alone (at 1/8)", float(f"{speed['decode']:.4g}"), "photos/s", None, None),
        Row("network alone (small)", float(f"{speed['network']:.4g}"), "photos/s", None, None),
    ]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "processor"
    publish("objects", rows, options, torch=torch.__version__, device=device)


if __name__ == "__main__":
    main()
