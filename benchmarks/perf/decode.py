"""Speed of manifests.decode and manifests.probe on 12-megapixel JPEGs, against plain Pillow.

The pictures are gradients with noise, as photographs of a sky have them; ours and the baseline take turns.
"""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import PIL
import simplejpeg
from PIL import Image

from benchmarks.perf._bench import Row, compare, median_seconds, parse_options, publish
from manifests.decode import decode
from manifests.probe import probe

WIDTH, HEIGHT = 4000, 3000  # pixels
MIN_SIDE = 256  # pixels


def photograph(seed: int, quality: int, progressive: bool = False) -> bytes:
    """A JPEG of 12 megapixels: three gradients with noise of 12 levels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    ramps = np.stack([x / WIDTH, y / HEIGHT, (x + y) / (WIDTH + HEIGHT)], -1) * 255
    noisy = ramps + 12 * rng.standard_normal(ramps.shape, np.float32)
    buffer = io.BytesIO()
    pixels = noisy.clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "jpeg", quality=quality, progressive=progressive)
    return buffer.getvalue()


def pillow_full(data: bytes) -> npt.NDArray[np.uint8]:
    """The plain way: everything decoded, [3000, 4000, 3]."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def pillow_resized(data: bytes) -> npt.NDArray[np.uint8]:
    """The plain way to a small picture: everything decoded, then resized to a short side of MIN_SIDE."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return np.asarray(image.resize((MIN_SIDE * WIDTH // HEIGHT, MIN_SIDE), Image.Resampling.BILINEAR))


def pillow_draft(data: bytes) -> npt.NDArray[np.uint8]:
    """The careful way with Pillow: DCT scaling by draft(), to the same size as ours."""
    image = Image.open(io.BytesIO(data))
    image.draft("RGB", (MIN_SIDE * WIDTH // HEIGHT, MIN_SIDE))
    return np.asarray(image.convert("RGB"))


def pillow_load(data: bytes) -> None:
    """The usual test of completeness: decode everything."""
    Image.open(io.BytesIO(data)).load()


def measure(name: str, data: bytes, repeats: int) -> list[Row]:
    """The rows of one kind of JPEG."""
    cases: dict[str, Callable[[], object]] = {
        "small": lambda: decode(data, MIN_SIDE),
        "full": lambda: decode(data),
        "probe": lambda: probe(data),
        "pillow full": lambda: pillow_full(data),
        "pillow resized": lambda: pillow_resized(data),
        "pillow draft": lambda: pillow_draft(data),
        "pillow load": lambda: pillow_load(data),
    }
    taken = median_seconds(cases, repeats)
    ms = {case: 1000 * seconds for case, seconds in taken.items()}
    megabytes = len(data) / 1e6
    small = f"{name}: decode(min_side={MIN_SIDE})"
    return [
        compare(f"{small} / Pillow decode and resize", ms["small"], ms["pillow resized"], "ms"),
        compare(f"{small} / Pillow decode", ms["small"], ms["pillow full"], "ms"),
        compare(f"{small} / Pillow draft", ms["small"], ms["pillow draft"], "ms"),
        compare(f"{name}: decode() / Pillow decode", ms["full"], ms["pillow full"], "ms"),
        compare(f"{name}: probe() / Pillow load", megabytes / taken["probe"], megabytes / taken["pillow load"], "MB/s"),
    ]


def main() -> None:
    """Measures and prints; about 20 s, with --full about 2 minutes."""
    options = parse_options("Decode speed of 12-megapixel JPEGs against plain Pillow.")
    repeats = 31 if options.full else 7
    rows = [
        *measure("baseline q90", photograph(1, 90), repeats),
        *measure("progressive q85", photograph(2, 85, progressive=True), repeats),
    ]
    publish("decode", rows, options, pillow=PIL.__version__, simplejpeg=simplejpeg.__version__)


if __name__ == "__main__":
    main()
