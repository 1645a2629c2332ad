"""`lhq filter`: measure what is missing, decide, print the funnel."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer

from lhq_toolkit.commands.options import DatasetPath, Json, RayAddress, Subset, Workers
from lhq_toolkit.terminal import say

if TYPE_CHECKING:
    from manifests.dataset import Dataset
    from pipelines.filter import Request


def filter_(
    dataset: DatasetPath,
    tags: Annotated[bool, typer.Option("--tags", help="Reject photos with a tag on the blacklist.")] = False,
    resolution: Annotated[
        bool, typer.Option("--resolution", help="Reject photos with a short side too small.")
    ] = False,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Of photos that show the same picture keep one.")
    ] = False,
    objects: Annotated[
        bool, typer.Option("--objects", help="Reject photos with people, animals, vehicles, furniture.")
    ] = False,
    likelihood: Annotated[
        bool, typer.Option("--likelihood", help="Reject the photos that are least like the set.")
    ] = False,
    invariance: Annotated[
        bool, typer.Option("--invariance", help="Reject photos whose halves tell where in the frame they lie.")
    ] = False,
    everything_named: Annotated[bool, typer.Option("--all", help="All of these stages.")] = False,
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="NAME", help="A stage by its name, also of another package; repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STAGE.NAME=VALUE", help="A threshold or parameter; repeatable."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="BUDGET", help="smoke, small or paper: the networks that suit it, for the stages named."
        ),
    ] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", metavar="STAGE", help="Take a stage out.")] = None,
    subset: Subset = "curated",
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit the named stages anew on the photos there are now.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--everything", help="Measure all photos, also those an earlier stage rejects.")
    ] = False,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Measure again the images that met an error.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell what would be measured and about how long it takes.")
    ] = False,
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_: Json = False,
) -> int:
    """Put the named stages into the subset's recipe, measure what is missing, decide and print the funnel.

    Stages that are not named stay as they were. Thresholds given with --set are kept in the recipe; a new
    threshold decides again and measures nothing.
    """
    from lhq_toolkit import show
    from manifests import recipes
    from manifests.dataset import Dataset
    from pipelines import filter as pipeline
    from pipelines.engine.pool import open_pool
    from pipelines.filters import OURS

    named = {
        "tags": tags,
        "resolution": resolution,
        "duplicates": duplicates,
        "objects": objects,
        "likelihood": likelihood,
        "invariance": invariance,
    }
    stages = tuple(dict.fromkeys([*(name for name in OURS if everything_named or named[name]), *(stage or ())]))
    request = pipeline.Request(
        subset=subset,
        stages=stages,
        settings=pipeline.with_budget(pipeline.parse_settings(set_ or []), budget, stages),
        drop=tuple(drop or ()),
        refit=refit,
        everything=everything,
        retry_errors=retry_errors,
    )
    opened = Dataset.open(dataset)
    if dry_run:
        return _dry_run(opened, request, workers, json_)
    is_new = subset != recipes.DEFAULT and recipes.load(opened.root, subset) is None
    with open_pool(workers, ray_address) as pool:
        filtered = pipeline.run(opened, request, pool)
    if json_:
        notes = {outcome.stage: outcome.notes for outcome in filtered.funnel.outcomes if outcome.notes}
        facts = {"subset": subset, "measured": show.measured(filtered), "notes": notes}
        print(json.dumps({**facts, **show.status(filtered.funnel)}))
    else:
        if is_new:
            say(f"subset {subset!r} is new" + ("" if request.stages else ", a copy of 'curated'"))
        say(show.funnel(filtered.funnel, subset, filtered.recipe))
        say(show.measured_text(filtered))
    return 0


def _dry_run(dataset: Dataset, request: Request, workers: int | None, json_: bool) -> int:
    from lhq_toolkit import show
    from pipelines.dry_run import plan

    planned = plan(dataset, request, workers)
    print(json.dumps({"stages": [dataclasses.asdict(one) for one in planned]}) if json_ else show.planned(planned))
    return 0
