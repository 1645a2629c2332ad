"""Mask R-CNN of detectron2's model zoo, by the name of its configuration, with weights of one's own choice.

detectron2 is on no package index: it is built from its source. What is imported of it is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.detectors import detectron2_is_installed, how_to_install_detectron2
from models.detectors.base import MASK, Detections, Detector, Frame, Scale, detections, fractions
from models.weights import WeightsError

CONFIG = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x"
_BUFFERS = ("pixel_mean", "pixel_std", "cell_anchors")  # made from the configuration, and not in every file


class Detectron2RCNN(Detector):
    """A configuration of the model zoo that has a mask head, such as COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.

    Frames have the size that the configuration tests with (800 pixels, at most 1,333).
    """

    def __init__(
        self,
        config: str,
        weights: Mapping[str, Tensor],
        device: torch.device | str = "cpu",
        scale: Scale | None = None,
    ) -> None:
        """Raises WeightsError where detectron2, the configuration or one of the weights is missing."""
        settings = read_config(config)
        settings.MODEL.DEVICE = str(device)
        self._network = build(settings)
        _load(self._network, weights, config)
        self._network.eval()
        self._device = torch.device(device)
        self._is_bgr = settings.INPUT.FORMAT == "BGR"
        self.scale = scale or Scale(
            settings.INPUT.MIN_SIZE_TEST, settings.INPUT.MAX_SIZE_TEST, max(self._network.backbone.size_divisibility, 1)
        )
        self.classes = class_names(settings)

    @torch.inference_mode()
    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """See `Detector.detect`; the masks come as they are before detectron2 draws them into the picture."""
        found = self._network.inference([{"image": self._tensor(frame)} for frame in frames], do_postprocess=False)
        return [self._one(instances, frame) for instances, frame in zip(found, frames, strict=True)]

    def _one(self, instances: Any, frame: Frame) -> Detections:
        masks = instances.pred_masks[:, 0] if len(instances) else torch.empty((0, MASK, MASK))
        boxes = fractions(instances.pred_boxes.tensor, frame)
        return detections(self.classes, instances.pred_classes, instances.scores, boxes, masks.to(boxes.device))

    def _tensor(self, frame: Frame) -> Tensor:
        pixels = torch.tensor(frame.pixels, device=self._device).permute(2, 0, 1).float()
        return pixels.flip(0) if self._is_bgr else pixels


def read_config(name: str) -> Any:
    """A configuration of the zoo, from the files that come with the package. Raises WeightsError."""
    if not detectron2_is_installed():
        raise WeightsError(how_to_install_detectron2())
    import detectron2
    from detectron2.config import get_cfg

    folder = Path(detectron2.__file__).parent / "model_zoo" / "configs"
    path = (folder / name).with_suffix(".yaml")
    if not path.is_file() or ".." in Path(name).parts:
        raise WeightsError(f"detectron2's model zoo has no configuration {name!r}: name one such as {CONFIG}")
    settings = get_cfg()
    settings.merge_from_file(str(path), allow_unsafe=False)
    if not settings.MODEL.MASK_ON:
        raise WeightsError(f"{name} finds no masks: name a configuration such as {CONFIG}")
    settings.MODEL.WEIGHTS = ""
    return settings


def build(settings: Any) -> Any:
    """The network of a configuration, with random weights."""
    from detectron2.modeling import build_model

    return build_model(settings)


def class_names(settings: Any) -> Sequence[str]:
    """Names of the classes of the set that the configuration was trained for."""
    from detectron2.data import MetadataCatalog

    names: Sequence[str] = MetadataCatalog.get(settings.DATASETS.TEST[0]).thing_classes
    return names


def _load(network: Any, weights: Mapping[str, Tensor], config: str) -> None:
    own = network.state_dict()
    missing = [name for name in own if name not in weights and not name.endswith(_BUFFERS)]
    wrong = [name for name in own if name in weights and weights[name].shape != own[name].shape]
    if missing or wrong:
        example = (missing or wrong)[0]
        raise WeightsError(
            f"the weights are not those of {config}: {len(missing)} of its {len(own)} tensors are missing and "
            f"{len(wrong)} have another shape, {example} for one"
        )
    network.load_state_dict({name: weights[name] for name in own if name in weights}, strict=False)
