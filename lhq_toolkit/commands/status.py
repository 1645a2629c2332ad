"""`lhq status`: the funnel as it stands."""

from __future__ import annotations

import json

from lhq_toolkit.commands.options import DatasetPath, Json


def status(dataset: DatasetPath, json_: Json = False) -> int:
    """Print how many photos each stage of the subset `curated` keeps, and why the others are out."""
    from lhq_toolkit import show
    from manifests import recipes
    from manifests.dataset import Dataset
    from pipelines.funnel import walk

    opened = Dataset.open(dataset)
    recipe = recipes.load(opened.root, recipes.DEFAULT) or recipes.Recipe(recipes.DEFAULT)
    funnel = walk(opened, recipe, columns=())
    if json_:
        print(json.dumps(show.status(funnel)))
    else:
        print(show.funnel(funnel, recipe.name, recipe))
        others = [name for name in recipes.names(opened.root) if name != recipe.name]
        if others:
            print(f"other subsets: {', '.join(others)}")
    return 0
