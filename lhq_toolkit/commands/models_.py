"""`lhq models`: the networks and their sizes."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from lhq_toolkit.commands.options import Json
from manifests.errors import MisuseError


def models(
    resolution: Annotated[
        int, typer.Option("--resolution", metavar="PIXELS", help="Of the generated frames, in pixels.")
    ] = 256,
    json_: Json = False,
) -> int:
    """Print how many parameters each network has at its published sizes; those of other packages at their paper budget.

    What is wrong with a package is told on standard error.
    """
    from benchmarks import plugin_model
    from models.counts import counts

    try:
        found = counts(resolution)
    except ValueError as error:
        raise MisuseError(f"--{error}") from error
    theirs, wrong = plugin_model.all_counts(resolution)
    found |= theirs
    for line in wrong:
        print(f"lhq: {line}", file=sys.stderr)
    if json_:
        print(json.dumps(found))
        return 0
    print(f"{'model':<14}{'generator':>14}{'discriminator':>15}{'total':>14}   at {resolution}x{resolution}")
    for model, one in found.items():
        print(f"{model:<14}{one['generator']:>14,}{one['discriminator']:>15,}{one['total']:>14,}")
        if parts := one.get("parts"):
            print(f"{'':<14}" + " + ".join(f"{name} {count:,}" for name, count in parts.items()))
    return 0
