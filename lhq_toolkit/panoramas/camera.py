"""A camera that travels along a panorama at an even speed: the pictures of a video, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lhq_toolkit.panoramas.stream import Pixels, Stream
from manifests.errors import MisuseError

RATE = 30  # pictures a second


@dataclass(frozen=True)
class Path:
    """Views of 16:9, each a whole number of pixels farther right than the one before, so that none is resampled.

    Raises MisuseError for a panorama that is narrower than a view.
    """

    height: int
    width: int  # of the panorama
    step: int  # pixels from a view to the next

    def __post_init__(self) -> None:
        if self.width < self.view:
            raise MisuseError(f"a camera sees {self.view} pixels at once, the panorama has {self.width}: make it wider")

    @property
    def view(self) -> int:
        """Pixels; even, as video formats want it."""
        return round(self.height * 8 / 9) * 2

    @property
    def count(self) -> int:
        """Views."""
        return (self.width - self.view) // self.step + 1

    @property
    def speed(self) -> float:
        """Frames of the panorama a second."""
        return self.step * RATE / self.height

    def views(self, stream: Stream) -> Iterator[Pixels]:
        """uint8 [height, view, 3] each."""
        held = np.empty((self.height, 0, 3), np.uint8)
        skip = 0  # pixels that lie before the next view and have not come yet
        for block in stream.blocks:
            held = np.concatenate([held, block], 1)
            while held.shape[1] - skip >= self.view:
                held, skip = held[:, skip:], self.step
                yield held[:, : self.view]
            if skip <= held.shape[1]:
                continue
            skip, held = skip - held.shape[1], held[:, :0]


def path(height: int, width: int, speed: float) -> Path:
    """The path whose speed is nearest to `speed` frames of the panorama a second."""
    return Path(height, width, max(1, round(speed * height / RATE)))
