"""`lhq generate`: pictures from a trained run."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lhq_toolkit.commands.evaluate import Checkpoint, Run
from lhq_toolkit.commands.machine import Device, DeviceName, Threads
from lhq_toolkit.commands.options import Json
from manifests.errors import MisuseError

if TYPE_CHECKING:
    from lhq_toolkit.panoramas.output import Kind
    from lhq_toolkit.panoramas.wishes import Wishes

CODES = "Codes of taming"
FARTHEST = 2**48  # frames


class StripFormat(StrEnum):
    """What `--strips` may say."""

    PNG = "png"
    WEBP = "webp"


def generate(
    run: Run,
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="A folder of frames; or a panorama as FILE.png, FILE.webp, FILE.dzi (tiled pyramid) or a folder of "
            "strips.",
        ),
    ],
    frames: Annotated[
        int | None,
        typer.Option("--frames", metavar="N", min=1, max=1_000_000, help="Write so many independent frames."),
    ] = None,
    panorama: Annotated[
        int | None,
        typer.Option(
            "--panorama", metavar="N", min=1, help="Write an endless panorama's stretch, so many frames wide."
        ),
    ] = None,
    connect: Annotated[
        str | None,
        typer.Option(
            "--connect",
            metavar="A,B,...",
            help="Write the panorama that leads from one to the next: SEED (its anchor 0), SEED-NUMBER (a frame, named "
            "as --frames names its files), or FILE.safetensors (latents w or z).",
        ),
    ] = None,
    equivariance: Annotated[
        bool,
        typer.Option("--equivariance", help="Write frames of shifted anchors below each other; tell how they differ."),
    ] = False,
    start: Annotated[
        int,
        typer.Option(
            "--start", metavar="N", min=-FARTHEST, max=FARTHEST, help="The panorama's first frame; may be negative."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=2**64 - 1, help="Which world.")] = 0,
    truncation: Annotated[
        float, typer.Option("--truncation", metavar="X", min=0.0, max=1.0, help="Below 1: less varied, more usual.")
    ] = 1.0,
    resample: Annotated[
        list[str] | None,
        typer.Option(
            "--resample",
            metavar="FIRST:COUNT:SEED",
            help="Draw COUNT anchors from FIRST on from another seed; the rest stays bit for bit. Repeatable.",
        ),
    ] = None,
    swap: Annotated[
        list[str] | None,
        typer.Option(
            "--swap",
            metavar="FIRST:OTHER:COUNT",
            help="Let COUNT anchors from FIRST and from OTHER on change places. Repeatable.",
        ),
    ] = None,
    nearest: Annotated[
        int | None,
        typer.Option(
            "--nearest",
            metavar="N",
            min=2,
            max=256,
            help="Every second anchor: of so many that nearest to its neighbours.",
        ),
    ] = None,
    clusters: Annotated[
        int | None,
        typer.Option(
            "--clusters",
            metavar="N",
            min=2,
            max=256,
            help="All anchors from one of so many clusters, that of anchor 0.",
        ),
    ] = None,
    strips: Annotated[StripFormat, typer.Option("--strips", help="What the strips of a folder are.")] = StripFormat.PNG,
    pan: Annotated[
        float | None,
        typer.Option(
            "--pan",
            min=0.01,
            max=100.0,
            metavar="SPEED",
            help="Write a video, FILE.mp4 or FILE.webp: a camera travels along, so many frames a second.",
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="X", help=f"{CODES}: logits are divided by it.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option("--top-k", metavar="K", help=f"{CODES}: only the K likeliest; 0: all.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", metavar="P", help=f"{CODES}: only the likeliest that together have this probability."),
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
    bfloat16: Annotated[
        bool, typer.Option("--bfloat16", help=f"{CODES}: weights of half the size, nearly twice as fast on a CPU.")
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
    """Generate frames or a panorama with a checkpoint of RUN, the last. A seed gives the same pictures everywhere.

    A panorama is written while it is made, whatever its length. Anchor k stands at frame k times the run's
    anchor_distance (2); one that changes is seen as far as its neighbours.
    """
    from lhq_toolkit.panoramas import wishes

    wished = wishes.read(resample or [], swap or [], connect, nearest, clusters)
    if sum((frames is not None, panorama is not None, connect is not None, equivariance)) != 1:
        raise MisuseError("say what to draw: one of --frames N, --panorama N, --connect A,B,... and --equivariance")
    streamed = panorama is not None or connect is not None
    _refuse_idle(streamed, start if frames or connect else 0, wished, pan)
    if (sliding_window or decode_whole) and not streamed:
        raise MisuseError("--sliding-window and --decode-whole are for panoramas: use them with --panorama")
    kind = _kind(out, streamed, equivariance, pan, strips)
    from lhq_toolkit.commands.machine import prepare

    chosen = prepare(device, threads)
    from benchmarks import generate as pictures
    from benchmarks import runs
    from lhq_toolkit import generating

    codes = pictures.Codes(temperature, top_k, top_p, sliding_window, decode_whole, bfloat16)
    snapshot = pictures.with_codes(runs.open_checkpoint(run, chosen, checkpoint), codes)
    if fast:
        snapshot, choice = pictures.fastest(snapshot, whole_tiles=frames is None)
        print(choice.told(), file=sys.stderr)
    if frames is not None:
        made = generating.frames(snapshot, out, frames, seed, truncation)
    elif equivariance:
        made = generating.equivariance(snapshot, out, seed, start, truncation)
    else:
        assert kind is not None
        asked = generating.Panorama(wished, seed, start, panorama, truncation, codes)
        made = generating.panorama(snapshot, asked, out, kind, strips.value, pan)
    print(json.dumps(made.facts) if json_ else made.told)
    return 0


def _refuse_idle(streamed: bool, start: int, wished: Wishes, pan: float | None) -> None:
    """MisuseError for an option that would change nothing."""
    if start:
        raise MisuseError("--start is where a panorama begins: use it with --panorama or --equivariance")
    if wished.some and not streamed:
        raise MisuseError("--resample, --swap, --nearest and --clusters change a panorama: use them with --panorama")
    if pan is not None and not streamed:
        raise MisuseError("--pan is a camera's way along a panorama: use it with --panorama or --connect")


def _kind(out: Path, streamed: bool, equivariance: bool, pan: float | None, strips: StripFormat) -> Kind | None:
    """What OUT asks for; None for frames and the figure."""
    from lhq_toolkit.panoramas import output

    kind = output.kind_of(out, pan is not None) if streamed else None
    if strips is not StripFormat.PNG and kind is not output.Kind.STRIPS:
        raise MisuseError("--strips is for a folder of strips: name OUT without an ending")
    if equivariance and out.suffix.lower() != ".png":
        raise MisuseError(f"-o {out}: the figure is a PNG file; give a name that ends in .png")
    return kind
