"""`lhq serve` as a process of its own, on a run so small that a tile takes milliseconds; and its page in a browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tiny
import torch
from PIL import Image
from reviewing import Serving, free_port, started, until
from tabs import came_in

from benchmarks import measure, runs
from benchmarks.pictures import Pictures

FRAME, TILE, SPAN = 16, 64, 32  # pixels
SCALE = 6  # pixels of the screen for one of so small a panorama
SETTLED = 600  # milliseconds; `SETTLE` of page.js and some
STRIP = "document.getElementById('strip')"
CALM = f"{STRIP}.dataset.pending === '0'"
CANVAS = "document.getElementById('canvas').toDataURL('image/png').split(',')[1]"

Pixels = npt.NDArray[np.uint8]  # [height, width, 3]


def make_run(folder: Path, model: str = "alis") -> Path:
    """A run of two steps at 16x16: columns of 4 pixels, anchors 2 frames apart."""
    more = {} if model == "stylegan2" else {"patches": 4, "input_resolution": 4}
    pictures = Pictures(tiny.images(), "tiny", "curated", "ab" * 32, "cd" * 32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    runs.train(tiny.recipe(model, images=8, **more), pictures, folder, torch.device("cpu"))
    torch.set_num_threads(threads)
    return folder


@contextmanager
def viewing(run: Path, *more: object, viewers: int = 1) -> Iterator[Serving]:
    """`lhq serve` of the run while the context lasts, unless it is stopped before; visitors are called 0, 1, ..."""
    options = ("--viewers", viewers, "--port", free_port(), "--device", "cpu", "--threads", 1, "--json", *more)
    with started("serve", run, *options) as (process, facts):
        yield Serving(process, {str(at): one for at, one in enumerate(facts["addresses"])})


def generator_of(run: Path) -> Any:
    """The run's generator, as `lhq generate` uses it."""
    return runs.open_checkpoint(run, torch.device("cpu"), "last").generator


def columns(generator: Any, first: int, width: int, seed: int = 0, **more: Any) -> Pixels:
    """Pixels first ... first + width - 1 of a panorama, straight from the generator in one batch."""
    each = generator.sizes.column_width
    start, end = first // each, -(-(first + width) // each)
    strip = measure.pixels(generator.columns(seed, start, end - start, batch=end - start, **more))
    return strip.permute(1, 2, 0).numpy()[:, first - start * each :][:, :width]


def decoded(data: bytes) -> Pixels:
    """A picture's pixels."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def apart(some: Pixels, others: Pixels) -> int:
    """The largest difference of two pictures of one size, in levels of 255."""
    assert some.shape == others.shape
    return int(np.abs(some.astype(int) - others.astype(int)).max())


def enter(context: Any, address: str) -> Any:
    """A page that came in by an address, and stands still."""
    page = came_in(context, address, "#strip[data-pending]")
    settled(page)
    return page


def settled(page: Any) -> None:
    """Until nothing moves and every tile in view is there."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    until(page, CALM)


def place(page: Any) -> dict[str, str]:
    """What the address says, once it has been written: by the page's clock, which is late where the page is."""
    page.evaluate(f"new Promise((done) => requestAnimationFrame(() => setTimeout(done, {SETTLED})))")
    return dict(part.split("=") for part in page.evaluate("location.hash").removeprefix("#").split("&"))


def shown(page: Any) -> tuple[Pixels, int]:
    """The canvas's pixels, and which pixel of the panorama is its first."""
    settled(page)
    data = base64.b64decode(page.evaluate(CANVAS))
    with Image.open(io.BytesIO(data)) as image:
        assert image.getchannel("A").getextrema() == (255, 255), "a tile is missing or about to be replaced"
    x = float(place(page)["x"])
    first = int(np.floor(x - page.evaluate(f"{STRIP}.clientWidth") / SCALE / 2)) - 1
    return decoded(data), first


def drag_by_touch(context: Any, page: Any, start: float, end: float, y: float) -> None:
    """A finger that goes from one place to another."""
    session = context.new_cdp_session(page)
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": start, "y": y}]})
    for part in range(1, 9):
        x = start + (end - start) * part / 8
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
