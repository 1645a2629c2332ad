"""A host that says exactly the bytes it is told to, whatever they are."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Answer = bytes | Callable[[socket.socket], None]


@dataclass
class Host:
    """A server that says exactly these bytes, one answer per request; the last is repeated."""

    answers: list[Answer]
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    at: list[float] = field(default_factory=list)

    def url(self, path: str = "/a.jpg") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while True:
                request = b""
                while b"\r\n\r\n" not in request:
                    if not (piece := client.recv(65536)):
                        return
                    request += piece
                self.requests.append(request)
                self.at.append(time.monotonic())
                answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
                if callable(answer):
                    answer(client)
                    return
                client.sendall(answer)


@contextlib.contextmanager
def host(*answers: Answer) -> Iterator[Host]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Host(list(answers), port=listener.getsockname()[1])
        threading.Thread(target=one.serve, args=(listener,), daemon=True).start()
        yield one
        listener.shutdown(socket.SHUT_RDWR)
