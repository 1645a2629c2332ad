"""Draws the README's picture of the report, docs/report.jpg: `make pictures`. Needs Chromium."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

from lhq_toolkit.doctor import BROWSERS, find_browser
from manifests import atomic
from manifests.errors import SetupError

OUT = Path("out/pictures")
DOCS = Path("docs")
SCENES = 120
DESKTOP, PHONE = (1200, 1560), (390, 1560)  # pixels: width, height
GAP = 24


def main() -> int:
    """Run from the checkout's root; returns the first exit code that is not 0."""
    dataset, page = OUT / "landscapes", OUT / "report.html"
    OUT.mkdir(parents=True, exist_ok=True)
    for command in (
        f"crawl {dataset} --source folder --path samples --metadata samples/metadata.csv "
        f"--source synthetic --limit {SCENES}",
        f"filter {dataset} --tags --resolution --invariance --set resolution.min_side=256",
        f"report {dataset} -o {page}",
    ):
        done = subprocess.run([sys.executable, "-m", "lhq_toolkit.cli", *command.split()], check=False)
        if done.returncode != 0:
            return done.returncode
    desktop, phone = OUT / "desktop.png", OUT / "phone.png"
    shoot(page, desktop, DESKTOP)
    shoot(page, phone, PHONE, dark=True)
    beside_each_other([desktop, phone], DOCS / "report.jpg")
    return 0


def shoot(page: Path, out: Path, size: tuple[int, int], *, dark: bool = False) -> None:
    """A picture of the top of a page, size [width, height] in pixels.

    A browser's window has a least width: a narrow page stands in a frame, of which only that part is kept.
    """
    browser = find_browser()
    if browser is None:
        raise SetupError(f"no browser to take pictures with: install one of {', '.join(BROWSERS)}")
    width, height = size
    frame = out.with_suffix(".html")
    inside = f'<iframe src="{page.resolve().as_uri()}" style="border:0;width:{width}px;height:{height}px"></iframe>'
    frame.write_text(f'<!doctype html><body style="margin:0">{inside}')
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    command += [f"--window-size={max(width, 600)},{height}", f"--screenshot={out.resolve()}", frame.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    frame.unlink()
    with Image.open(out) as image:
        image.convert("RGB").crop((0, 0, width, height)).save(out)


def beside_each_other(paths: list[Path], out: Path) -> None:
    """Write the pictures side by side on white, at two thirds of their size, as JPEG."""
    images = [Image.open(path).convert("RGB") for path in paths]
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    sheet = Image.new("RGB", (width, max(image.height for image in images)), (255, 255, 255))
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + GAP
    small = sheet.resize((sheet.width * 2 // 3, sheet.height * 2 // 3), Image.Resampling.LANCZOS)
    with atomic.replacing(out) as temporary:
        small.save(temporary, "JPEG", quality=88, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
