"""A PNG that was written while its pixels came has these pixels, to every reader."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streaming import pixels, stream

from lhq_toolkit.panoramas import png
from lhq_toolkit.panoramas.stream import Pixels, Stream
from manifests.errors import MisuseError


@pytest.mark.parametrize(("height", "width", "block"), [(1, 1, 1), (8, 3, 2), (64, 1000, 256), (5, 40_001, 999)])
def test_the_pixels_are_those_that_came(tmp_path: Path, height: int, width: int, block: int) -> None:
    """40,001 pixels are three pieces of a row."""
    png.write(tmp_path / "a.png", stream(height, width, block))
    with Image.open(tmp_path / "a.png") as image:
        image.verify()
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), pixels(height, width))


def test_it_is_hardly_larger_than_other_programs_make_it(tmp_path: Path) -> None:
    png.write(tmp_path / "a.png", stream(64, 4000))
    Image.fromarray(pixels(64, 4000)).save(tmp_path / "b.png")
    assert (tmp_path / "a.png").stat().st_size < 1.25 * (tmp_path / "b.png").stat().st_size


def test_what_no_program_would_open_is_refused_with_what_will_do(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="dzi"):
        png.write(tmp_path / "a.png", stream(1, png.LARGEST_WIDTH + 1))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_told_before_the_first_pixel_is_made(small_disk: Path) -> None:
    made = []

    def blocks() -> Iterator[Pixels]:
        made.append(1)
        yield pixels(64, 8000)

    with pytest.raises(OSError, match="No space left") as caught:
        png.write(small_disk / "a.png", Stream(64, 8000, blocks()))
    assert Path(caught.value.filename).name == "a.png"
    assert not made
    assert list(small_disk.iterdir()) == []
    assert (
        subprocess.run(["df", "--output=used", small_disk], capture_output=True, check=True).stdout.split()[-1] == b"0"
    )


def test_a_disk_that_has_room_for_the_pixels_and_not_for_the_file_keeps_neither(small_disk: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 3000, 3), np.uint8)  # 576 kB, which no packing makes less
    with pytest.raises(OSError, match="No space left"):
        png.write(small_disk / "a.png", Stream(64, 3000, [noise[:, :1000], noise[:, 1000:]]))
    assert list(small_disk.iterdir()) == []
