"""`lhq train`: train a generator on an export."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.machine import Device, DeviceName, Threads
from lhq_toolkit.commands.options import Json, RayAddress
from manifests.errors import MisuseError

DATA_HELP = "An export, or a folder or zip of square pictures of one size."
Data = Annotated[Path, typer.Argument(metavar="DATA", help=DATA_HELP)]
Budget = Annotated[
    str,
    typer.Option(
        "--budget",
        metavar="BUDGET",
        help="smoke: minutes on 2 CPU cores; small: minutes on one GPU; paper: the paper's.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=2**64 - 1, help="Of everything random in a training.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A number of the recipe; repeatable.")
]


def train(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name of `lhq models`: alis, taming, ...")],
    data: Data,
    run: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="The run's folder.")],
    budget: Budget = "smoke",
    seed: Seed = 0,
    set_: Settings = None,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="N", min=0, help="Processes that train together on Ray, a GPU each; 0: this process."
        ),
    ] = 0,
    ray_address: RayAddress = None,
    at_once: Annotated[
        int | None,
        typer.Option(
            "--at-once", metavar="N", min=1, help="Pictures at once in a process: fewer need less memory, not accuracy."
        ),
    ] = None,
    compile_: Annotated[
        bool, typer.Option("--compile", help="Compile the steps, but not the regularisers: for a GPU. Takes minutes.")
    ] = False,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    json_: Json = False,
) -> int:
    """Train MODEL on DATA. The same command again goes on from the last checkpoint, with the same numbers.

    RUN/recipe.json says every number that matters, RUN/metrics.jsonl the losses of each step and, at the start and
    at some checkpoints, the distance to the pictures; RUN/samples has pictures of the way, RUN/report.html tells of it
    on one page, and RUN/tensorboard is for TensorBoard.
    """
    from lhq_toolkit.commands.machine import prepare
    from models.weights import cache_folder

    chosen = prepare(DeviceName.CPU if workers else device, threads)  # before PyTorch is imported
    from benchmarks import presets, recipes
    from benchmarks.execution import Execution
    from lhq_toolkit import benchmark, training
    from pipelines.engine import version
    from pipelines.engine.threads import cores

    presets.check_names(model, budget)  # a misspelt name is told before anything about the pictures
    read = benchmark.read_pictures(data)
    recipe = presets.preset(model, read.dataset, budget, read.resolution)
    recipe = presets.with_settings(dataclasses.replace(recipe, seed=seed), set_ or [])
    recipe = presets.with_perceptual(recipe)
    if workers:
        each = threads or max(1, cores() // workers)
        trained = training.train_together(
            training.Together(
                recipe=recipe,
                data=data.resolve(),
                run=run.resolve(),
                cache=cache_folder(),
                device=device,
                threads=each,
                toolkit=__version__,
                checkout=version.checkout(),
                at_once=at_once,
                compile=compile_,
            ),
            workers,
            ray_address,
        )
    else:
        if ray_address is not None:
            raise MisuseError("--ray-address goes with --workers N: how many processes train there")
        execution = Execution(at_once=at_once, compile=compile_)
        reference = benchmark.reference(read, cache_folder(), chosen)
        trained = training.train(recipe, reference, run, chosen, __version__, execution)
    if json_:
        print(json.dumps({"run": str(run), "recipe_hash": recipes.recipe_hash(recipe), **dataclasses.asdict(trained)}))
        return 0
    print(f"{run}: {model} has seen {trained.images:,} images in {trained.seconds / 60:,.1f} minutes of training")
    print(benchmark.distances_text(run))
    return 0
