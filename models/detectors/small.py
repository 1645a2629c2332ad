"""A small detector of ours, for trying and testing the stage: it knows the painted things of the synthetic source.

Each cell of a map, a quarter of the frame's size, says which thing it is the middle of, how far that reaches to each
side, and whether it lies inside of any (after FCOS, Tian et al. 2019, arXiv:1904.01355). On photographs what
it says means nothing. `small_training.py` is how it learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from models.detectors.base import MASK, Detections, Detector, Frame, Scale, batch, detections, fractions
from models.detectors.example import CLASSES
from models.weights import WeightsError

SCALE = Scale(160, 320)
STRIDE = 4  # pixels of the frame per cell of the maps
MOST = 40  # things a frame
LEAST_SCORE = 0.05
NMS = 0.5  # overlap (intersection over union) from which the weaker of two boxes goes
# Added to the logits of middles and insides, chosen on painted scenes: so that scores mean about what those of other
# detectors do, under the same thresholds; so that thin limbs, which fill their cells only in part, count as area.
SURE, WIDE = 1.5, 0.6
GREY, SPREAD = 127.5, 60.0  # mean and deviation of pixels, for all colours


def _block(channels: int, wider: int, stride: int = 1) -> nn.Sequential:
    """A full convolution of 3x3."""
    return nn.Sequential(
        nn.Conv2d(channels, wider, 3, stride, 1, bias=False), nn.BatchNorm2d(wider), nn.ReLU(inplace=True)
    )


def _light_block(channels: int, wider: int, stride: int = 1) -> nn.Sequential:
    """The same with few parameters: each channel by itself, then all channels of a pixel."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, wider, 1, bias=False),
        nn.BatchNorm2d(wider),
        nn.ReLU(inplace=True),
    )


class _Added(nn.Sequential):
    """Light blocks whose results are added to what goes in."""

    def forward(self, x: Tensor) -> Tensor:
        for block in self:
            x = x + block(x)
        return x


class SmallNetwork(nn.Module):
    """Frames [n, 3, height, width] to maps [n, classes + 6, height / 4, width / 4].

    Channels: logits of which class it is, the logit of the middle of any thing, logarithms of the distances (in cells)
    to left, top, right and bottom, the logit of the inside of any thing. Sides must be multiples of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_block(3, 12, 2), _block(12, 24, 2))  # a quarter
        self.eighth = nn.Sequential(_block(24, 48, 2), _block(48, 48))
        self.sixteenth = nn.Sequential(_light_block(48, 64, 2), _Added(_light_block(64, 64), _light_block(64, 64)))
        self.thirtysecond = nn.Sequential(_light_block(64, 96, 2), _Added(_light_block(96, 96), _light_block(96, 96)))
        self.from_32, self.from_16, self.from_8 = nn.Conv2d(96, 64, 1), nn.Conv2d(64, 48, 1), nn.Conv2d(48, 24, 1)
        self.join = _block(24, 32)
        self.out = nn.Conv2d(32, len(CLASSES) + 6, 1)
        nn.init.constant_(self.out.bias[len(CLASSES)], -4.0)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        quarter = self.stem(x)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        sixteenth = sixteenth + _enlarged(self.from_32(self.thirtysecond(sixteenth)))
        eighth = eighth + _enlarged(self.from_16(sixteenth))
        maps: Tensor = self.out(self.join(quarter + _enlarged(self.from_8(eighth))))
        return maps


def _enlarged(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class SmallDetector(Detector):
    """The trained network; `weights` are those of `models.detectors.SMALL_FILE`, or of a training of one's own."""

    classes = CLASSES
    scale = SCALE

    def __init__(self, weights: Mapping[str, Tensor], device: torch.device | str = "cpu") -> None:
        """Raises WeightsError where the tensors are not those of this network."""
        network = SmallNetwork()
        try:
            network.load_state_dict({name: value.float() for name, value in weights.items()})
        except RuntimeError as error:
            raise WeightsError(f"the weights are not those of the small detector ({str(error)[:200]})") from error
        self._network = network.to(device).eval()
        self._grey, self._spread = (torch.full((3, 1, 1), value, device=device) for value in (GREY, SPREAD))

    @torch.inference_mode()
    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """See `Detector.detect`."""
        maps = self._network(batch(frames, SCALE, self._grey, self._spread))
        return [_found(one, frame) for one, frame in zip(maps, frames, strict=True)]


def _found(maps: Tensor, frame: Frame) -> Detections:
    """The things of one frame from its maps [classes + 6, rows, columns]; the score is that of being any thing."""
    count = len(CLASSES)
    middle = (maps[count] + SURE).sigmoid()
    peaks = middle * (functional.max_pool2d(middle[None], 3, 1, 1)[0] == middle)
    scores, at = peaks.flatten().topk(MOST)
    at = at[scores > LEAST_SCORE]
    row, column = at // middle.shape[1], at % middle.shape[1]
    labels = maps[:count, row, column].argmax(0)
    boxes = boxes_of(maps[count + 1 : count + 5, row, column].T, row, column)
    boxes = ops.clip_boxes_to_image(boxes, (frame.pixels.shape[0], frame.pixels.shape[1]))
    kept = ops.nms(boxes, scores[: len(at)], NMS)
    boxes, scores, labels = boxes[kept], scores[: len(at)][kept], labels[kept]
    inside = (maps[None, -1:] + WIDE).sigmoid()
    masks = ops.roi_align(inside, [boxes], MASK, spatial_scale=1 / STRIDE, sampling_ratio=1, aligned=True)[:, 0]
    return detections(CLASSES, labels, scores, fractions(boxes, frame), masks)


def boxes_of(distances: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Boxes [n, 4] in pixels of the frame from logarithms of distances [n, 4] at cells (row, column), each [n]."""
    left, top, right, bottom = distances.clamp(-4, 5).exp().unbind(1)
    x, y = column + 0.5, row + 0.5
    return torch.stack([x - left, y - top, x + right, y + bottom], 1) * STRIDE
