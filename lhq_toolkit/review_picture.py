"""Draws the README's picture of the review page, docs/review.jpg: `make pictures`. Needs Chromium and playwright."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from lhq_toolkit.doctor import find_browser
from manifests import atomic
from manifests.errors import SetupError

OUT = Path("docs/review.jpg")
SIZE = 1280, 760  # pixels of the window
WIDTH = 960  # of the picture
SCENES = 26  # painted ones, beside the sample photographs
KEYS = ("k", "k", "k", "x", "f", "k", "k", "x", "k", "k")  # what the reviewer presses


def main(out: Path = OUT) -> int:
    """Make a dataset from samples/ and painted scenes, review some of it, and take the picture."""
    with tempfile.TemporaryDirectory() as place, _reviewed(Path(place) / "landscapes") as address:
        data = _photograph(address)
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture = picture.resize((WIDTH, round(WIDTH * SIZE[1] / SIZE[0])), Image.Resampling.LANCZOS)
    with atomic.replacing(out) as temporary:
        picture.save(temporary, "JPEG", quality=85, optimize=True)
    print(f"{out}: {out.stat().st_size:,} bytes")
    return 0


@contextmanager
def _reviewed(dataset: Path) -> Iterator[str]:
    """The address of a running review of the dataset, made now."""
    samples = Path(__file__).parents[1] / "samples"
    _run("crawl", dataset, "--source", "folder", "--path", samples, "--metadata", samples / "metadata.csv")
    _run("crawl", dataset, "--source", "synthetic", "--limit", SCENES, "--seed", 3)
    _run("filter", dataset, "--tags", "--resolution", "--set", "resolution.min_side=256")
    command = _lhq("review", dataset, "--reviewer", "anna", "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["addresses"]["anna"])
        finally:
            process.kill()


def _run(*arguments: object) -> None:
    subprocess.run(_lhq(*arguments, "--workers", "0"), check=True, stdout=subprocess.DEVNULL)


def _lhq(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lhq_toolkit.cli", *map(str, arguments)]


def _photograph(address: str) -> bytes:
    """A PNG of the page after some decisions."""
    from playwright.sync_api import sync_playwright

    if (browser_path := find_browser()) is None:
        raise SetupError("the picture needs Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, device_scale_factor=1.5)
        page.goto(address)
        page.wait_for_selector(".tile img[src]")
        for key in KEYS:
            page.keyboard.press(key)
            page.wait_for_timeout(200)
        while not page.evaluate("[...document.querySelectorAll('.tile img')].every((one) => one.complete && one.src)"):
            page.wait_for_timeout(50)
        data = page.screenshot()
        browser.close()
    return data


if __name__ == "__main__":
    sys.exit(main())
