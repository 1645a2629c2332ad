"""Runs the review page until it is interrupted."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn

from lhq_toolkit.guard import ENTER, Door, Guard, hosts_of
from lhq_toolkit.review.app import make_app
from lhq_toolkit.review.desk import Desk

PORT = 8765


def serve(
    root: Path, subset: str, reviewers: Sequence[str], sock: socket.socket, ready: Callable[[dict[str, str], int], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told each reviewer's address and how many photos there are."""
    desk = Desk(root, subset)
    try:
        hosts = hosts_of(sock)
        door = Door()
        guard = Guard(make_app(desk, decoders=min(4, os.cpu_count() or 1)), door, hosts, cookie_of(sock))
        server = uvicorn.Server(
            uvicorn.Config(
                guard, log_level="warning", access_log=False, server_header=False, proxy_headers=False, ws="none"
            )
        )
        addresses = {one: f"http://{hosts[0]}{ENTER}?token={door.invite(one)}" for one in reviewers}
        ready(addresses, len(desk.index().rows))
        server.run(sockets=[sock])
    finally:
        desk.close()


def cookie_of(sock: socket.socket) -> str:
    """The session's name: browsers keep cookies by host, whatever the port."""
    return f"lhq-review-{sock.getsockname()[1]}"
