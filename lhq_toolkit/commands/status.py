"""`lhq status`: the funnel as it stands."""

from __future__ import annotations

import json

from lhq_toolkit.commands.options import DatasetPath, Json, Subset
from lhq_toolkit.terminal import say


def status(dataset: DatasetPath, subset: Subset = "curated", json_: Json = False) -> int:
    """Print how many photos each stage of a subset's recipe keeps, why the others are out, and what was exported."""
    from lhq_toolkit import show
    from manifests import recipes
    from manifests.dataset import Dataset
    from pipelines.filter import existing
    from pipelines.funnel import walk

    opened = Dataset.open(dataset)
    recipe = existing(opened, subset)
    funnel = walk(opened, recipe, columns=())
    if json_:
        print(json.dumps(show.status(funnel)))
    else:
        say(show.funnel(funnel, recipe.name, recipe))
        others = [name for name in recipes.names(opened.root) if name != recipe.name]
        if others:
            say(f"other subsets: {', '.join(others)}")
        for line in show.exports(opened.root, funnel, recipe.name):
            say(line)
    return 0
