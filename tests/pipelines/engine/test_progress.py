"""Progress: plain lines at intervals off a terminal, a bar on one."""

from __future__ import annotations

import io

from pipelines.engine import progress as module
from pipelines.engine.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_off_a_terminal_a_plain_line_is_said_at_most_once_per_interval(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    with Progress("fetch", 40, stream=stream) as progress:
        for clock[0] in (3.0, 11.0, 12.0, 22.0):
            progress.advance(5)
    assert stream.getvalue().splitlines() == [
        "fetch: 10 of 40 photos, 0.91/s, about 33 s left",
        "fetch: 20 of 40 photos, 0.91/s, about 22 s left",
    ]


def test_on_a_terminal_a_bar_is_drawn():
    stream = Terminal()
    with Progress("fetch", 4, stream=stream) as progress:
        progress.advance(4)
    assert "fetch" in stream.getvalue()
    assert "4/4" in stream.getvalue()
