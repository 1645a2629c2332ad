"""The invariance stage scores every photo by a network that never saw it, either half alike."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError

from manifests.errors import InputError
from models import patch_classifier
from pipelines.engine.stage import RGB, FitInput
from pipelines.filters.invariance import Invariance, InvarianceSettings, fold_of
from pipelines.sources.painter import describe, paint

HELD_OUT_SEED = 424242  # nothing was tuned on its scenes
SCENES = 300


def _sha(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def _fit(stage: Invariance, images: Mapping[str, RGB], order: Iterable[str] | None = None) -> Mapping[str, bytes]:
    def read(sha256: str) -> RGB:
        if sha256 not in images:
            raise InputError("damaged")
        return images[sha256]

    return stage.fit(FitInput(list(order or sorted(images)), read), lambda done, total: None)


def _store(files: Mapping[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def _flat(count: int) -> dict[str, RGB]:
    """Pictures of one grey each: the grey says which picture a tile is of."""
    return {_sha(i): np.full((64, 80, 3), i, np.uint8) for i in range(count)}


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


@pytest.mark.parametrize(("count", "fraction", "share"), [(16, 0.1, 16), (100, 0.1, 64), (250, 0.4, 100)])
def test_no_network_learns_from_its_own_fold(spy: _Spy, count: int, fraction: float, share: int) -> None:
    _fit(Invariance(InvarianceSettings(train_fraction=fraction)), _flat(count))
    folds = [fold_of(_sha(i), 5) for i in range(count)]
    assert len(spy.greys) == 5
    for fold, greys in enumerate(spy.greys):
        assert fold not in {folds[grey] for grey in greys}
        assert len(set(greys)) == len(greys) == min(share, count - folds.count(fold))


def test_the_order_of_the_files_does_not_matter_and_the_seed_does(spy: _Spy) -> None:
    images = _flat(200)
    _fit(Invariance(InvarianceSettings()), images)
    _fit(Invariance(InvarianceSettings()), images, sorted(images, reverse=True))
    _fit(Invariance(InvarianceSettings(seed=1)), images)
    assert spy.greys[:5] == spy.greys[5:10]
    assert spy.greys[:5] != spy.greys[10:]


def test_damaged_pictures_are_passed_over_and_only_what_is_learned_from_is_read_once(spy: _Spy) -> None:
    images = _flat(250)
    damaged = {_sha(i) for i in range(0, 250, 3)}
    reads: list[str] = []

    def read(sha256: str) -> RGB:
        reads.append(sha256)
        if sha256 in damaged:
            raise InputError("damaged")
        return images[sha256]

    Invariance(InvarianceSettings()).fit(FitInput(sorted(images), read), lambda done, total: None)
    assert all(len(greys) == 64 for greys in spy.greys)
    assert not damaged & {_sha(grey) for greys in spy.greys for grey in greys}
    assert len(set(reads)) == len(reads) < 200


@pytest.mark.slow
def test_the_artefact_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    images = {_sha(i): paint(7, i) for i in range(8)}
    stage = Invariance(InvarianceSettings(folds=2))
    files = _fit(stage, images)
    assert files == _fit(Invariance(InvarianceSettings(folds=2)), images)
    assert "fit.json" not in files  # the engine's own
    stage.setup(_store(files, tmp_path))
    shas = sorted(images)
    measured = stage.measure(shas, [images[sha] for sha in shas])
    pa.table({name: pa.array(measured[name], kind) for name, kind in stage.columns.items()})
    assert measured["fold"] == [fold_of(sha, 2) for sha in shas]
    singly = [stage.measure([sha], [images[sha]])["p_true"][0] for sha in shas]
    assert np.allclose(singly, measured["p_true"], rtol=0, atol=1e-6)
    assert stage.measure([], []) == {"p_true": [], "fold": []}


def _decide(p_true: list[list[float]], **settings: Any) -> list[tuple[bool, str | None, float | None]]:
    view = pa.table({"p_true": pa.array(p_true, pa.list_(pa.float64()))})
    return list(Invariance(InvarianceSettings(**settings)).decide(view))


def test_a_telling_left_half_counts_as_much_as_a_telling_right_half() -> None:
    told = "halves tell their place (score at or above 0.95)"
    assert _decide([[0.97, 0.1], [0.1, 0.97], [0.5, 0.5], [0.95, 0.95]]) == [
        (False, told, 0.97),
        (False, told, 0.97),
        (True, None, 0.5),
        (False, told, 0.95),
    ]


def test_a_threshold_only_decides_again() -> None:
    scores = [[0.4, 0.45], [0.6, 0.2], [0.3, 0.8], [0.99, 0.98]]
    kept = {t: sum(keep for keep, _, _ in _decide(scores, threshold=t)) for t in (0.5, 0.7, 0.95, 1.0)}
    assert kept == {0.5: 1, 0.7: 2, 0.95: 3, 1.0: 4}
    assert InvarianceSettings(threshold=0.5).measuring() == InvarianceSettings().measuring()
    assert InvarianceSettings().measuring() == {"flip": True, "train_fraction": 0.1, "folds": 5, "seed": 0}


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"threshold": 1.01}, {"train_fraction": 0}, {"folds": 1}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InvarianceSettings(**wrong)


@pytest.fixture(scope="module")
def scenes() -> tuple[dict[str, RGB], list[bool]]:
    """Painted scenes, one in four with a centred subject; every second pixel is enough."""
    images = {}
    for index in range(SCENES):
        picture = paint(HELD_OUT_SEED, index)
        images[_sha(index)] = np.ascontiguousarray(picture[::2, ::2])
    return images, [describe(HELD_OUT_SEED, index).plants["subject"] == "centred" for index in range(SCENES)]


@pytest.mark.slow
def test_centred_subjects_score_above_all_else(scenes: tuple[dict[str, RGB], list[bool]], tmp_path: Path) -> None:
    images, labels = scenes
    stage = Invariance(InvarianceSettings())
    stage.setup(_store(_fit(stage, images), tmp_path))
    p_true = np.array(stage.measure(list(images), list(images.values()))["p_true"])
    scores, centred = p_true.max(1), np.array(labels)
    above = (scores[centred][:, None] > scores[~centred][None, :]).mean()  # the area under the ROC curve
    assert above >= 0.9
    assert (scores[centred] >= 0.95).mean() > 10 * (scores[~centred] >= 0.95).mean()
    assert abs(p_true[centred].mean(0) @ [1, -1]) < 0.05  # neither half tells more than the other
