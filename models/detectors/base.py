"""What every detector takes and gives: frames of a size that it names, and the things found in them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from models.weights import WeightsError

RGB = npt.NDArray[np.uint8]  # [height, width, 3]
Floats = npt.NDArray[np.float32]

MASK = 28  # cells along each side of a mask
INSIDE = 0.5  # probability from which a cell of a mask belongs to the thing


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one picture, by class and then from left to right.

    `boxes` are left, top, right, bottom as fractions of the picture's width and height, `areas` the fraction of the
    picture that each thing covers, `scores` in [0, 1].
    """

    classes: tuple[str, ...]
    scores: Floats  # [n]
    boxes: Floats  # [n, 4]
    areas: Floats  # [n]

    def __post_init__(self) -> None:
        count = len(self.classes)
        if not (self.scores.shape == self.areas.shape == (count,) and self.boxes.shape == (count, 4)):
            raise ValueError("classes, scores, boxes and areas must tell of the same things")

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(frozen=True)
class Frame:
    """A picture at the size that a detector looks at: uint8 [height, width, 3]."""

    pixels: RGB

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        return int(self.pixels.nbytes)


@dataclass(frozen=True)
class Scale:
    """The size a detector looks at: the short side `short` pixels, the long one at most `longest`.

    Frames are padded below and to the right to multiples of `step`, each by itself: what is found in a picture does
    not depend on which others are looked at beside it.
    """

    short: int
    longest: int
    step: int = 32

    def frame(self, image: RGB) -> Frame:
        """The picture enlarged or reduced; reduced, every pixel is a mean of those it covers (Pillow's triangle)."""
        height, width = image.shape[:2]
        factor = min(self.short / min(height, width), self.longest / max(height, width))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        if size == (width, height):
            return Frame(np.ascontiguousarray(image))
        return Frame(np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)))

    def padded(self, frame: Frame) -> tuple[int, int]:
        """Height and width of the frame with its padding."""
        height, width = (math.ceil(side / self.step) * self.step for side in frame.pixels.shape[:2])
        return height, width


class Detector(ABC):
    """A network with its weights, on a device. `classes` are the names that it may give."""

    classes: Sequence[str]
    scale: Scale

    @abstractmethod
    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """What is in each of the frames, which are of the same padded size. Scores below 0.05 are left out."""


class PluginDetector(Detector):
    """A detector of another package: `--set objects.detector=<its name>`. Made once in each worker."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever it would find something else in the same picture
    min_side: ClassVar[int]  # pictures are decoded so that their short side has at least so many pixels

    @abstractmethod
    def __init__(self, weights: Path | None, device: torch.device) -> None:
        """`weights`: what `weights_file` said. Raises WeightsError for a file that is not its own."""

    @classmethod
    def weights_file(cls, given: Path | None) -> Path | None:
        """Its file of weights, where it needs one; `given` is what `--set objects.weights=PATH` says.

        The file's hash, like `version`, is part of what a measurement hangs on. Raises WeightsError, with what to do.
        """
        if given is not None:
            raise WeightsError(f"{cls.name} has no weights: leave out objects.weights")
        return None

    @classmethod
    def problem(cls) -> str | None:
        """What is wrong with the class as it is declared; None where nothing is seen to be."""
        wrong = [name for name in ("version", "min_side") if not isinstance(getattr(cls, name, None), int)]
        if wrong:
            return f"states no {wrong[0]}, a whole number"
        if not isinstance(getattr(cls, "scale", None), Scale) or not getattr(cls, "classes", None):
            return "states no scale, or no classes that it may find"
        return None


def batch(frames: Sequence[Frame], scale: Scale, mean: Tensor, deviation: Tensor) -> Tensor:
    """Frames as float32 [n, 3, height, width] on the device of `mean` [3, 1, 1]: normalised, then padded by zeros.

    Mean and deviation are those of pixels in [0, 255].
    """
    height, width = scale.padded(frames[0])
    out = mean.new_zeros((len(frames), 3, height, width))
    for at, frame in enumerate(frames):
        rows, columns = frame.pixels.shape[:2]
        pixels = torch.tensor(frame.pixels, device=mean.device).permute(2, 0, 1).float()
        out[at, :, :rows, :columns] = (pixels - mean) / deviation
    return out


def areas(masks: Tensor, boxes: Tensor) -> Tensor:
    """The fraction of the picture that each thing covers, [n], without its mask being drawn into the picture.

    `masks` are probabilities [n, MASK, MASK] over the boxes [n, 4] (left, top, right, bottom as fractions). Each cell
    stands for an equal part of the box.
    """
    width, height = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).unbind(1)
    return (masks >= INSIDE).float().mean((1, 2)) * width * height


def detections(names: Sequence[str], labels: Tensor, scores: Tensor, boxes: Tensor, masks: Tensor) -> Detections:
    """The value of one picture from a network's tensors: `labels` are places in `names`, boxes are fractions.

    What lies wholly outside the picture, or has no extent, is left out.
    """
    boxes = boxes.clamp(0, 1)
    there = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    labels, scores, boxes, masks = labels[there], scores[there], boxes[there], masks[there]
    share = areas(masks, boxes)
    classes = [names[label] for label in labels.tolist()]
    places = boxes.tolist()
    order = sorted(range(len(classes)), key=lambda at: (classes[at], places[at]))
    chosen = torch.tensor(order, dtype=torch.long, device=boxes.device)

    def numbers(values: Tensor) -> Floats:
        return values[chosen].float().cpu().numpy()

    return Detections(tuple(classes[at] for at in order), numbers(scores), numbers(boxes), numbers(share))


def fractions(boxes: Tensor, frame: Frame) -> Tensor:
    """Boxes [n, 4] in pixels of a frame as fractions of its width and height."""
    height, width = frame.pixels.shape[:2]
    return boxes / boxes.new_tensor([width, height, width, height])
