"""Mask R-CNN of torchvision (He et al. 2017, arXiv:1703.06870), trained on COCO: its parts, without drawing masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.image_list import ImageList

from models.detectors.base import Detections, Detector, Frame, Scale, batch, detections, fractions
from models.weights import WeightsError

CLASSES: Sequence[str] = detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"]
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, in [0, 1]


class TorchvisionRCNN(Detector):
    """`maskrcnn_resnet50_fpn_v2` or `maskrcnn_resnet50_fpn`.

    Frames have a short side of 800 pixels and a long one of at most 1,333, as in COCO evaluations. Its own forward
    pass would draw every mask at the picture's full size, which takes longer than finding the things.
    """

    classes = CLASSES
    scale = Scale(800, 1333)

    def __init__(
        self, name: str, weights: Mapping[str, Tensor], device: torch.device | str = "cpu", scale: Scale | None = None
    ) -> None:
        """Raises WeightsError where the tensors are not those of this network."""
        self.scale = scale or self.scale
        self._network = _load(build(name), weights, name).to(device).eval()
        self._mean, self._deviation = (
            torch.tensor(values, device=device).view(3, 1, 1) * 255 for values in (_MEAN, _DEVIATION)
        )

    @torch.inference_mode()
    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """See `Detector.detect`; at most 100 things a picture."""
        images = batch(frames, self.scale, self._mean, self._deviation)
        sizes = [(frame.pixels.shape[0], frame.pixels.shape[1]) for frame in frames]
        features = self._network.backbone(images)
        proposals, _ = self._network.rpn(ImageList(images, sizes), features)
        found, _ = self._network.roi_heads(features, proposals, sizes)
        return [
            detections(CLASSES, one["labels"], one["scores"], fractions(one["boxes"], frame), one["masks"][:, 0])
            for one, frame in zip(found, frames, strict=True)
        ]


def build(name: str) -> Any:
    """The network without its weights; nothing is downloaded."""
    network = getattr(detection, name)(weights=None, weights_backbone=None)
    if name == "maskrcnn_resnet50_fpn":  # published with frozen norms that add nothing to the variance
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps = 0.0
    return network


def _load(network: Any, weights: Mapping[str, Tensor], name: str) -> Any:
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise WeightsError(f"the weights are not those of {name} ({first[:200]})") from error
    return network
