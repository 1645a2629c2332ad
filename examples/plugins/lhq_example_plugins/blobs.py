"""The detector `blobs`: finds compact patches of a colour that their surroundings lack: a coat, a car, a balloon.

It has no weights and tells no classes apart: everything is a `blob`. Colours are compared as red against green and
yellow against blue, so that light and shadow do not count. Which blobs matter, a list of classes says:

    lhq filter DATASET --objects --set objects.detector=blobs --set objects.classes=blobs.txt

where the file holds the line `blob 0.5 0.0015`: the least score, and the least share of the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from models.detectors.base import RGB, Detections, Frame, PluginDetector, Scale

NEAR, FAR = 1.0, 8.0  # pixels: colours smoothed so far are compared, those of a patch with what is around it
STANDS_OUT = 15.0  # levels of 255 between them, from which a pixel may belong to a patch
LEAST, LARGEST = 0.0015, 0.1  # share of the picture
FILLED = 0.45  # of its box, at least
WIDEST = 2.5  # times its height: clouds and horizons are wider
CLEAR = 2.5  # times as far from the ring around it as that varies in itself
RING = (2, 5)  # pixels from the patch
HALF = 35.0  # levels at which the score is one half

Colours = npt.NDArray[np.float32]  # [height, width, 2]
Mask = npt.NDArray[np.bool_]  # [height, width]


class Blobs(PluginDetector):
    """Looks at pictures with a short side of 160 pixels. The score grows with the difference to what is around.

    A box may be FAR pixels too wide on each side where the difference is large.
    """

    name = "blobs"
    version = 1
    min_side = 160
    classes = ("blob",)
    scale = Scale(160, 640, step=1)

    def __init__(self, weights: Path | None, device: torch.device) -> None:
        """It has neither weights nor use for a graphics card."""

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """See `Detector.detect`."""
        return [_found(frame.pixels) for frame in frames]


def _found(pixels: RGB) -> Detections:
    colours = _opponent(pixels)
    height, width = colours.shape[:2]
    rows = []
    for mask, score in _patches(colours):
        y, x = np.nonzero(mask)
        box = (x.min() / width, y.min() / height, (x.max() + 1) / width, (y.max() + 1) / height)
        rows.append((box, score, mask.mean()))
    rows.sort()
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    scores, areas = (np.array([row[at] for row in rows], np.float32) for at in (1, 2))
    return Detections(("blob",) * len(rows), scores, boxes, areas)


def _opponent(pixels: RGB) -> Colours:
    red, green, blue = np.moveaxis(pixels.astype(np.float32), 2, 0)
    return np.stack([red - green, (red + green) / 2 - blue], 2)


def _patches(colours: Colours) -> Iterator[tuple[Mask, float]]:
    """Patches that are compact and clear, with their scores."""
    near, far = (ndimage.gaussian_filter(colours, (far, far, 0), mode="nearest") for far in (NEAR, FAR))
    labels, _ = ndimage.label(np.linalg.norm(near - far, axis=2) > STANDS_OUT)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        mask = labels == number
        rows, columns = (part.stop - part.start for part in place)
        if not LEAST <= mask.mean() <= LARGEST or mask[place].mean() < FILLED or columns > WIDEST * rows:
            continue
        inner, outer = (ndimage.binary_dilation(mask, iterations=reach) for reach in RING)
        ring = outer & ~inner
        if not ring.any():
            continue
        away = float(np.linalg.norm(colours[mask].mean(0) - colours[ring].mean(0)))
        if away > CLEAR * (1 + float(np.sqrt(colours[ring].var(0).sum()))):
            yield mask, away / (away + HALF)
