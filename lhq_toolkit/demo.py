"""`make demo`: the whole road on the sample photographs and painted scenes, with the commands a user would type."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

OUT = Path("out/demo")
SCENES = 300
MIN_SIDE = 256
RESOLUTION = 64


def main(out: Path = OUT, scenes: int = SCENES) -> int:
    """Run the demo from the checkout's root; returns the first exit code that is not 0."""
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    dataset = out / "dataset"
    say(f"LHQ Toolkit demo: 9 photographs and {scenes} painted scenes, everything under {out}/")
    steps = [
        (
            "1. Crawl: the sample photographs with their rights, and painted scenes. Some scenes carry a planted\n"
            "   fault (a false tag, a small size, a subject in the middle), so that each filter finds something.",
            f"crawl {dataset} --source folder --path samples --metadata samples/metadata.csv "
            f"--source synthetic --limit {scenes}",
        ),
        (
            f"2. Filter. LHQ keeps photographs of at least 1,024 pixels; these are small, so the demo says {MIN_SIDE}.",
            f"filter {dataset} --tags --resolution --invariance --set resolution.min_side={MIN_SIDE}",
        ),
        (
            f"3. Export what is left as {RESOLUTION}x{RESOLUTION} pictures, with attribution and sums.",
            f"export {dataset} {out / 'export'} --format folder --resolution {RESOLUTION}",
        ),
        (
            "4. One flat table of everything that was seen and why it is in or out.",
            f"manifest {dataset} -o {out}/manifest.parquet",
        ),
    ]
    for title, command in steps:
        say(f"\n{title}\n$ lhq {command}")
        code = subprocess.run([sys.executable, "-m", "lhq_toolkit.cli", *shlex.split(command)], check=False).returncode
        if code != 0:
            return code
    sheet = out / "contact_sheet.png"
    _contact_sheet(dataset, sheet)
    say(f"\nDone in {time.monotonic() - started:.0f} s. Look at {sheet}: what was kept, and what each filter rejected.")
    return 0


def say(text: str) -> None:
    """Print at once, so that our lines stand in order with those of the commands."""
    print(text, flush=True)


def _contact_sheet(folder: Path, sheet: Path) -> None:
    from lhq_toolkit import contact_sheet
    from manifests import recipes
    from manifests.dataset import Dataset
    from pipelines.filter import existing
    from pipelines.funnel import walk

    dataset = Dataset.open(folder)
    contact_sheet.draw(walk(dataset, existing(dataset, recipes.DEFAULT)), sheet)


if __name__ == "__main__":
    sys.exit(main())
