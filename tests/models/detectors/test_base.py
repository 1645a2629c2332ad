"""Areas come from small masks as they would from masks drawn into the picture; frames do not look at each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.models.detection.roi_heads import paste_masks_in_image

from models.detectors.base import MASK, Detections, Frame, Scale, areas, batch, detections


def blob(seed: int) -> torch.Tensor:
    """A mask [MASK, MASK] of probabilities: a soft-edged ellipse, turned and cut off by the box as it comes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:MASK, 0:MASK] / (MASK - 1) - 0.5
    turn = rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    far = np.hypot(u / rng.uniform(0.2, 0.7), v / rng.uniform(0.2, 0.7))
    return torch.tensor(1 / (1 + np.exp((far - 1) * 12)), dtype=torch.float32)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    left=st.floats(0, 300),
    top=st.floats(0, 200),
    wide=st.floats(40, 500),
    tall=st.floats(40, 400),
)
def test_the_area_is_that_of_the_mask_drawn_into_the_picture(seed, left, top, wide, tall):
    height, width = 480, 640
    box = torch.tensor([[left, top, min(left + wide, width), min(top + tall, height)]])
    mask = blob(seed)[None]
    pasted = (paste_masks_in_image(mask[:, None], box, (height, width))[0, 0] >= 0.5).float().mean()
    ours = areas(mask, box / torch.tensor([width, height, width, height]))[0]
    rim = 2 * ((box[0, 2] - box[0, 0]) + (box[0, 3] - box[0, 1])) / (width * height)  # one pixel around the box
    assert float(ours) == pytest.approx(float(pasted), abs=float(rim) + 0.02 * float(pasted))


def test_a_full_mask_covers_its_box_and_an_empty_one_nothing():
    boxes = torch.tensor([[0.25, 0.5, 0.75, 1.0], [0.25, 0.5, 0.75, 1.0], [0.5, 0.5, 0.4, 0.4]])
    masks = torch.stack([torch.ones(MASK, MASK), torch.zeros(MASK, MASK), torch.ones(MASK, MASK)])
    assert areas(masks, boxes).tolist() == [0.25, 0.0, 0.0]
    assert areas(torch.empty(0, MASK, MASK), torch.empty(0, 4)).tolist() == []


@pytest.mark.parametrize(
    ("size", "shown", "padded"),
    [
        ((3000, 4000), (800, 1067), (800, 1088)),
        ((4000, 3000), (1067, 800), (1088, 800)),
        ((200, 300), (800, 1200), (800, 1216)),
        ((1000, 8000), (167, 1333), (192, 1344)),
        ((1, 5000), (1, 1333), (32, 1344)),
    ],
)
def test_frames_have_the_size_the_network_wants_whatever_the_picture(size, shown, padded):
    scale = Scale(800, 1333)
    frame = scale.frame(np.zeros((*size, 3), np.uint8))
    assert frame.pixels.shape == (*shown, 3)
    assert scale.padded(frame) == padded
    assert frame.nbytes == shown[0] * shown[1] * 3


def test_a_batch_is_normalised_and_then_padded_by_zeros():
    scale = Scale(64, 128)
    frame = Frame(np.full((64, 70, 3), 200, np.uint8))
    out = batch([frame, frame], scale, torch.full((3, 1, 1), 100.0), torch.full((3, 1, 1), 50.0))
    assert out.shape == (2, 3, 64, 96)
    assert torch.all(out[:, :, :, :70] == 2)
    assert torch.all(out[:, :, :, 70:] == 0)


def test_things_are_told_by_class_and_from_left_to_right_and_those_without_extent_are_not():
    boxes = torch.tensor([[0.5, 0, 0.6, 1], [0.1, 0, 0.2, 1], [0.3, -0.1, 1.1, 1], [1.1, 0, 1.2, 1], [0.5, 0, 0.5, 1]])
    labels, scores = torch.tensor([1, 0, 1, 0, 0]), torch.tensor([0.9, 0.8, 0.7, 1.0, 1.0])
    found = detections(("cow", "car"), labels, scores, boxes, torch.ones(5, MASK, MASK))
    assert found.classes == ("car", "car", "cow")
    np.testing.assert_allclose(found.boxes[0], [0.3, 0, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(found.scores, [0.7, 0.9, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found.areas, [0.7, 0.1, 0.1], rtol=1e-5)


def test_detections_must_tell_of_the_same_things():
    with pytest.raises(ValueError, match="same things"):
        Detections(("cow",), np.zeros(1, np.float32), np.zeros((2, 4), np.float32), np.zeros(1, np.float32))
