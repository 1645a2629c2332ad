"""Draws tiles with a generator, one at a time, as PNG files: without loss, so that tiles can be put together."""

from __future__ import annotations

import io
import threading

import torch
from PIL import Image

from benchmarks import measure
from benchmarks.networks import Endless
from benchmarks.plugin_model import PluginEndless
from benchmarks.worlds import World
from lhq_toolkit.serve.world import Tile, grid_of
from manifests.errors import SetupError
from models import inference
from models.anchors import Anchors

QUICK = 1  # of zlib's levels: tiles cross no network


class Painter:
    """A generator made ready for nothing but generating; safe to use from several threads."""

    def __init__(self, generator: Endless) -> None:
        self.grid = grid_of(generator)
        self._generator: Endless = generator if isinstance(generator, PluginEndless) else inference.ready(generator)
        self._turn = threading.Lock()

    def png(self, tile: Tile) -> bytes:
        """The tile as a PNG file. Raises SetupError where memory does not suffice."""
        seen, columns = tile.world, self.grid.columns
        world = World(self._generator, seen.seed, seen.truncation, Anchors(edits=seen.redrawn))
        try:
            with self._turn:  # beside it the tile before is encoded
                strip = measure.pixels(world.columns(tile.index * columns, columns)).cpu()
        except torch.OutOfMemoryError as error:
            raise SetupError(
                "the GPU's memory is full: end what else runs on it, or serve with --device cpu"
            ) from error
        out = io.BytesIO()
        Image.fromarray(strip.permute(1, 2, 0).numpy()).save(out, "PNG", compress_level=QUICK)
        return out.getvalue()
