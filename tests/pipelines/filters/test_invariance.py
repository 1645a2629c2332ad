"""The invariance stage scores every photo by a network that never saw it, either half alike."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch
from fitting import fitted, in_folder, sha_of
from pydantic import ValidationError

from manifests.errors import InputError, SetupError
from models import patch_classifier, resnet_classifier
from pipelines.engine.fingerprint import identity
from pipelines.engine.stage import RGB, FitInput, Verdicts
from pipelines.filters import place_networks
from pipelines.filters.invariance import KEPT_APART, LEARNED_FROM, Invariance, InvarianceSettings
from pipelines.filters.place_lessons import fold_of, mark
from pipelines.sources.painter import describe, paint

HELD_OUT_SEED = 424242  # nothing was tuned on its scenes
SCENES = 300


def _facts(files: Mapping[str, bytes]) -> Any:
    return json.loads(files["networks.json"])


def _measured(stage: Invariance, images: Mapping[str, RGB]) -> pa.Table:
    """What the stage measures, as the table that it declares."""
    found = stage.measure(list(images), list(images.values()))
    return pa.table({name: pa.array(found[name], kind) for name, kind in stage.columns.items()})


def _flat(count: int) -> dict[str, RGB]:
    """Pictures of one grey each: the grey says which picture a tile is of."""
    return {sha_of(i): np.full((64, 80, 3), i, np.uint8) for i in range(count)}


class _Spy:
    """Notes which greys each network is trained on, and trains nothing."""

    def __init__(self) -> None:
        self.greys: list[list[int]] = []

    def __call__(self, pictures: torch.Tensor, sizes: Any, seed: int) -> Any:
        self.greys.append(pictures[:, 0, 0, 0, 0].tolist())
        return patch_classifier.PatchClassifier(sizes, torch.Generator())


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> _Spy:
    spy = _Spy()
    monkeypatch.setattr(patch_classifier, "train", spy)
    return spy


@pytest.mark.parametrize(("count", "fraction", "share"), [(16, 0.1, 16), (250, 0.1, 160), (250, 0.7, 175)])
def test_no_network_learns_from_its_own_fold(spy: _Spy, count: int, fraction: float, share: int) -> None:
    fitted(Invariance(InvarianceSettings(train_fraction=fraction)), _flat(count))
    folds = [fold_of(sha_of(i), 5) for i in range(count)]
    assert len(spy.greys) == 5
    for fold, greys in enumerate(spy.greys):
        assert fold not in {folds[grey] for grey in greys}
        assert len(set(greys)) == len(greys) == min(share, count - folds.count(fold))


@pytest.mark.slow
def test_the_order_of_the_files_does_not_matter_and_the_seed_does(spy: _Spy) -> None:
    images = _flat(200)
    fitted(Invariance(InvarianceSettings()), images)
    fitted(Invariance(InvarianceSettings()), images, sorted(images, reverse=True))
    fitted(Invariance(InvarianceSettings(seed=1)), images)
    assert spy.greys[:5] == spy.greys[5:10]
    assert spy.greys[:5] != spy.greys[10:]


def test_damaged_pictures_are_passed_over_and_only_what_is_learned_from_is_read_once(spy: _Spy) -> None:
    images = _flat(250)
    damaged = {sha_of(i) for i in range(0, 250, 10)}
    reads: list[str] = []

    def read(sha256: str) -> RGB:
        reads.append(sha256)
        if sha256 in damaged:
            raise InputError("damaged")
        return images[sha256]

    Invariance(InvarianceSettings()).fit(FitInput(sorted(images), read), lambda done, total: None)
    assert all(len(greys) == 160 for greys in spy.greys)
    assert not damaged & {sha_of(grey) for greys in spy.greys for grey in greys}
    assert len(set(reads)) == len(reads) < 250


@pytest.mark.slow
def test_the_artefact_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    images = {sha_of(i): paint(7, i) for i in range(8)}
    stage = Invariance(InvarianceSettings(folds=2))
    files = fitted(stage, images)
    assert files == fitted(Invariance(InvarianceSettings(folds=2)), images)
    assert "fit.json" not in files  # the engine's own
    stage.setup(in_folder(files, tmp_path))
    shas = sorted(images)
    measured = stage.measure(shas, [images[sha] for sha in shas])
    pa.table({name: pa.array(measured[name], kind) for name, kind in stage.columns.items()})
    assert measured["fold"] == [fold_of(sha, 2) for sha in shas]
    singly = [stage.measure([sha], [images[sha]])["p_true"][0] for sha in shas]
    assert np.allclose(singly, measured["p_true"], rtol=0, atol=1e-6)
    assert stage.measure([], []) == {"p_true": [], "told": [], "fold": []}


def _view(p_true: list[list[float] | None], fold: list[int] | None = None) -> pa.Table:
    told = [None if ps is None else sum(p > 1 / len(ps) for p in ps) for ps in p_true]
    columns = {"p_true": p_true, "told": told, "fold": fold or [0] * len(p_true)}
    return pa.table({name: pa.array(columns[name], kind) for name, kind in Invariance.columns.items()})


def _decide(view: pa.Table, **settings: Any) -> Verdicts:
    return Invariance(InvarianceSettings(**settings)).decide(view)


def test_a_telling_left_half_counts_as_much_as_a_telling_right_half() -> None:
    told = "halves tell their place (score at or above 0.95)"
    verdicts = _decide(_view([[0.97, 0.1], [0.1, 0.97], [0.5, 0.5], [0.95, 0.96]]))
    assert list(verdicts.reason) == [told, told, None, told]
    assert list(verdicts.keep) == [False, False, True, False]
    assert np.allclose(np.array(verdicts.value, float), [0.97, 0.97, 0.5, 0.96])


def test_the_official_score_is_the_published_formula() -> None:
    """Logits and labels as the authors' release lays them out, transcribed on its own: halves one after another."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 3, (500, 2)))  # of being the right half: of each photo left, right
    published = torch.sigmoid(logits.flatten()).view(-1, 2).max(dim=1).values.numpy()
    right = torch.sigmoid(logits).numpy()
    p_true = np.stack([1 - right[:, 0], right[:, 1]], 1)  # what the stage measures
    view = _view(p_true.tolist())
    for threshold in (0.5, 0.7, 0.95, 0.99):
        verdicts = _decide(view, score="official", threshold=threshold)
        assert np.allclose(np.array(verdicts.value, float), published, rtol=0, atol=1e-6)
        assert (np.array(verdicts.keep) == (published < threshold)).all()
    symmetric = np.array(_decide(view).value, float)
    assert np.allclose(symmetric, p_true.max(1), rtol=0, atol=1e-6)


def test_the_official_score_lets_a_telling_left_half_pass_and_its_mirror_image_not() -> None:
    lighthouse, mirrored = [0.99, 0.5], [0.5, 0.99]
    assert list(_decide(_view([lighthouse, mirrored]), score="official").keep) == [True, False]
    assert list(_decide(_view([lighthouse, mirrored]), score="symmetric").keep) == [False, False]


def test_a_threshold_only_decides_again() -> None:
    view = _view([[0.4, 0.45], [0.6, 0.2], [0.3, 0.8], [0.97, 0.98]])
    kept = {t: sum(_decide(view, threshold=t).keep) for t in (0.5, 0.7, 0.95, 1.0)}
    assert kept == {0.5: 1, 0.7: 2, 0.95: 3, 1.0: 4}
    assert InvarianceSettings(threshold=0.5, score="official").measuring() == InvarianceSettings().measuring()


def test_what_is_measured_is_in_the_fingerprint() -> None:
    assert InvarianceSettings().measuring() == {
        "parts": 2,
        "network": "small",
        "split": "folds",
        "flip": True,
        "train_fraction": 0.1,
        "folds": 5,
        "seed": 0,
    }


def test_thresholds_have_names() -> None:
    named = {name: InvarianceSettings(threshold=name).threshold for name in ("strictest", "strict", "lhq", "loose")}
    assert named == {"strictest": 0.5, "strict": 0.7, "lhq": 0.95, "loose": 0.99}
    assert InvarianceSettings(threshold="0.8").threshold == 0.8
    with pytest.raises(ValidationError, match="strictest, strict, lhq, loose"):
        InvarianceSettings(threshold="lax")


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0},
        {"threshold": 1.01},
        {"train_fraction": 0},
        {"folds": 1},
        {"parts": 1},
        {"network": "resnet50"},
        {"score": "official", "parts": 3},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InvarianceSettings(**wrong)


def test_the_note_tells_held_out_accuracy_with_its_interval() -> None:
    view = _view([[0.9, 0.9]] * 60 + [[0.9, 0.1]] * 30 + [[0.1, 0.1]] * 10 + [None] * 7, [0] * 100 + [LEARNED_FROM] * 7)
    (note,) = _decide(view).notes
    assert note == "held-out accuracy 0.750 (95 % interval 0.657 to 0.825, chance 0.500) over 100 photos"
    assert not _decide(_view([])).notes


def test_measurements_of_version_1_are_still_decided_on() -> None:
    """They lack the column that the note is made from."""
    old = pa.table({"p_true": pa.array([[0.97, 0.1]], pa.list_(pa.float32())), "told": pa.nulls(1, pa.int8())})
    verdicts = _decide(old.append_column("fold", pa.array([3], pa.int8())))
    assert (list(verdicts.keep), list(verdicts.notes)) == ([False], [])


# The official split


def test_the_official_split_is_15_5_80_and_only_the_80_are_decided_on_by_score(tmp_path: Path, spy: _Spy) -> None:
    images = _flat(200)
    stage = Invariance(InvarianceSettings(split="official", threshold=1.0))
    files = fitted(stage, images)
    facts = _facts(files)
    assert (len(facts["learned_from"]), len(facts["kept_apart"])) == (30, 10)
    assert not set(facts["learned_from"]) & set(facts["kept_apart"])
    (greys,) = spy.greys
    assert {mark(sha_of(grey)) for grey in greys} == set(facts["learned_from"])
    assert not any(sha.encode() in files["networks.json"] for sha in images)  # a take-down reaches no fit
    stage.setup(in_folder(files, tmp_path))
    late = {sha_of("late"): np.zeros((64, 80, 3), np.uint8)}
    measured = _measured(stage, {**images, **late})
    verdicts = stage.decide(measured)
    kinds = dict.fromkeys(facts["learned_from"], LEARNED_FROM) | dict.fromkeys(facts["kept_apart"], KEPT_APART)
    marks = [mark(sha) for sha in (*images, *late)]
    assert measured["fold"].to_pylist() == [kinds.get(one, 0) for one in marks]
    assert [value is None for value in verdicts.value] == [kinds.get(one) == LEARNED_FROM for one in marks]
    assert list(verdicts.keep) == [one not in kinds for one in marks]
    assert {reason for reason in verdicts.reason if reason} == {
        "learned from by the classifier (official split)",
        "kept apart for validation (official split)",
    }


@pytest.mark.slow
def test_the_fit_stores_what_it_found_on_photos_that_its_networks_did_not_learn_from(spy: _Spy) -> None:
    for split, photos in (("folds", None), ("official", 10)):
        held_out = _facts(fitted(Invariance(InvarianceSettings(split=split)), _flat(200)))["held_out"]
        assert held_out["accuracy"] == held_out["chance"] == 0.5  # nothing was learned
        assert held_out["low"] < 0.5 < held_out["high"]
        assert held_out["photos"] == photos or photos is None
    read_for_others = [sha_of(grey) for grey in set().union(*spy.greys[:5])]
    assert _facts(fitted(Invariance(InvarianceSettings()), _flat(200)))["held_out"]["photos"] == len(read_for_others)


# ResNets


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights under torchvision's names."""
    file = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    network = resnet_classifier.build(resnet_classifier.Sizes("resnet18"), seed=3)
    safetensors.torch.save_file(dict(network.state_dict()), file)
    return file


@pytest.mark.parametrize("network", ["resnet18", "wide_resnet50_2"])
def test_missing_weights_are_named_with_the_one_command(
    network: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LHQ_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match=f"run: lhq weights fetch {network}$"):
        identity(Invariance(InvarianceSettings(network=network)))


def test_the_file_that_a_network_begins_with_is_in_the_fingerprint(resnet18: Path) -> None:
    stage = Invariance(InvarianceSettings(network="resnet18", weights=resnet18))
    assert stage.weights_hash() == hashlib.sha256(resnet18.read_bytes()).hexdigest()
    assert (stage.min_side, stage.resources.batch_size) == (256, 32)
    assert (Invariance.min_side, Invariance(InvarianceSettings()).weights_hash()) == (64, None)


def test_weights_of_another_network_are_refused(resnet18: Path) -> None:
    with pytest.raises(SetupError, match="does not fit wide_resnet50_2"):
        place_networks.ResNet("wide_resnet50_2", 2, True, resnet18)


@pytest.mark.slow
def test_a_resnet_is_fitted_and_scores_alike_one_by_one(
    resnet18: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch from random weights: what is held is the way, not what it learns."""
    monkeypatch.setattr(place_networks.ResNet, "steps", 1)
    images = {sha_of(i): paint(7, i) for i in range(4)}
    stage = Invariance(InvarianceSettings(network="resnet18", weights=resnet18, folds=2, parts=3))
    stage.setup(in_folder(fitted(stage, images), tmp_path))
    together = np.array(stage.measure(list(images), list(images.values()))["p_true"])
    assert together.shape == (4, 3)
    assert np.ptp(together) > 0
    singly = [stage.measure([sha], [image])["p_true"][0] for sha, image in images.items()]
    assert np.allclose(singly, together, rtol=0, atol=1e-5)


# What it finds (more in test_invariance_finds.py)


@pytest.fixture(scope="module")
def scenes() -> tuple[dict[str, RGB], np.ndarray[Any, np.dtype[np.bool_]]]:
    """Painted scenes, one in four with a centred subject; every second pixel is enough."""
    images = {sha_of(index): np.ascontiguousarray(paint(HELD_OUT_SEED, index)[::2, ::2]) for index in range(SCENES)}
    return images, np.array([describe(HELD_OUT_SEED, index).plants["subject"] == "centred" for index in range(SCENES)])


@pytest.mark.slow
def test_centred_subjects_score_above_all_else(
    scenes: tuple[dict[str, RGB], np.ndarray[Any, np.dtype[np.bool_]]], tmp_path: Path
) -> None:
    images, centred = scenes
    stage = Invariance(InvarianceSettings())
    stage.setup(in_folder(fitted(stage, images), tmp_path))
    measured = _measured(stage, images)
    scores = stage.scores(measured)
    above = (scores[centred][:, None] > scores[~centred][None, :]).mean()  # the area under the ROC curve
    assert above >= 0.95
    assert (scores[centred] >= 0.95).mean() > 10 * (scores[~centred] >= 0.95).mean()
    p_true = np.array(measured["p_true"].to_pylist())
    assert abs(p_true[centred].mean(0) @ [1, -1]) < 0.05  # neither half tells more than the other
