"""An export whose own list tells nothing may hold anything; a list without end is not read to it."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from pipelines import handed_on
from pipelines.export.rights import TABLE


@pytest.mark.parametrize("content", [b"", b"file\n1\n", b"file,photo_id\n1\n", b"\xff,photo_id\n", b"a\0,b\n", None])
def test_an_export_whose_list_tells_nothing_is_one_that_may_hold_it(tmp_path: Path, content: bytes | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    if content is None:
        os.mkfifo(out / TABLE)  # which nobody ever writes to
    else:
        (out / TABLE).write_bytes(content)
    noted = [{"out": str(out)}, {"out": "a\0b"}, {"out": "http://[::1"}, {"out": "s3://a:b@c/d"}]
    assert handed_on.holding(noted, {"folder:a.png"}, [one["out"] for one in noted[2:]]) == [
        {**one, "holds": None, "asked": True} for one in noted
    ]


def test_a_list_that_has_no_end_is_left_before_it_fills_the_memory(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / TABLE).open("wb") as stream:
        stream.truncate(2**40)  # of nothing but zeros, on no disk
    tracemalloc.start()
    try:
        assert handed_on.holding([{"out": str(out)}], {"x"}, [])[0]["holds"] is None
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
