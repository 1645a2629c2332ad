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

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")]


def evaluate(
    run: Run,
    data: Data,
    frames: Annotated[
        int | None, typer.Option("--frames", min=2, show_default="the budget's", help="How many frames to generate.")
    ] = None,
    board: Annotated[
        Path | None, typer.Option("--leaderboard", metavar="FILE.csv", help="Add the row to this leaderboard.")
    ] = None,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    json_: Json = False,
) -> int:
    """Measure the last checkpoint of RUN against DATA: distances, speed, parameters.

    The distance is called FID only where the 2015 Inception lies in LHQ_CACHE; else it is a Frechet distance (fd)
    on the features of a small fixed network.
    """
    from lhq_toolkit.commands.machine import prepare
    from models.weights import cache_folder

    chosen = prepare(device, threads)  # before PyTorch is imported
    from benchmarks import leaderboard, pictures, recipes
    from lhq_toolkit import benchmark, show

    recipe = recipes.load(run)
    measurement = recipes.MEASUREMENTS[recipe.budget]
    if frames is not None:
        measurement = dataclasses.replace(measurement, frames=frames)
    reference = benchmark.reference(pictures.read(data), cache_folder(), chosen)
    row = benchmark.evaluate(run, reference, measurement, chosen, __version__)
    if board is not None:
        leaderboard.add(board, row)
    print(json.dumps(dataclasses.asdict(row)) if json_ else show.leaderboard([row]))
    return 0
