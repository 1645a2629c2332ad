"""The small detector finds planted things in scenes it never saw, and can be taught again in five minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from models.detectors import SMALL_FILE, small
from models.detectors.example import CLASSES, Example
from models.detectors.small_training import cut, targets, train
from models.weights import WeightsError, read_tensors
from pipelines.engine import threads
from pipelines.filters import objects_thresholds, teach_small_detector
from pipelines.filters.objects import Objects, ObjectsSettings
from pipelines.sources.painter import paint_planted

UNSEEN = 990_017  # a series that nothing was trained or tuned on
THRESHOLDS = objects_thresholds.read(objects_thresholds.DEFAULTS)


@dataclass(frozen=True)
class Judged:
    """Of scenes: whether they hold a thing that counts, and whether the stage rejects them."""

    holds: np.ndarray
    rejected: np.ndarray
    wrong: list[tuple[int, str]]

    @property
    def precision(self) -> float:
        return float(self.holds[self.rejected].mean())

    @property
    def recall(self) -> float:
        return float(self.rejected[self.holds].mean())


def judge(seed: int, count: int, weights: Path | None = None) -> Judged:
    """The stage as it stands, with its own thresholds, on the first scenes of a series."""
    import pyarrow as pa

    stage = Objects(ObjectsSettings(detector="small", weights=weights))
    stage.setup(None)
    holds, columns = [], {name: [] for name in stage.columns}
    for index in range(count):
        pixels, planted = paint_planted(seed, index)
        holds.append(any(thing.area >= THRESHOLDS[thing.kind].area for thing in planted))
        for name, values in stage.measure([""], [stage.prepare(pixels)]).items():
            columns[name].extend(values)
    view = pa.table({name: pa.array(values, stage.columns[name]) for name, values in columns.items()})
    verdicts = stage.decide(view)
    truth, rejected = np.array(holds), ~np.array(verdicts.keep)
    wrong = [(int(at), str(verdicts.reason[at])) for at in np.flatnonzero(truth != rejected)]
    return Judged(truth, rejected, wrong)


@pytest.mark.slow
@pytest.mark.parametrize("count", [60, pytest.param(300, marks=pytest.mark.long)])
def test_on_scenes_never_seen_nine_of_ten_are_found_and_nine_of_ten_found_are_right(count):
    judged = judge(UNSEEN, count)
    print(
        f"recall {judged.recall:.3f}, precision {judged.precision:.3f} of {judged.holds.sum()} of {len(judged.holds)}"
    )
    assert judged.recall >= 0.9, judged.wrong
    assert judged.precision >= 0.9, judged.wrong


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_it_is_taught_in_five_minutes_and_then_finds_as_much(tmp_path):
    seconds = teach_small_detector.teach(tmp_path / "small.safetensors")
    judged = judge(UNSEEN + 1, 300, tmp_path / "small.safetensors")
    print(f"{seconds:.0f} s, recall {judged.recall:.3f}, precision {judged.precision:.3f}")
    assert judged.recall >= 0.9, judged.wrong
    assert judged.precision >= 0.9, judged.wrong
    assert seconds * min(threads.cores(), 2) <= 600, "five minutes on two cores"


def test_the_shipped_file_is_small_and_of_this_network():
    assert SMALL_FILE.stat().st_size < 200_000
    small.SmallDetector(read_tensors(SMALL_FILE))
    with pytest.raises(WeightsError, match="not those of the small detector"):
        small.SmallDetector({"a": torch.zeros(1)})


@pytest.mark.slow
def test_what_is_found_does_not_hang_on_what_is_looked_at_beside_it():
    detector = small.SmallDetector(read_tensors(SMALL_FILE))
    frames = [detector.scale.frame(paint_planted(UNSEEN, index)[0]) for index in range(8)]
    alike = [frame for frame in frames if detector.scale.padded(frame) == detector.scale.padded(frames[0])]
    assert len(alike) > 2
    for together, frame in zip(detector.detect(alike), alike, strict=True):
        (alone,) = detector.detect([frame])
        assert together.classes == alone.classes
        for name in ("scores", "boxes", "areas"):
            np.testing.assert_allclose(getattr(together, name), getattr(alone, name), rtol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no graphics card")
def test_on_a_graphics_card_it_finds_the_same():
    here, there = (small.SmallDetector(read_tensors(SMALL_FILE), device) for device in ("cpu", "cuda"))
    for index in range(8):
        frame = here.scale.frame(paint_planted(UNSEEN, index)[0])
        (one,), (other,) = here.detect([frame]), there.detect([frame])
        sure = [
            (name, round(float(score), 2))
            for found in (one, other)
            for name, score in zip(found.classes, found.scores, strict=True)
            if score > 0.3
        ]
        half = len(sure) // 2
        assert sure[:half] == [(name, pytest.approx(score, abs=0.02)) for name, score in sure[half:]]


@pytest.mark.slow
def test_boxes_and_areas_are_those_of_the_planted_things():
    """Of things found in the right place: how far boxes and areas are off."""
    detector = small.SmallDetector(read_tensors(SMALL_FILE))
    overlaps, ratios = [], []
    for index in range(40):
        pixels, planted = paint_planted(UNSEEN, index)
        (found,) = detector.detect([detector.scale.frame(pixels)])
        for thing in planted:
            if thing.area < 0.008 or not len(found):
                continue
            shares = [overlap(thing.box, box) for box in found.boxes.tolist()]
            best = int(np.argmax(shares))
            if shares[best] > 0.4:
                overlaps.append(shares[best])
                ratios.append(float(found.areas[best]) / thing.area)
    assert len(overlaps) >= 8
    assert np.median(overlaps) > 0.6
    assert 0.7 < np.median(ratios) < 1.4


def overlap(one, other) -> float:
    """Intersection over union of two boxes."""
    wide = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    tall = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * tall / (sum(areas) - wide * tall)


def test_a_cut_moves_boxes_and_masks_with_the_pixels():
    """A white thing on black: wherever the cut and the mirror put it, its box and mask are around the white."""
    pixels = np.zeros((240, 320, 3), np.uint8)
    pixels[60:180, 80:160] = 255
    mask = np.zeros((240, 320, 1), np.uint8)
    mask[60:180, 80:160] = 255
    example = Example(pixels, [0], np.array([[0.25, 0.25, 0.5, 0.75]], np.float32), mask)
    rng = np.random.default_rng(0)
    for _ in range(20):
        image, wanted = cut(example, rng)
        white = image.mean(0) > 0
        if wanted.classes.sum() == 0:
            assert white.float().mean() < 0.02
            continue
        row, column = (int(one[0]) for one in torch.nonzero(wanted.classes[0], as_tuple=True)[:2])
        left, top, right, bottom = wanted.boxes[:, row, column].tolist()
        rows, columns = torch.nonzero(white.any(1)).flatten(), torch.nonzero(white.any(0)).flatten()
        np.testing.assert_allclose(
            [left, top, right, bottom],
            [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1],
            atol=2.5,
        )
        assert float(wanted.mask.mean()) == pytest.approx(float(white.float().mean()), abs=0.02)


def test_targets_of_an_empty_scene_are_empty():
    wanted = targets([], np.zeros((0, 4)), torch.zeros(160, 192))
    assert wanted.classes.sum() == wanted.boxes.sum() == wanted.mask.sum() == 0
    assert wanted.counts.min() == 1


@pytest.mark.long
def test_a_short_training_learns_what_it_is_shown():
    """Red rectangles on grey noise are cars, and nothing is nothing: two hundred steps are enough for that."""
    rng = np.random.default_rng(0)
    examples = []
    for at in range(16):
        pixels = rng.integers(90, 150, (180, 240, 3)).astype(np.uint8)
        mask = np.zeros((180, 240, 1), np.uint8)
        boxes = np.zeros((0, 4), np.float32)
        if at % 2:
            left, top = int(rng.integers(20, 120)), int(rng.integers(20, 90))
            pixels[top : top + 60, left : left + 90] = (230, 20, 20)
            mask[top : top + 60, left : left + 90] = 255
            boxes = np.array([[left / 240, top / 180, (left + 90) / 240, (top + 60) / 180]], np.float32)
        examples.append(Example(pixels, [CLASSES.index("car")] * len(boxes), boxes, mask))
    said: list[int] = []
    network = train(examples, 200, 0, lambda done, total: said.append(done))
    assert said == list(range(1, 201))
    detector = small.SmallDetector(network.state_dict())
    overlaps, ratios = [], []
    for example in examples:
        (found,) = detector.detect([detector.scale.frame(example.pixels)])
        sure = [name for name, score in zip(found.classes, found.scores, strict=True) if score > 0.5]
        assert bool(sure) == bool(len(example.boxes))
        if sure:
            assert set(sure) == {"car"}
            best = int(np.argmax(found.scores))
            overlaps.append(overlap(found.boxes[best], example.boxes[0]))
            ratios.append(float(found.areas[best]) / (90 * 60 / (240 * 180)))
    print(f"overlaps {np.sort(overlaps).round(2)}, areas {np.sort(ratios).round(2)}")
    assert len(overlaps) == 8
    assert min(overlaps) > 0.5, "what counts as found, in every benchmark of detectors"
    assert np.median(overlaps) > 0.65
    assert np.median(ratios) == pytest.approx(1, abs=0.25)
