"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lhq_toolkit.guard import REMOTE

DatasetPath = Annotated[Path, typer.Argument(metavar="DATASET", help="The dataset's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as JSON on standard output, and nothing else.")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", min=0, show_default="one per core", help="Parallel workers; 0: work in this process."
    ),
]
RayAddress = Annotated[
    str | None, typer.Option("--ray-address", metavar="ADDRESS", help="Use the Ray cluster at this address.")
]
Subset = Annotated[str, typer.Option("--subset", metavar="NAME", help="Which subset's recipe.")]
Bind = Annotated[
    str,
    typer.Option(
        "--bind",
        metavar="ADDRESS",
        help="The address of this machine to listen at; only this machine reaches 127.0.0.1.",
    ),
]
AllowRemote = Annotated[bool, typer.Option("--allow-remote", help=REMOTE)]
