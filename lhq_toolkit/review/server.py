"""Runs the review page until it is interrupted."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from lhq_toolkit.pages import serving
from lhq_toolkit.review.app import make_app
from lhq_toolkit.review.desk import Desk

PORT = 8765


def serve(
    root: Path, subset: str, reviewers: Sequence[str], sock: socket.socket, ready: Callable[[dict[str, str], int], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told each reviewer's address and how many photos there are."""
    desk = Desk(root, subset)
    try:
        app = make_app(desk, decoders=min(4, os.cpu_count() or 1))
        serving.run(app, sock, "review", reviewers, lambda addresses: ready(addresses, len(desk.index().rows)))
    finally:
        desk.close()
