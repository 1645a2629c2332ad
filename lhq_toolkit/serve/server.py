"""Opens a run and serves its panorama until it is interrupted."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import runs
from benchmarks.networks import Endless
from lhq_toolkit.pages import serving
from lhq_toolkit.serve.app import About, make_app
from lhq_toolkit.serve.painter import Painter
from manifests.errors import MisuseError


def open_run(run: Path, device: torch.device, checkpoint: str) -> tuple[Painter, About]:
    """The generator of a run's checkpoint, and what there is to say of it.

    MisuseError for a model without an endless image.
    """
    snapshot = runs.open_checkpoint(run, device, checkpoint)
    if not isinstance(snapshot.generator, Endless):
        raise MisuseError(
            f"{run}: {snapshot.recipe.model} makes single frames, or panoramas from their left end only; "
            "serve a run of alis, alis-nocoords or locogan, or see frames with: lhq generate"
        )
    name = run.resolve().name
    about = About(name, snapshot.recipe.model, snapshot.images, runs.device_name(device))
    return Painter(snapshot.generator), about


def serve(
    painter: Painter,
    about: About,
    kept: int,
    viewers: int,
    sock: socket.socket,
    ready: Callable[[list[str]], None],
) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is told an address for each viewer; `kept`: bytes of tiles."""
    visitors = [str(one) for one in range(viewers)]
    app = make_app(painter, about, kept)
    serving.run(app, sock, "serve", visitors, lambda addresses: ready(list(addresses.values())))
