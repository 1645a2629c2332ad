"""`make demo`: the whole road on the sample photographs and painted scenes, with the commands a user would type."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

OUT = Path("out/demo")
SCENES = 300
MIN_SIDE = 256
RESOLUTION = 64
CROPS = 6
FRAMES = 8


def main(out: Path = OUT, scenes: int = SCENES, settings: Sequence[str] = ()) -> int:
    """Run the demo from the checkout's root; returns the first exit code that is not 0.

    `settings`: NAME=VALUE pairs of the recipes.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    dataset, export, runs = out / "dataset", out / f"pictures-{RESOLUTION}", out / "runs"
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
            "3. One flat table of everything that was seen and why it is in or out.",
            f"manifest {dataset} -o {out}/manifest.parquet",
        ),
        (
            f"4. Export {CROPS} pictures of {RESOLUTION}x{RESOLUTION} from each photo that is left, with attribution.",
            f"export {dataset} {export} --format folder --resolution {RESOLUTION} --crops {CROPS}",
        ),
        (
            "5. Train two small generators for a minute or two each, measure them, rank them. (Real trainings take a\n"
            "   GPU and hours: --budget small, --budget paper.)",
            f"benchmark --dataset demo --data {export} --models stylegan2,alis --budget smoke -o {runs} "
            f"--leaderboard {out / 'leaderboard.csv'} {' '.join(f'--set {one}' for one in settings)}",
        ),
    ]
    for title, command in steps:
        if (code := _lhq(title, command)) != 0:
            return code
    sheet, panorama = out / "contact_sheet.png", out / "panorama.png"
    _contact_sheet(dataset, sheet)
    panorama.unlink(missing_ok=True)  # ours, of an earlier demo
    alis = max(runs.glob("alis-*/row.json"), key=lambda path: path.stat().st_mtime).parent
    title = f"6. A panorama, {FRAMES} frames wide, with the ALIS just trained."
    if (code := _lhq(title, f"generate {alis} -o {panorama} --panorama {FRAMES} --seed 1")) != 0:
        return code
    say(
        f"\nDone in {time.monotonic() - started:.0f} s. Look at\n"
        f"  {sheet}: what was kept, and what each filter rejected\n"
        f"  {out / 'leaderboard.csv'}: a row per generator\n"
        f"  {panorama}: an endless landscape's first frames"
    )
    return 0


def _lhq(title: str, command: str) -> int:
    """Say what comes and run the command; returns its exit code."""
    say(f"\n{title}\n$ lhq {command}")
    return subprocess.run([sys.executable, "-m", "lhq_toolkit.cli", *shlex.split(command)], check=False).returncode


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
    contact_sheet.draw(walk(dataset, existing(dataset, recipes.DEFAULT), columns=()), sheet)


if __name__ == "__main__":
    sys.exit(main())
