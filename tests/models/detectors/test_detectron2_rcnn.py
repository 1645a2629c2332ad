"""The adapter to detectron2: against the real package where it is installed, against a stand-in everywhere."""

from __future__ import annotations

import sys

import detectron2_stand_in
import numpy as np
import pytest
import torch

from models.detectors import detectron2_is_installed
from models.detectors.base import Scale
from models.detectors.detectron2_rcnn import CONFIG, Detectron2RCNN, build, read_config
from models.weights import WeightsError

real = pytest.mark.skipif(
    not detectron2_is_installed(), reason="detectron2 is not installed: lhq doctor tells how it is built"
)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "detectron2"]:
        monkeypatch.delitem(sys.modules, name)  # the real one, until the end of the test
    detectron2_stand_in.install(tmp_path, monkeypatch)
    yield
    sys.modules.pop("detectron2", None)


def picture(height: int, width: int) -> np.ndarray:
    """Dark, with a bright quarter on the lower right; red is 10 more than blue."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[height // 2 :, width // 2 :] = 200
    pixels[..., 0] += 10
    return pixels


def test_what_it_finds_becomes_our_value(stand_in):
    detector = Detectron2RCNN(CONFIG, {"scores": torch.tensor([0.9, 0.6])})
    assert detector.scale == Scale(64, 96, 32)
    frames = [detector.scale.frame(picture(*size)) for size in ((64, 80), (640, 900))]
    one, other = detector.detect(frames)
    assert one.classes == other.classes == ("car", "person")
    np.testing.assert_allclose(one.boxes, [[0.5, 0.5, 1, 1], [0, 0, 1, 1]])
    np.testing.assert_allclose(one.areas, [0.25, 0.5])
    np.testing.assert_allclose(one.scores, [0.9, 0.6], rtol=1e-6)
    blue, _, red = detector._network.seen[0][:, 0, 0].tolist()
    assert (blue, red) == (30, 40), "the network is given blue first, as its configuration says"


def test_nothing_found_is_an_empty_value(stand_in):
    detector = Detectron2RCNN(CONFIG, {"scores": torch.tensor([0.0, 0.0])})
    assert len(detector.detect([detector.scale.frame(picture(64, 64))])[0]) == 0


@pytest.mark.parametrize(
    ("config", "weights", "says"),
    [
        (CONFIG, {}, "1 of its 2 tensors are missing"),
        (CONFIG, {"scores": torch.zeros(3)}, "1 have another shape, scores for one"),
        ("COCO-InstanceSegmentation/nope", {}, "has no configuration"),
        ("../../COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x", {}, "has no configuration"),
        ("COCO-InstanceSegmentation/faster_rcnn_R_50_FPN_3x", {}, "finds no masks"),
    ],
)
def test_what_does_not_fit_is_named(stand_in, config, weights, says):
    with pytest.raises(WeightsError, match=says):
        Detectron2RCNN(config, weights)


@pytest.mark.skipif(detectron2_is_installed(), reason="detectron2 is installed")
def test_where_it_is_missing_the_one_command_is_told():
    with pytest.raises(WeightsError, match=r"pip install --no-build-isolation 'detectron2 @ git\+https://github\.com"):
        read_config(CONFIG)


@real
@pytest.mark.slow
def test_the_real_package_finds_the_same_with_and_without_drawn_masks():
    """Random weights, at a small size; what the adapter says is held against detectron2's own forward pass."""
    settings = read_config(CONFIG)
    settings.MODEL.DEVICE = "cpu"
    torch.manual_seed(3)
    weights = build(settings).state_dict()
    weights["roi_heads.box_predictor.cls_score.weight"] *= 300
    for part in ("proposal_generator.rpn_head.anchor_deltas", "roi_heads.box_predictor.bbox_pred"):
        weights[f"{part}.weight"] *= 0.02  # boxes stay near their anchors, else each is the whole picture
    detector = Detectron2RCNN(CONFIG, {name: value for name, value in weights.items() if "pixel" not in name})
    assert detector.classes[:3] == ["person", "bicycle", "car"]
    assert detector.scale == Scale(800, 1333, 32)
    network = detector._network
    network.proposal_generator.post_nms_topk = (60, 60)
    network.roi_heads.box_predictor.test_topk_per_image = 12
    scale = Scale(128, 192)
    image = np.random.default_rng(0).integers(0, 256, (128, 180, 3), dtype=np.uint8)
    frames = [scale.frame(image)]
    (one,) = detector.detect(frames)
    with torch.inference_mode():
        bgr = torch.from_numpy(np.ascontiguousarray(image[..., ::-1])).permute(2, 0, 1).float()
        theirs = network([{"image": bgr, "height": 128, "width": 180}])[0]["instances"]
    assert len(one) == len(theirs) > 3
    names = [detector.classes[label] for label in theirs.pred_classes.tolist()]
    drawn = theirs.pred_masks.float().mean((1, 2)).tolist()
    left = list(zip(names, theirs.scores.tolist(), theirs.pred_boxes.tensor.tolist(), drawn, strict=True))
    for name, score, box, area in zip(one.classes, one.scores.tolist(), one.boxes, one.areas.tolist(), strict=True):
        pixels = box * np.array([180, 128, 180, 128])
        same = min(left, key=lambda it: (it[0] != name, np.abs(pixels - it[2]).max()))
        left.remove(same)
        assert same[0] == name
        assert score == pytest.approx(same[1], rel=1e-4)
        np.testing.assert_allclose(pixels, same[2], atol=0.02)
        extent = float((box[2] - box[0]) * (box[3] - box[1]))
        assert area == pytest.approx(same[3], abs=0.25 * extent + 0.01)  # noise, not things: rough masks
