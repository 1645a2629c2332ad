"""The objects stage stores all that it found, decides by class, score and size, and asks for its weights first."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pydantic import ValidationError

from manifests.errors import MisuseError, SetupError
from models.detectors import SMALL_FILE, detectron2_is_installed
from pipelines.engine.fingerprint import fingerprint
from pipelines.filters import make_stage, objects_thresholds
from pipelines.filters.objects import Objects, ObjectsSettings
from pipelines.filters.objects_thresholds import Threshold

Thing = tuple[str, float, float]  # class, score, area


def view(*photos: list[Thing]) -> pa.Table:
    columns = Objects.columns
    box = [0.0, 0.0, 1.0, 1.0]
    return pa.table(
        {
            "classes": pa.array([[name for name, _, _ in things] for things in photos], columns["classes"]),
            "scores": pa.array([[score for _, score, _ in things] for things in photos], columns["scores"]),
            "boxes": pa.array([[box for _ in things] for things in photos], columns["boxes"]),
            "areas": pa.array([[area for _, _, area in things] for things in photos], columns["areas"]),
        }
    )


def decide(*photos: list[Thing], **settings: Any) -> list[tuple[bool, str | None, float | None]]:
    verdicts = Objects(ObjectsSettings(**settings)).decide(view(*photos))
    return [(keep, reason, value and round(value, 4)) for keep, reason, value in verdicts]


def test_a_thing_counts_by_its_class_its_score_and_its_size():
    assert decide(
        [("person", 0.97, 0.1)],
        [("person", 0.65, 0.1)],
        [("person", 0.97, 0.0005)],
        [("kite", 0.97, 0.1), ("person", 0.75, 0.1)],
        [("N/A", 1.0, 1.0)],
        [],
    ) == [
        (False, "person (score 0.9)", 0.97),
        (True, None, 0.65),
        (True, None, None),
        (False, "kite (score 0.9)", 0.97),
        (True, None, None),
        (True, None, None),
    ]


def test_a_bird_far_away_may_stay_and_a_near_one_not():
    assert [keep for keep, _, _ in decide([("bird", 0.9, 0.002)], [("bird", 0.9, 0.02)])] == [True, False]


def test_of_several_things_the_surest_that_counts_is_the_reason():
    things = [("car", 0.8, 0.01), ("cow", 0.9, 0.01), ("person", 0.99, 0.0001), ("elephant", 0.9, 0.01)]
    assert decide(things) == [(False, "cow (score 0.9)", 0.9)]
    assert decide([("tie", 0.79, 0.1), ("person", 0.75, 0.1)]) == [(False, "person (score 0.7)", 0.75)]


def test_settings_move_every_threshold_or_single_ones():
    photos: list[list[Thing]] = [[("person", 0.75, 0.01)], [("boat", 0.95, 0.01)]]
    kept = lambda **settings: [keep for keep, _, _ in decide(*photos, **settings)]  # noqa: E731
    assert kept() == [False, False]
    assert kept(score=0.8) == [True, False]
    assert kept(score="") == [False, False], "taken back"
    assert kept(area=0.02) == [True, True]
    assert kept(score=0.0, area=0.0) == [False, False]
    assert kept(thresholds="person 0.9 0.01, boat never") == [True, True]
    assert kept(thresholds="person 0.5 0.5", score=0.7, area=0.001) == [False, False], "score and area stand for all"


def test_thresholds_do_not_enter_the_fingerprint_and_detectors_do():
    plain = Objects(ObjectsSettings(detector="small"))
    moved = Objects(ObjectsSettings(detector="small", score=0.3, thresholds="boat never"))
    assert fingerprint(plain, None) == fingerprint(moved, None)
    assert set(ObjectsSettings().measuring()) == {"detector", "config"}


def test_other_weights_make_another_fingerprint(tmp_path):
    other = tmp_path / "other.safetensors"
    other.write_bytes(SMALL_FILE.read_bytes() + b" ")
    marks = [
        fingerprint(Objects(ObjectsSettings(detector="small", weights=one)), None) for one in (None, SMALL_FILE, other)
    ]
    assert marks[0] == marks[1] != marks[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": 1.5},
        {"area": -0.1},
        {"thresholds": "person"},
        {"thresholds": "person 0.9"},
        {"thresholds": "person 0.9 2"},
        {"thresholds": "0.9 0.1"},
        {"thresholds": "never"},
        {"nope": 1},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        ObjectsSettings(**wrong)
    with pytest.raises(MisuseError, match="objects"):
        make_stage("objects", wrong)


def test_a_class_that_no_list_names_is_refused():
    with pytest.raises(SetupError, match="'persn', which is not in the list"):
        decide([], thresholds="persn never")


def test_the_shipped_list_has_every_class_of_coco_but_no_other():
    from models.detectors.torchvision_rcnn import CLASSES

    listed = objects_thresholds.read(objects_thresholds.DEFAULTS)
    assert set(listed) == set(CLASSES) - {"N/A", "__background__"}
    assert listed["bird"].area > listed["person"].area


def test_a_list_of_ones_own_is_read_and_what_is_wrong_with_it_is_named(tmp_path):
    own = tmp_path / "mine.txt"
    own.write_text("# mine\nhot air balloon 0.5 0.1  # large ones\n")
    assert objects_thresholds.read(own) == {"hot air balloon": Threshold(0.5, 0.1)}
    balloon: list[Thing] = [("hot air balloon", 0.6, 0.2), ("person", 1.0, 0.5)]
    assert decide(balloon, classes=own) == [(False, "hot air balloon (score 0.6)", 0.6)]
    for text, says in (
        ("person\n", "line 1: 'person': write"),
        ("\nperson 1 2\n", "line 2"),
        ("person 0.5 0.1\nperson 0.6 0.1\n", "line 2: person stands here twice"),
        ("person never\n", "leave the line out"),
        ("# nothing\n", "names no class"),
    ):
        own.write_text(text)
        with pytest.raises(SetupError, match=says):
            objects_thresholds.read(own)
    with pytest.raises(SetupError, match="there is no such file"):
        objects_thresholds.read(tmp_path / "missing.txt")


def test_half_a_million_photos_are_decided_in_a_moment():
    rng = np.random.default_rng(0)
    names = np.array(["person", "car", "bird", "kite", "N/A"])
    counts = rng.integers(0, 7, 500_000)
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    total = int(counts.sum())
    flat = {
        "classes": pa.array(names[rng.integers(0, 5, total)].tolist()),
        "scores": pa.array(rng.random(total, np.float32)),
        "areas": pa.array(rng.random(total, np.float32) ** 6),
    }
    table = pa.table({name: pa.ListArray.from_arrays(offsets, values) for name, values in flat.items()})
    started = time.process_time()
    verdicts = Objects(ObjectsSettings()).decide(table)
    assert time.process_time() - started < 3
    assert 0.2 < np.mean(verdicts.keep) < 0.8


def test_missing_weights_stop_with_the_one_command(tmp_path, monkeypatch):
    monkeypatch.setenv("LHQ_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match="run: lhq weights fetch maskrcnn_resnet50_fpn_v2"):
        Objects(ObjectsSettings()).weights_hash()
    with pytest.raises(SetupError, match=r"run: lhq weights fetch maskrcnn_resnet50_fpn$"):
        Objects(ObjectsSettings(detector="maskrcnn_resnet50_fpn")).weights_hash()
    with pytest.raises(SetupError, match=r"no\.pth is missing"):
        Objects(ObjectsSettings(detector="small", weights=tmp_path / "no.pth")).weights_hash()


def test_detectron2_says_how_it_is_installed_or_that_it_wants_weights():
    says = "needs weights" if detectron2_is_installed() else r"--no-build-isolation .*facebookresearch/detectron2@"
    with pytest.raises(SetupError, match=says):
        Objects(ObjectsSettings(detector="detectron2")).weights_hash()


def test_weights_that_run_code_are_never_opened(tmp_path):
    import torch

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('ran code')",)

    path = tmp_path / "evil.pth"
    torch.save({"a": Evil()}, path)
    for detector in ("small", "maskrcnn_resnet50_fpn_v2"):
        with pytest.raises(SetupError, match="holds no plain weights"):
            Objects(ObjectsSettings(detector=detector, weights=path)).setup(None)


@pytest.mark.slow
def test_missing_weights_stop_the_command_before_it_touches_the_dataset(lhq, tmp_path):
    dataset = tmp_path / "d"
    assert lhq("crawl", dataset, "--source", "synthetic", "--limit", 2, "--workers", 0).code == 0
    before = sorted(path.relative_to(dataset) for path in dataset.rglob("*") if "locks" not in str(path))
    ran = lhq("filter", dataset, "--tags", "--objects", "--workers", 0, env={"LHQ_CACHE": str(tmp_path / "cache")})
    assert ran.code == 1
    assert "run: lhq weights fetch maskrcnn_resnet50_fpn_v2" in ran.err
    assert "Traceback" not in ran.err
    assert sorted(path.relative_to(dataset) for path in dataset.rglob("*") if "locks" not in str(path)) == before


@pytest.mark.slow
def test_torchvision_weights_of_ones_own_go_through_the_whole_stage(lhq, tmp_path):
    """Random weights under the published names: the stage runs end to end, and again measures nothing."""
    import safetensors.torch
    import torch

    from models.detectors import torchvision_rcnn

    torch.manual_seed(0)
    weights = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(torchvision_rcnn.build("maskrcnn_resnet50_fpn").state_dict(), weights)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.effect_noise((200, 20), 60).convert("RGB").save(pictures / "a.jpg")  # at 1333x133 the network is quick
    assert lhq("crawl", tmp_path / "d", "--source", "folder", "--path", pictures, "--workers", 0).code == 0
    named = ("--set", "objects.detector=maskrcnn_resnet50_fpn", "--set", f"objects.weights={weights}")
    ran = lhq("filter", tmp_path / "d", "--objects", *named, "--workers", 0, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["measured"]["objects"]["images"] == 1
    again = lhq("filter", tmp_path / "d", "--set", "objects.score=0.5", "--workers", 0, "--json")
    assert again.json["measured"]["objects"]["images"] == 0
    assert sum(again.json["stages"]["objects"][state] for state in ("kept", "rejected", "errors", "pending")) == 1
