"""`lhq review`: judge photos in the browser."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lhq_toolkit.commands.options import AllowRemote, Bind, DatasetPath, Json, Subset
from manifests.counts import plural


def review(
    dataset: DatasetPath,
    subset: Subset = "curated",
    reviewers: Annotated[
        list[str] | None,
        typer.Option("--reviewer", metavar="NAME", show_default="your login name", help="Who judges; repeatable."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=1,
            max=65535,
            show_default="8765, or any where that is taken",
            help="The port.",
        ),
    ] = None,
    bind: Bind = "127.0.0.1",
    allow_remote: AllowRemote = False,
    json_: Json = False,
) -> int:
    """Serve a page to keep or reject photos by keyboard, until Ctrl-C.

    Each reviewer gets an address that works once. Decisions are saved at once and override the filters: a photo that
    any reviewer rejects is out, another that one keeps is in.
    """
    from lhq_toolkit.guard import listen
    from lhq_toolkit.review.server import PORT, serve
    from manifests.dataset import Dataset

    opened = Dataset.open(dataset)
    names = _names(reviewers)

    def ready(addresses: dict[str, str], photos: int) -> None:
        if json_:
            print(json.dumps({"addresses": addresses, "photos": photos}), flush=True)
            return
        print(f"{dataset}: {plural(photos, 'photo')} to look at, subset {subset!r}. Open, each works once:")
        for name, address in addresses.items():
            print(f"  {name}: {address}")
        print("Decisions are saved as you make them. Ctrl-C ends.", flush=True)

    with listen(bind, port, PORT, allow_remote) as sock:
        serve(opened.root, subset, names, sock, ready)
    return 0


def _names(given: list[str] | None) -> list[str]:
    """The reviewers' names, in the order given."""
    import getpass

    from manifests.errors import MisuseError

    names = [" ".join(one.split()) for one in given or [getpass.getuser()]]
    if wrong := [one for one in names if not one or len(one) > 64 or not one.isprintable()]:
        raise MisuseError(f"--reviewer {wrong[0]!r}: give a name of at most 64 characters")
    return list(dict.fromkeys(names))
