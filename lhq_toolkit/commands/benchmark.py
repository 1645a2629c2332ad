"""`lhq benchmark`: train, measure and rank generators on one dataset."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.machine import Device, DeviceName, Threads
from lhq_toolkit.commands.options import Json, Subset, Workers
from lhq_toolkit.commands.train import Budget, Seed, Settings
from manifests.errors import MisuseError, SetupError

if TYPE_CHECKING:
    from benchmarks.recipes import Recipe


def benchmark(
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="What the leaderboard calls the data.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="An export or a dataset folder.", show_default="$LHQ_DATA/NAME"),
    ] = None,
    models: Annotated[str, typer.Option("--models", help="Model ids, separated by commas.")] = "stylegan2,alis",
    budget: Budget = "smoke",
    resolution: Annotated[
        int, typer.Option("--resolution", min=8, max=1024, help="Of the pictures, where a dataset is exported.")
    ] = 64,
    crops: Annotated[int, typer.Option("--crops", min=1, help="Per photo, where a dataset is exported.")] = 1,
    subset: Subset = "curated",
    seed: Seed = 0,
    set_: Settings = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where runs go.", show_default="out/benchmark/NAME")
    ] = None,
    board: Annotated[
        Path | None, typer.Option("--leaderboard", metavar="FILE.csv", show_default="leaderboards/NAME.csv")
    ] = None,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    workers: Workers = None,
    json_: Json = False,
) -> int:
    """Train the models on the data, measure them, add a row each to the leaderboard and print it.

    Killed anywhere, the same command goes on; what is finished is not made again.
    """
    from lhq_toolkit.commands.machine import prepare
    from models.weights import cache_folder

    if Path(dataset).name != dataset:
        raise MisuseError(f"--dataset {dataset!r}: a plain name is wanted; where the data lies is said by --data")
    place = out or Path("out/benchmark") / dataset
    source = _source(dataset, data)
    chosen = prepare(device, threads)  # before PyTorch is imported
    from benchmarks import leaderboard
    from lhq_toolkit import benchmark as pipeline
    from lhq_toolkit import show

    wanted = [name.strip() for name in models.split(",") if name.strip()]
    for name in wanted:
        _recipe(name, dataset, budget, resolution, seed, set_)  # says at once what does not exist
    if not wanted:
        raise MisuseError(f"--models {models}: name one at least")
    pictures = pipeline.pictures(source, place, pipeline.Cut(resolution, crops, subset, workers), __version__)
    table = board or Path("leaderboards") / f"{dataset}.csv"
    reference = pipeline.reference(pictures, cache_folder(), chosen)
    rows = []
    for name in wanted:
        recipe = _recipe(name, dataset, budget, pictures.resolution, seed, set_)
        rows.append(pipeline.one(recipe, reference, place, chosen, __version__))
        leaderboard.add(table, rows[-1])
    if json_:
        print(json.dumps({"leaderboard": str(table), "rows": [dataclasses.asdict(row) for row in rows]}))
    else:
        print(show.leaderboard(leaderboard.latest(leaderboard.read(table))))
        print(f"{table}; runs in {place}")
    return 0


def _recipe(model: str, dataset: str, budget: str, resolution: int, seed: int, settings: list[str] | None) -> Recipe:
    from benchmarks import recipes

    recipe = recipes.preset(model, dataset, budget, resolution)
    return recipes.with_settings(dataclasses.replace(recipe, seed=seed), settings or [])


def _source(name: str, data: Path | None) -> Path:
    if data is None:
        home = os.environ.get("LHQ_DATA")
        if not home:
            raise MisuseError(f"where is {name}? give --data PATH, or set LHQ_DATA to the folder that holds {name}")
        data = Path(home) / name
    if not data.exists():
        raise SetupError(f"{data} does not exist: give --data an export or a dataset folder")
    return data
