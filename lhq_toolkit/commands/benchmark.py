"""`lhq benchmark`: train, measure and rank generators on one dataset."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lhq_toolkit import __version__
from lhq_toolkit.commands.machine import Device, DeviceName, Threads
from lhq_toolkit.commands.options import Json, RayAddress, Subset, Workers
from lhq_toolkit.commands.train import Budget, Seed, Settings
from manifests.errors import MisuseError

if TYPE_CHECKING:
    import torch

    from benchmarks.leaderboard import Row
    from benchmarks.recipes import Recipe
    from benchmarks.reference import Reference
    from lhq_toolkit.benchmark_data import Found

MODELS = "locogan,alis,alis-nocoords,stylegan2"
PAPER_HOURS = 60.0  # 2.5 days
DATASET = "tower, bridge, lhq, lhq1024, sample; another name; or the path of an export or a dataset folder."
AT_ONCE = "Models trained at once, on Ray; 0: one after the other, in this process."


class Ablation(StrEnum):
    """What may be varied."""

    DISTANCE = "distance"


class Until(StrEnum):
    """When a training ends."""

    IMAGES = "images"
    TIME = "time"


def benchmark(
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help=DATASET)],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="PATH", help="Where it lies, if not at LHQ_DATA/NAME.", show_default="$LHQ_DATA/NAME"
        ),
    ] = None,
    models: Annotated[str, typer.Option("--models", metavar="ID,...", help="Model ids, separated by commas.")] = MODELS,
    ablation: Annotated[
        Ablation | None, typer.Option("--ablation", help="distance: ALIS with d = 1, 2, 4, 8 besides.")
    ] = None,
    budget: Budget = "smoke",
    until: Annotated[
        Until, typer.Option("--until", help="images: all of the budget's; time: at most the paper's 2.5 days.")
    ] = Until.IMAGES,
    resolution: Annotated[
        int | None,
        typer.Option(
            "--resolution",
            metavar="PIXELS",
            min=8,
            max=1024,
            help="Where pictures are made.",
            show_default="the set's; smoke: 64",
        ),
    ] = None,
    crops: Annotated[
        int | None,
        typer.Option(
            "--crops",
            metavar="N",
            min=1,
            max=1000,
            help="Per photo, where pictures are made.",
            show_default="the set's",
        ),
    ] = None,
    subset: Subset = "curated",
    seed: Seed = 0,
    set_: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Where runs go.", show_default="out/benchmark/NAME"),
    ] = None,
    board: Annotated[
        Path | None,
        typer.Option(
            "--leaderboard",
            metavar="FILE.csv",
            show_default="leaderboards/NAME.csv",
            help="Where the rows go; a page is written beside it.",
        ),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only tell the steps, GPU-hours, disk, and what is done.")
    ] = False,
    side_by_side: Annotated[
        int | None,
        typer.Option(
            "--side-by-side", metavar="N", min=0, help=AT_ONCE, show_default="one per GPU; smoke on CPU: one per core"
        ),
    ] = None,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_: Json = False,
) -> int:
    """Curate and export the data, train the models, measure them, add a row each to the leaderboard and print it.

    Killed anywhere, the same command goes on; what is finished is not made again. A page with pictures and figures
    lies beside the leaderboard.
    """
    from lhq_toolkit.commands.machine import prepare

    chosen = prepare(device, threads)  # before PyTorch is imported
    from benchmarks import leaderboard
    from lhq_toolkit import benchmark as pipeline
    from lhq_toolkit import benchmark_data, show
    from models.weights import cache_folder

    found = benchmark_data.find(dataset, data)
    name = found.name
    place = out or Path("out/benchmark") / name
    settings = [*(set_ or []), *([f"hours={PAPER_HOURS}"] if until is Until.TIME else [])]
    names = [one.strip() for one in models.split(",") if one.strip()]
    if not names and ablation is None:
        raise MisuseError(f"--models {models}: name one at least")
    size = benchmark_data.resolution_of(found, budget, resolution)
    asked = pipeline.Asked(names, budget, seed, settings, ablation is not None)
    recipes = asked.recipes(name, size)  # tells at once what is wrong
    if plan:
        return _plan(found, place, recipes, crops, json_)
    cut = pipeline.Cut(size, crops or (found.known.crops if found.known else 1), subset, workers, ray_address)
    source = pipeline.training_pictures(found, place, budget, cut, __version__)
    prepare(device, threads)  # again: pictures were made with all cores
    pictures = pipeline.read_pictures(source)
    recipes = asked.recipes(name, pictures.resolution)
    reference = pipeline.reference(pictures, cache_folder(), chosen)
    at_once = 0 if workers == 0 and side_by_side is None and ray_address is None else side_by_side
    if at_once != 0:
        where = _Where(source, place, device, threads, at_once, ray_address)
        _train_what_is_left(recipes, reference, where)
    table = board or Path("leaderboards") / f"{name}.csv"
    rows = _rows(recipes, reference, place, table, chosen)
    page = _page(table, place)
    if json_:
        told = {"leaderboard": str(table), "page": str(page), "rows": [dataclasses.asdict(row) for row in rows]}
        print(json.dumps(told))
    else:
        print(show.leaderboard(leaderboard.latest(leaderboard.read(table))))
        print(f"{table}; look at {page}; runs in {place}")
    return 0


def _plan(found: Found, place: Path, recipes: list[Recipe], crops: int | None, json_: bool) -> int:
    from lhq_toolkit import benchmark_plan

    steps = benchmark_plan.steps(found, place, recipes, crops)
    first = recipes[0]
    title = f"benchmark of {found.name}, budget {first.budget}, {first.resolution}x{first.resolution}"
    print(json.dumps([dataclasses.asdict(one) for one in steps]) if json_ else benchmark_plan.as_text(title, steps))
    return 0


@dataclasses.dataclass(frozen=True)
class _Where:
    """Where trainings run that run at once."""

    data: Path
    place: Path
    device: DeviceName
    threads: int | None
    at_once: int | None
    ray_address: str | None


def _train_what_is_left(recipes: list[Recipe], reference: Reference, where: _Where) -> None:
    """Train what is not finished, several at once where this machine or the cluster has room for it."""
    from benchmarks import runs
    from lhq_toolkit import benchmark, training
    from models.weights import cache_folder
    from pipelines.engine import version

    folders = {recipe: benchmark.run_of(recipe, reference.pictures, where.place) for recipe in recipes}
    left = [recipe for recipe in recipes if not runs.is_finished(recipe, folders[recipe])]
    room = training.room(len(left), all(one.budget == "smoke" for one in left), where.device, where.threads)
    if not left or (where.ray_address is None and (where.at_once or room.at_once) < 2):
        return
    _ = reference.real  # its statistics are kept: each process then reads them
    works = [
        training.Together(
            recipe=recipe,
            data=where.data.resolve(),
            run=folders[recipe].resolve(),
            cache=cache_folder(),
            device=where.device,
            threads=room.threads,
            toolkit=__version__,
            checkout=version.checkout(),
            at_once=None,
            compile=False,
        )
        for recipe in left
    ]
    training.train_side_by_side(works, room, where.ray_address, where.at_once)


def _rows(recipes: list[Recipe], reference: Reference, place: Path, table: Path, device: torch.device) -> list[Row]:
    """A row for each recipe, trained (where that is left) and measured one after the other, so that times are true."""
    from benchmarks import leaderboard
    from lhq_toolkit import benchmark

    rows = []
    for recipe in recipes:
        rows.append(benchmark.one(recipe, reference, place, device, __version__))
        leaderboard.add(table, rows[-1])
    return rows


def _page(table: Path, place: Path) -> Path:
    """Write the page beside the leaderboard, where it is another than the one that is there."""
    from benchmarks import leaderboard
    from lhq_toolkit.board import page, pictures, view
    from manifests import atomic

    rows = leaderboard.latest(leaderboard.read(table))
    drawn = pictures.drawn_below(place, rows)
    groups = view.groups(rows, {row.recipe_hash: one.recipe for row, one in drawn.items()})
    out = table.with_suffix(".html")
    text = page.html(table.stem, groups, drawn, __version__).encode("utf-8", errors="replace")
    if not out.is_file() or out.read_bytes() != text:
        atomic.write_bytes(out, text)
    return out
