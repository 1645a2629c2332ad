"""`lhq serve`: look at an endless panorama in the browser."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lhq_toolkit.commands.evaluate import Checkpoint, Run
from lhq_toolkit.commands.machine import Device, DeviceName, Threads
from lhq_toolkit.commands.options import AllowRemote, Bind, Json

PORT = 8766


def serve(
    run: Run,
    checkpoint: Checkpoint = "last",
    viewers: Annotated[
        int,
        typer.Option(
            "--viewers", metavar="N", min=1, max=16, help="How many browsers may come in; each gets an address."
        ),
    ] = 1,
    cache: Annotated[int, typer.Option("--cache", min=1, metavar="MIB", help="Memory for tiles that were made.")] = 64,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=1,
            max=65535,
            show_default=f"{PORT}, or any where that is taken",
            help="The port.",
        ),
    ] = None,
    bind: Bind = "127.0.0.1",
    allow_remote: AllowRemote = False,
    device: Device = DeviceName.AUTO,
    threads: Threads = None,
    json_: Json = False,
) -> int:
    """Serve a page that shows the endless panorama of RUN, until Ctrl-C.

    It scrolls both ways with mouse, keys and touch; seed, place and what was drawn anew stand in the page's address.
    """
    from lhq_toolkit.guard import listen

    with listen(bind, port, PORT, allow_remote) as sock:
        from lhq_toolkit.commands.machine import prepare

        chosen = prepare(device, threads)  # before PyTorch is imported
        from lhq_toolkit.serve import server

        painter, about = server.open_run(run, chosen, checkpoint)

        def ready(addresses: list[str]) -> None:
            if json_:
                print(json.dumps({"addresses": addresses, "model": about.model}), flush=True)
                return
            size = f"{painter.grid.height}x{painter.grid.height}"
            print(f"{run}: {about.model} at {size}, {about.images:,} images seen, on {about.device}. Open, works once:")
            for address in addresses:
                print(f"  {address}")
            print("Ctrl-C ends.", flush=True)

        server.serve(painter, about, cache * 2**20, viewers, sock, ready)
    return 0
