"""`lhq generate`: pictures from a trained run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit.commands.evaluate import Checkpoint, Run
from lhq_toolkit.commands.machine import Device, DeviceName, Threads
from lhq_toolkit.commands.options import Json
from manifests.errors import MisuseError

CODES = "Codes of taming"


def generate(
    run: Run,
    out: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A folder, or FILE.png of a panorama.")],
    frames: Annotated[int | None, typer.Option("--frames", min=1, help="Write so many independent frames.")] = None,
    panorama: Annotated[
        int | None, typer.Option("--panorama", min=1, help="Write one picture, so many frames wide.")
    ] = None,
    start: Annotated[int, typer.Option("--start", help="The panorama's first frame; may be negative.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**64 - 1, help="Which world.")] = 0,
    truncation: Annotated[
        float, typer.Option("--truncation", min=0.0, max=1.0, help="Below 1: less varied, more usual.")
    ] = 1.0,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help=f"{CODES}: logits are divided by it.")
    ] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", help=f"{CODES}: only the K likeliest; 0: all.")] = None,
    top_p: Annotated[
        float | None, typer.Option("--top-p", help=f"{CODES}: only the likeliest that together have this probability.")
    ] = None,
    sliding_window: Annotated[
        bool,
        typer.Option(
            "--sliding-window", help="Panoramas of taming: the paper's order, row by row, instead of columns."
        ),
    ] = False,
    decode_whole: Annotated[
        bool, typer.Option("--decode-whole", help="With --sliding-window: all pixels at once, not frame by frame.")
    ] = False,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="First time float32, bfloat16 and compiled bfloat16 here, and take the fastest: for many frames. "
            "Pictures differ by a rounding.",
        ),
    ] = False,
    checkpoint: Checkpoint = "last",
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    json_: Json = False,
) -> int:
    """Generate frames or a panorama with a checkpoint of RUN, the last. A seed gives the same pictures everywhere."""
    if (frames is None) == (panorama is None):
        raise MisuseError("say either --frames N or --panorama N")
    if frames is not None and start:
        raise MisuseError("--start is where a panorama begins: use it with --panorama")
    if panorama is not None and out.suffix.lower() != ".png":
        raise MisuseError(f"-o {out}: a panorama is a PNG file; give a name that ends in .png")
    from lhq_toolkit.commands.machine import prepare

    chosen = prepare(device, threads)
    from benchmarks import generate as pictures
    from benchmarks import runs

    codes = pictures.Codes(temperature, top_k, top_p, sliding_window, decode_whole)
    snapshot = pictures.with_codes(runs.open_checkpoint(run, chosen, checkpoint), codes)
    if fast:
        snapshot, choice = pictures.fastest(snapshot)
        print(choice.told(), file=sys.stderr)
    if frames is not None:
        made = [str(path) for path in pictures.frames(snapshot, out, frames, seed, truncation)]
    else:
        assert panorama is not None
        pictures.panorama(snapshot, out, panorama, seed, start=start, truncation=truncation, codes=codes)
        made = [str(out)]
    print(json.dumps({"files": made}) if json_ else f"{out}: {frames or panorama:,} frames of seed {seed}")
    return 0
