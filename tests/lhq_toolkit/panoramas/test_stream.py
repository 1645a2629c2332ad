"""A stream is cut anew without losing a pixel, and every writer keeps little of it in memory."""

from __future__ import annotations

import errno
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming import pixels

from lhq_toolkit.panoramas import camera, deep_zoom, png, strips, video
from lhq_toolkit.panoramas.stream import Pixels, Stream, refuse_existing
from manifests.errors import MisuseError

HEIGHT = 64


def _webp_video(path: Path, one: Stream) -> None:
    way = camera.Path(one.height, one.width, one.width // 40)
    video.write_webp(path, way.views(one), way.view, way.height)


WRITERS: dict[str, Callable[[Path, Stream], object]] = {
    "a.png": png.write,
    "strips": strips.write,
    "a.dzi": deep_zoom.write,
    "a.webp": _webp_video,
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(1, 90))
def test_pieces_are_the_blocks_cut_anew(blocks: list[int], width: int) -> None:
    whole = pixels(4, sum(blocks))
    ends = np.cumsum([0, *blocks])
    pieces = list(Stream(4, sum(blocks), [whole[:, a:b] for a, b in itertools.pairwise(ends)]).pieces(width))
    assert np.array_equal(np.concatenate(pieces, 1), whole)
    assert all(piece.shape[1] == width for piece in pieces[:-1])
    assert 0 < pieces[-1].shape[1] <= width


def _peak(write: Callable[[Path, Stream], object], path: Path, frames: int) -> int:
    """Bytes of Python and numpy."""
    block = pixels(HEIGHT, 4 * HEIGHT)
    tracemalloc.start()
    write(path, Stream(HEIGHT, frames * HEIGHT, (block.copy() for _ in range(frames // 4))))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_memory_does_not_grow_with_the_length(tmp_path: Path, name: str) -> None:
    """400 frames more are 4.9 MB of pixels."""
    warm, short, long = (tmp_path / folder / name for folder in ("warm", "short", "long"))
    for path in (warm, short, long):
        path.parent.mkdir()
    _peak(WRITERS[name], warm, 8)
    less, more = _peak(WRITERS[name], short, 264), _peak(WRITERS[name], long, 664)
    assert more - less < 400_000


@pytest.mark.parametrize("name", WRITERS)
def test_what_fails_half_way_leaves_nothing(tmp_path: Path, name: str) -> None:
    def blocks() -> Iterator[Pixels]:
        yield pixels(HEIGHT, 2000)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        WRITERS[name](tmp_path / name, Stream(HEIGHT, 4000, blocks()))
    assert Path(caught.value.filename) == tmp_path / name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRITERS)
def test_what_came_meanwhile_is_not_written_over(tmp_path: Path, name: str) -> None:
    def blocks() -> Iterator[Pixels]:
        yield pixels(HEIGHT, 1000)
        (tmp_path / name).write_bytes(b"mine")
        yield pixels(HEIGHT, 1000)

    with pytest.raises(MisuseError, match="exists"):
        WRITERS[name](tmp_path / name, Stream(HEIGHT, 2000, blocks()))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"mine"


def test_what_is_there_is_refused(tmp_path: Path) -> None:
    refuse_existing(tmp_path / "a")
    with pytest.raises(MisuseError, match="exists"):
        refuse_existing(tmp_path / "a", tmp_path)
