"""torchvision's Mask R-CNN, taken apart, finds what it finds as a whole; random weights serve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from models.detectors import torchvision_rcnn
from models.detectors.base import Scale
from models.detectors.torchvision_rcnn import CLASSES, TorchvisionRCNN
from models.weights import REGISTRY, WeightsError

NAMES = ("maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn")

pytestmark = pytest.mark.slow

SMALL = Scale(64, 96)
PROPOSALS, MOST = 60, 12  # of a thousand and a hundred: seconds, not minutes


def hasten(network) -> None:
    network.rpn._post_nms_top_n["testing"] = PROPOSALS
    network.roi_heads.detections_per_img = MOST


def talkative(name: str) -> Mapping[str, Tensor]:
    """Random weights that find something: without training all 91 classes are about equally unlikely."""
    torch.manual_seed(1)
    weights = torchvision_rcnn.build(name).state_dict()
    weights["roi_heads.box_predictor.cls_score.weight"] *= 8
    weights["roi_heads.box_predictor.bbox_pred.weight"] *= 4
    return weights


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_find_what_the_whole_finds_and_areas_are_those_of_drawn_masks(name):
    weights = talkative(name)
    detector = TorchvisionRCNN(name, weights, scale=SMALL)
    hasten(detector._network)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((64, 90, 3), (64, 80, 3))]  # padded alike
    frames = [SMALL.frame(image) for image in images]
    assert SMALL.padded(frames[0]) == SMALL.padded(frames[1])
    found = detector.detect(frames)

    whole = detector._network
    whole.transform.min_size, whole.transform.max_size = (64,), 96
    for one, image in zip(found, images, strict=True):
        with torch.inference_mode():
            (theirs,) = whole([torch.from_numpy(image).permute(2, 0, 1) / 255])
        assert len(one) == len(theirs["scores"]) > 3
        sizes = np.array([image.shape[1], image.shape[0]] * 2)
        pasted = (theirs["masks"][:, 0] >= 0.5).float().mean((1, 2)).tolist()
        names = [CLASSES[label] for label in theirs["labels"].tolist()]
        left = list(zip(names, theirs["scores"].tolist(), theirs["boxes"].tolist(), pasted, strict=True))
        for name_, score, box, area in zip(
            one.classes, one.scores.tolist(), one.boxes, one.areas.tolist(), strict=True
        ):
            same = min(left, key=lambda it: (it[0] != name_, np.abs(box * sizes - it[2]).max()))
            left.remove(same)
            assert same[0] == name_
            assert score == pytest.approx(same[1], rel=1e-4)
            np.testing.assert_allclose(box * sizes, same[2], atol=0.02)
            extent = float((box[2] - box[0]) * (box[3] - box[1]))
            assert area == pytest.approx(same[3], abs=0.25 * extent + 0.01)  # noise, not things: rough masks


def test_weights_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="not those of maskrcnn_resnet50_fpn"):
        TorchvisionRCNN("maskrcnn_resnet50_fpn", {"a": torch.ones(1)})


def test_the_networks_are_registered_and_have_the_published_shapes():
    from torchvision.models import detection

    published = {
        "maskrcnn_resnet50_fpn_v2": detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
        "maskrcnn_resnet50_fpn": detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    }
    for name in NAMES:
        assert name in REGISTRY
        network = torchvision_rcnn.build(name)
        assert sum(one.numel() for one in network.parameters()) == published[name].meta["num_params"] + (
            0 if name.endswith("v2") else _norms(network)
        )
        assert {"person", "bird", "car", "bench"} <= set(published[name].meta["categories"]) == set(CLASSES)
    norms = [part for part in torchvision_rcnn.build("maskrcnn_resnet50_fpn").modules() if _is_norm(part)]
    assert {norm.eps for norm in norms} == {0.0}


def _is_norm(part: object) -> bool:
    return isinstance(part, torch.nn.BatchNorm2d)


def _norms(network) -> int:
    """The published count leaves out the frozen norms, whose numbers are no parameters there."""
    return sum(one.numel() for part in network.modules() if _is_norm(part) for one in part.parameters())
