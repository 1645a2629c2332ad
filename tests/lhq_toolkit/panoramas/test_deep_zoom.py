"""A pyramid that was built while the panorama passed is the one that is built from the whole picture."""

import errno
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from comparing import files_of
from numpy.typing import NDArray
from PIL import Image
from streaming import pixels, stream

from lhq_toolkit.panoramas import deep_zoom
from lhq_toolkit.panoramas.stream import Pixels
from manifests import atomic


def _level(folder: Path, width: int, height: int) -> Pixels:
    """Its tiles, put together; every one has the size that it must have."""
    whole = np.zeros((height, width, 3), np.uint8)
    names = set()
    for column, left in enumerate(range(0, width, deep_zoom.TILE)):
        for row, top in enumerate(range(0, height, deep_zoom.TILE)):
            names.add(f"{column}_{row}.png")
            with Image.open(folder / f"{column}_{row}.png") as image:
                assert image.size == (min(deep_zoom.TILE, width - left), min(deep_zoom.TILE, height - top))
                whole[top : top + image.height, left : left + image.width] = np.asarray(image)
    assert {path.name for path in folder.iterdir()} == names
    return whole


def _halved(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each four; at an odd edge of those there are."""
    padded = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)), constant_values=np.nan)
    fours = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, 3)
    return np.nanmean(fours, axis=(1, 3))


@pytest.mark.parametrize(
    ("height", "width", "block"), [(64, 3001, 250), (600, 1100, 300), (8, 5000, 37), (1, 1, 1), (64, 512, 64)]
)
def test_every_level_is_the_mean_of_the_one_above(tmp_path: Path, height: int, width: int, block: int) -> None:
    deep_zoom.write(tmp_path / "a.dzi", stream(height, width, block))
    root = ET.parse(tmp_path / "a.dzi").getroot()
    space = "{http://schemas.microsoft.com/deepzoom/2008}"
    assert root.tag == space + "Image"
    assert root.attrib == {"Format": "png", "Overlap": "0", "TileSize": "512"}
    size = root.find(space + "Size")
    assert size is not None
    assert size.attrib == {"Width": str(width), "Height": str(height)}
    levels = max(width - 1, height - 1).bit_length()
    assert {path.name for path in (tmp_path / "a_files").iterdir()} == {str(level) for level in range(levels + 1)}
    expected = pixels(height, width).astype(np.float64)
    for level in range(levels, -1, -1):
        found = _level(tmp_path / "a_files" / str(level), expected.shape[1], expected.shape[0])
        assert np.abs(found - expected).max() <= 0.5 + 1e-4
        expected = _halved(expected)
    assert expected.shape == (1, 1, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dzi", "a_files"]


def test_tiles_without_their_file_do_not_remain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        deep_zoom.write(tmp_path / "a.dzi", stream(8, 600))
    assert list(tmp_path.iterdir()) == []


def test_tiles_that_a_killed_command_left_go_and_those_of_others_stay(tmp_path: Path, monkeypatch) -> None:
    deep_zoom.write(tmp_path / "a.dzi", stream(8, 600))
    whole = files_of(tmp_path)
    deep_zoom.settle(tmp_path / "a.dzi")
    assert files_of(tmp_path) == whole

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # as if neither the file was written nor the tiles were removed
        patch.setattr(atomic, "write_bytes", die)
        patch.setattr(atomic, "remove_folder", die)
        with pytest.raises(KeyboardInterrupt):
            deep_zoom.write(tmp_path / "b.dzi", stream(8, 600))
    assert (tmp_path / "b_files").exists()
    deep_zoom.settle(tmp_path / "b.dzi")
    assert files_of(tmp_path) == whole
    (tmp_path / "a_files" / deep_zoom.UNFINISHED).touch()  # killed when all was written
    deep_zoom.settle(tmp_path / "a.dzi")
    assert sorted(path.name for path in tmp_path.rglob(f"{atomic.TEMPORARY}*")) == []
    assert files_of(tmp_path) == whole
