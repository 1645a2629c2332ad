"""`lhq evaluate`: measure a run, and put its row into a leaderboard."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.machine import Device, DeviceName, Threads
from lhq_toolkit.commands.options import Json
from lhq_toolkit.commands.train import Data
from manifests.errors import MisuseError

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")]

Checkpoint = Annotated[
    str, typer.Option("--checkpoint", metavar="WHICH", help="last, best (by the distance while it trained), or a step.")
]


def evaluate(
    run: Run,
    data: Data,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            metavar="N",
            min=2,
            max=1_000_000,
            show_default="the budget's",
            help="How many frames to generate.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="NAME",
            help="inception, resnet18, wide_resnet50_2 or small.",
            show_default="inception where its file is, else small",
        ),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            "--resize",
            metavar="MODE",
            help="How pictures come to the network's size: clean, or legacy as in older tables.",
            show_default="clean",
        ),
    ] = None,
    board: Annotated[
        Path | None, typer.Option("--leaderboard", metavar="FILE.csv", help="Add the row to this leaderboard.")
    ] = None,
    streaming: Annotated[
        bool,
        typer.Option("--streaming", help="taming: wide pictures column by column, as its panoramas, not row by row."),
    ] = False,
    checkpoint: Checkpoint = "last",
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME", help="A metric of another package besides; repeatable."),
    ] = None,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    json_: Json = False,
) -> int:
    """Measure a checkpoint of RUN, the last, against DATA: distances, what panoramas show, speed, parameters.

    The distance is called FID only with the 2015 Inception, whose file lies in LHQ_CACHE; with other features it is
    a Frechet distance (fd). What stands behind the row is written to RUN/evaluation.json, and told by --json.
    """
    from lhq_toolkit.commands.machine import prepare
    from models.weights import cache_folder

    chosen = prepare(device, threads)  # before PyTorch is imported
    from benchmarks import leaderboard, plugin_metric, recipes
    from lhq_toolkit import benchmark, show

    recipe = recipes.load(run)
    measurement = recipes.MEASUREMENTS[recipe.budget]
    if streaming:
        if recipe.model != "taming":
            raise MisuseError(f"--streaming is for taming; a panorama of {recipe.model} has one order")
        measurement = dataclasses.replace(measurement, streaming=True)
    if frames is not None:
        few = min(frames, measurement.curve_frames)
        measurement = dataclasses.replace(measurement, frames=frames, curve_frames=few)
    metrics = plugin_metric.asked(metric or [])
    reference = benchmark.reference(benchmark.read_pictures(data), cache_folder(), chosen, features, resize)
    found = benchmark.evaluate(run, reference, measurement, chosen, __version__, checkpoint, metrics)
    if board is not None:
        leaderboard.add(board, found.row)
    if json_:
        print(json.dumps({**dataclasses.asdict(found.row), "details": found.details}))
    else:
        print(show.leaderboard([found.row]))
        for name, one in found.details.get("metrics", {}).items():
            print(f"{name}: {one['value']:.6g} ({one['about']}; {one['package']}, not in leaderboards)")
    return 0
