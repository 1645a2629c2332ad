"""The review page with 100,000 photos: how soon it is there, how fast it answers, how much memory the server holds.

`lhq review` runs as a user starts it, on a made-up dataset whose rows are all different and whose files are 200 JPEGs
of 3 megapixels (with --full: 150 of 12): the program does not know that many photos share one. A plain client asks
what the page asks for, in its order; with --peer PATH Chromium at PATH loads the page itself. Where there is a baseline
it is the plain way: reading every row of the list as JSON at once, and Pillow making a thumbnail from the picture
decoded in full.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from benchmarks.perf._bench import Options, Row, compare, parse_options, publish
from manifests import recipes, schema
from manifests.dataset import Dataset
from manifests.recipes import Recipe, Step

PHOTOS = 100_000
FILES = {False: (200, (2000, 1500)), True: (150, (4000, 3000))}  # how many and how large, by --full
SCREEN = 40  # thumbnails on a first page
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make(root: Path, files: int, size: tuple[int, int]) -> list[tuple[str, str]]:
    """The dataset, a tenth of it with a tag on the list; returns hash and path of its files."""
    dataset = Dataset.open_or_create(root, "perf")
    rng = np.random.default_rng(0)
    with dataset.store.batch() as batch:
        stored = [batch.add(_jpeg(rng, size), "jpg") for _ in range(files)]
    for first in range(0, PHOTOS, 10_000):
        numbers = range(first, first + 10_000)
        photos = [
            {
                "photo_id": f"flickr:{at}",
                "source": "flickr",
                "source_id": str(at),
                "page_url": f"https://www.flickr.com/photos/x/{at}/",
                "title": f"A lake in the hills, number {at}",
                "tags_raw": [],
                "tags": ["lake", "hills", "wedding" if at % 10 == 0 else "water"],
                "author": f"author {at % 5000}",
                "license": "CC-BY-2.0",
                "seen_at": NOW,
                "extra": "{}",
            }
            for at in numbers
        ]
        rows = [
            {
                "photo_id": f"flickr:{at}",
                "sha256": stored[at % files].sha256,
                "path": stored[at % files].path,
                "bytes": 1,
                "format": "jpeg",
                "width": size[0],
                "height": int(size[1] * (0.6 + at % 97 / 120)),
                "fetched_at": NOW,
                "status": schema.OK,
            }
            for at in numbers
        ]
        dataset.photos_table.append(pa.Table.from_pylist(photos, schema=schema.PHOTOS))
        dataset.files_table.append(pa.Table.from_pylist(rows, schema=schema.FILES))
    recipes.save(root, Recipe("curated", (Step("tags", {}), Step("resolution", {}))))
    return [(one.sha256, one.path) for one in stored]


def _jpeg(rng: np.random.Generator, size: tuple[int, int]) -> bytes:
    """Hills of noise that compress about as a photograph does."""
    coarse = rng.integers(0, 255, (size[1] // 50, size[0] // 50, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    grain = rng.integers(0, 24, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)
    image = Image.blend(image, Image.fromarray(grain).resize(size), 0.3)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


class Client:
    """What a page asks with: a cookie, and the Origin of its own page."""

    def __init__(self, address: str) -> None:
        self.origin = address.partition("/enter")[0]
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        self._opener.open(address).read()

    def get(self, path: str) -> bytes:
        """The body of an answer."""
        with self._opener.open(self.origin + path) as answer:
            return bytes(answer.read())

    def post(self, path: str, **body: Any) -> Any:
        """The JSON of an answer."""
        headers = {"Origin": self.origin, "Content-Type": "application/json"}
        request = urllib.request.Request(self.origin + path, json.dumps(body).encode(), headers)  # noqa: S310
        with self._opener.open(request) as answer:
            return json.loads(answer.read())


@contextmanager
def reviewing(root: Path) -> Iterator[tuple[str, int, float]]:
    """`lhq review`: its address, its process, and the seconds until it served."""
    command = [sys.executable, "-m", "lhq_toolkit.cli", "review", str(root), "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield next(iter(told["addresses"].values())), process.pid, time.perf_counter() - began
        finally:
            process.kill()


def resident(pid: int) -> float:
    """Megabytes that a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(act: Any) -> tuple[float, Any]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    result = act()
    return time.perf_counter() - began, result


def measure(root: Path, files: list[tuple[str, str]], options: Options) -> list[Row]:
    """Every row, from one server."""
    rows = []
    with reviewing(root) as (address, pid, started):
        rows.append(Row("from the command to a page that can be opened", round(started, 2), "s", None, None))
        rows.append(Row("memory of the server before anyone comes", round(resident(pid)), "MB", None, None))
        client = Client(address)
        static = ("/", "/page.js", "/style.css", "/api/start")
        first = sum(timed(lambda path=path: client.get(path))[0] for path in static)
        seconds, told = timed(lambda: client.post("/api/list", kind="all"))
        first += seconds
        assert told["total"] == PHOTOS
        shown = [one["file"] for one in told["first"][:SCREEN]]
        rows.append(Row("first page: files, list of all photos, layout data", round(first * 1000), "ms", None, None))
        fresh = [timed(lambda file=file: client.get(f"/thumb/{file}"))[0] for file in dict.fromkeys(shown)]
        again = [timed(lambda file=file: client.get(f"/thumb/{file}"))[0] for file in shown]
        plain = [timed(lambda path=path: _plainly(root / path))[0] for _, path in files[: len(fresh)]]
        rows.append(compare("a thumbnail made / Pillow, decoded in full", _ms(fresh), _ms(plain), "ms"))
        rows.append(Row("a thumbnail from the cache", round(_ms(again), 2), "ms", None, None))
        whole, _ = timed(lambda: [_items(client, told["list"], at, 500) for at in range(0, PHOTOS, 500)])
        pieces = [timed(lambda at=at: _items(client, told["list"], at, 100))[0] for at in range(0, PHOTOS, 5_000)]
        rows.append(compare("the next 100 photos / all of them at once", _ms(pieces), _ms([whole]), "ms"))
        lists: dict[str, Any] = {
            "near a threshold": {"kind": "near", "stage": "resolution"},
            "rejected by tags": {"kind": "stage", "stage": "tags"},
            "random sample": {"kind": "sample"},
            "sorted by size": {"kind": "all", "sort": "resolution"},
        }
        for name, query in lists.items():
            times = [timed(lambda query=query: client.post("/api/list", **query))[0] for _ in range(5)]
            rows.append(Row(f"list: {name}", round(_ms(times)), "ms", None, None))
        count = 2000 if options.full else 200
        times = [timed(lambda at=at: _decide(client, at))[0] for at in range(count)]
        rows.append(Row(f"a decision, saved (median of {count:,})", round(_ms(times), 2), "ms", None, None))
        seconds, _ = timed(lambda: client.get("/api/agreement"))
        rows.append(Row("precision and recall", round(seconds * 1000), "ms", None, None))
        for file, _ in files:
            client.get(f"/thumb/{file}")
        rows.append(
            Row(f"memory after {len(files):,} thumbnails and all lists", round(resident(pid)), "MB", None, None)
        )
    rows.extend(_in_browser(root, options))
    return rows


def _ms(times: list[float]) -> float:
    return statistics.median(times) * 1000


def _items(client: Client, name: str, first: int, count: int) -> Any:
    return json.loads(client.get(f"/api/items?list={name}&first={first}&count={count}"))


def _decide(client: Client, at: int) -> None:
    client.post("/api/decide", photo=f"flickr:{at}", verdict="keep", token=f"token {at:08d}")


def _plainly(path: Path) -> bytes:
    """A thumbnail the plain way."""
    with Image.open(path) as image:
        whole = image.convert("RGB")
    whole.load()
    small = whole.resize((round(256 * whole.width / whole.height), 256), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def _in_browser(root: Path, options: Options) -> list[Row]:
    """The page in Chromium: until its first thumbnails are painted, and its memory after a walk through the list."""
    name = "first page in Chromium, until its thumbnails stand"
    if options.peer is None:
        return [Row(name, 0, "ms", None, None, "not measured: give --peer /usr/bin/chromium")]
    from playwright.sync_api import sync_playwright

    rows = []
    with reviewing(root) as (address, _, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.peer, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        began = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(".tile img[src]")
        grid = time.perf_counter() - began
        while not page.evaluate("[...document.querySelectorAll('.tile img')].every((one) => one.complete && one.src)"):
            page.wait_for_timeout(10)
        rows.append(Row(name, round((time.perf_counter() - began) * 1000), "ms", None, None))
        rows.append(Row("of this, until the grid stands", round(grid * 1000), "ms", None, None))
        thumbs = "Math.max(...performance.getEntriesByType('resource').map((one) => one.responseEnd))"
        rows.append(Row("the same by the page's own clock", round(page.evaluate(thumbs)), "ms", None, None))
        frames = "new Promise((done) => { const at = performance.now(); scroller.scrollTop += 20000; "
        frames += "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - at))); })"
        jumps = [float(page.evaluate(frames)) for _ in range(50)]
        rows.append(
            Row("a jump of 20,000 pixels, until it is painted", round(statistics.median(jumps)), "ms", None, None)
        )
        rows.append(Row("tiles in the document after 50 jumps", page.locator(".tile").count(), "", None, None))
        heap = float(page.evaluate("performance.memory.usedJSHeapSize")) / 1e6
        rows.append(Row("JavaScript memory of the page then", round(heap), "MB", None, None))
        browser.close()
    return rows


def main() -> None:
    """Measures and prints; about a minute, with --full some minutes."""
    options = parse_options("The review page with 100,000 photos.", peer="Chromium, to load the page with")
    count, size = FILES[options.full]
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "d"
        files = make(root, count, size)
        rows = measure(root, files, options)
    publish("review", rows, options)


if __name__ == "__main__":
    main()
