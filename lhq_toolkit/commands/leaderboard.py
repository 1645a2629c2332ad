"""`lhq leaderboard`: read published rows."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit.commands.options import Json

app = typer.Typer(help="Leaderboards: a CSV per dataset, a row per measured run.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("show")
def show_(
    board: Annotated[Path, typer.Argument(metavar="FILE.csv", help="The leaderboard.")],
    json_: Json = False,
) -> int:
    """Print the latest row of every run; only rows that are comparable are ranked together."""
    from benchmarks import leaderboard
    from lhq_toolkit import show

    rows = leaderboard.latest(leaderboard.read(board))
    if json_:
        print(json.dumps([dataclasses.asdict(row) for row in rows]))
    else:
        print(show.leaderboard(rows))
    return 0
