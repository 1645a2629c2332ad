"""A panorama as a Deep Zoom pyramid: tiles of 512 pixels at every scale, for viewers that load what they show.

FILE.dzi tells the size, FILE_files/<level>/<column>_<row>.png are the tiles, without overlap; level 0 is one pixel,
the last the picture. A pixel of a level is the mean of four of the level above (at an odd edge, of those there are),
computed while the picture passes: in memory is about a tile of each level's columns.

The format is that of Microsoft's Deep Zoom, as OpenSeadragon reads it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lhq_toolkit.panoramas.stream import Stream, new_folder, refuse_existing
from manifests import atomic

TILE = 512  # pixels
UNFINISHED = f"{atomic.TEMPORARY}unfinished"  # stands among the tiles until FILE.dzi is there
_FILE = """<?xml version="1.0" encoding="UTF-8"?>
<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="png" Overlap="0" TileSize="{tile}">
  <Size Width="{width}" Height="{height}"/>
</Image>
"""

Means = NDArray[np.float32]  # [height, width, 3], in levels of 255


def tiles_of(path: Path) -> Path:
    """The folder of the tiles that belong to FILE.dzi."""
    return path.with_name(f"{path.stem}_files")


def settle(path: Path) -> None:
    """Bring to an end what a killed command left: tiles without their FILE.dzi go, a whole pyramid loses the mark."""
    tiles = tiles_of(path)
    if not (tiles / UNFINISHED).exists():
        return
    if path.exists():
        (tiles / UNFINISHED).unlink(missing_ok=True)
    else:
        atomic.remove_folder(tiles)


def write(path: Path, stream: Stream) -> None:
    """Write the pyramid; FILE.dzi comes last, when all tiles are in their place. On any error nothing remains."""
    last = (max(stream.width, stream.height) - 1).bit_length()
    tiles = tiles_of(path)
    with new_folder(tiles) as folder, atomic.named(path):
        (folder / UNFINISHED).touch()
        level = _Level(folder, last)
        for block in stream.blocks:
            level.add(block.astype(np.float32))
        level.finish()
    try:
        text = _FILE.format(tile=TILE, width=stream.width, height=stream.height)
        refuse_existing(path)
        atomic.write_bytes(path, text.encode())
    except BaseException:
        atomic.remove_folder(tiles)
        raise
    (tiles / UNFINISHED).unlink()


class _Level:
    """One scale, which passes its halves on to the next smaller one."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder / str(number)
        self._folder.mkdir()
        self._smaller = _Level(folder, number - 1) if number else None
        self._tile: list[Means] = []  # what is waiting to be a tile's width
        self._width = 0
        self._column = 0  # of tiles
        self._odd: Means | None = None  # a last column of pixels without its neighbour

    def add(self, block: Means) -> None:
        """Go on to the right, by a block of at least one column."""
        if self._smaller is not None:
            self._halve(block if self._odd is None else np.concatenate([self._odd, block], 1))
        while block.shape[1]:
            part = block[:, : TILE - self._width]
            block = block[:, part.shape[1] :]
            self._tile.append(part)
            self._width += part.shape[1]
            if self._width == TILE:
                self._write()

    def finish(self) -> None:
        """There is no more."""
        if self._width:
            self._write()
        if self._smaller is not None:
            if self._odd is not None:
                self._smaller.add(_halved(np.concatenate([self._odd, self._odd], 1)))
            self._smaller.finish()

    def _halve(self, block: Means) -> None:
        assert self._smaller is not None
        even = block.shape[1] // 2 * 2
        self._odd = block[:, even:].copy() if block.shape[1] > even else None
        if even:
            self._smaller.add(_halved(block[:, :even]))

    def _write(self) -> None:
        tile = np.rint(np.concatenate(self._tile, 1)).astype(np.uint8)
        for row, top in enumerate(range(0, len(tile), TILE)):
            Image.fromarray(tile[top : top + TILE]).save(self._folder / f"{self._column}_{row}.png", "PNG")
        self._tile, self._width = [], 0
        self._column += 1


def _halved(block: Means) -> Means:
    """Half the height and width; the width is even."""
    if len(block) % 2:
        block = np.concatenate([block, block[-1:]])
    rows = block[::2] + block[1::2]
    return ((rows[:, ::2] + rows[:, 1::2]) / 4).astype(np.float32, copy=False)
