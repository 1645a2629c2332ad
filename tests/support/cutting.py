"""A proxy on this machine that breaks connections off in the middle of what is sent through them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Cutting:
    """limit: bytes that each connection may send before it is broken off; None: as many as it likes."""

    port: int
    limit: int | None = None
    cuts: int = 0


@contextlib.contextmanager
def cutting(target: int) -> Iterator[Cutting]:
    """A proxy to a port of the loopback, while the context lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        state = Cutting(listener.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # closed: the test is over
                    return
                server = socket.create_connection(("127.0.0.1", target))
                threading.Thread(target=_pass_on, args=(client, server, state, True), daemon=True).start()
                threading.Thread(target=_pass_on, args=(server, client, state, False), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield state
        listener.close()


def _pass_on(source: socket.socket, to: socket.socket, state: Cutting, upwards: bool) -> None:
    """Copy until one side ends, or the limit is passed."""
    sent = 0
    with contextlib.suppress(OSError):
        while content := source.recv(16384):
            sent += len(content)
            if upwards and state.limit is not None and sent > state.limit:
                state.cuts += 1
                break
            to.sendall(content)
    for one in (source, to):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()
