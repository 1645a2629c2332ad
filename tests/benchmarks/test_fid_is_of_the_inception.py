"""A FID without the 2015 Inception can be produced by no path: features, judging, evaluating, rows, leaderboards."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from inception import write_stand_in

from benchmarks import evaluate, leaderboard, networks, runs, speed
from benchmarks.leaderboard import Row
from benchmarks.pictures import Pictures
from benchmarks.recipes import Measurement
from benchmarks.reference import Reference
from manifests.errors import SetupError
from models import extractors, features, resnet_classifier, weights
from models.features import INCEPTION_FILE, INCEPTION_SHA256, Extractor
from models.weights import REGISTRY, Weights, WeightsError

CPU = torch.device("cpu")
PICTURES = Pictures(tiny.images(), "tiny", "curated", "a" * 64, "c" * 64)
MEASUREMENT = Measurement(10, 0, 10, curve_frames=4, stretch=10)
INCEPTION = f"inception-2015-12-05@{INCEPTION_SHA256}"


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Extractor]:
    """Every extractor that can be made without the Inception's file, one of them with a file in its place."""
    sha256 = write_stand_in(tmp_path / INCEPTION_FILE)
    found = {
        f"stand-in {resize}": features._inception(tmp_path / INCEPTION_FILE, CPU, sha256, resize)
        for resize in ("clean", "legacy")
    }
    file = tmp_path / REGISTRY["resnet18"].file
    torch.save(resnet_classifier.build(resnet_classifier.Sizes("resnet18"), 0).state_dict(), file)
    known = Weights("resnet18", file.name, "", weights.read_sha256(file), None, "", "")
    monkeypatch.setattr(weights, "REGISTRY", {**REGISTRY, "resnet18": known})
    for name, (resizes, _) in extractors.REGISTRY.items():
        if name in ("inception", "wide_resnet50_2"):  # another file in its place, and none
            for resize in (None, *resizes):
                with pytest.raises(WeightsError, match=r"was not opened|is missing"):
                    extractors.by_name(name, tmp_path, resize)
        else:
            found |= {f"{name} {resize}": extractors.by_name(name, tmp_path, resize) for resize in resizes}
    assert len(found) == 5
    return found


def _names(told: Any) -> Iterator[str]:
    """Every key, at any depth."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield str(name)
            yield from _names(value)
    elif isinstance(told, list):
        for value in told:
            yield from _names(value)


@pytest.mark.slow
def test_no_features_but_the_inceptions_are_called_so_on_the_way_to_a_row(
    others: dict[str, Extractor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "SECONDS", 0.0)
    monkeypatch.setattr(speed, "BATCHES", (1,))
    assert not any(extractor.is_fid for extractor in others.values())
    generator = networks.build(tiny.recipe("alis"))[0].eval()
    runs.train(tiny.recipe("alis", images=4), PICTURES, tmp_path / "run", CPU)
    for name in ("small none", "stand-in clean"):
        reference = Reference(PICTURES, others[name])
        assert reference.name == "fd"
        assert set(evaluate.judge(reference, Measurement(4, 0, 4))(generator)) == {"fd", "infinity_fd"}
    found = evaluate.evaluate(tmp_path / "run", Reference(PICTURES, others["small none"]), MEASUREMENT, CPU, "1")
    assert (found.row.fid, found.row.infinity_fid) == (None, None)
    assert not [name for name in _names(found.details) if "fid" in name]
    assert {"fd", "infinity_fd"} <= set(_names(found.details))


def test_with_the_inceptions_hash_the_same_path_says_fid() -> None:
    """The name hangs on the hash of the weights that was checked, and on nothing else."""
    stand_in = Extractor("inception-2015-12-05", 246, INCEPTION_SHA256, "clean", CPU, features.small().network)
    reference = Reference(PICTURES, stand_in)
    generator = networks.build(tiny.recipe("alis"))[0].eval()
    assert set(evaluate.judge(reference, Measurement(4, 0, 4))(generator)) == {"fid", "infinity_fid"}


def _row(**changed: Any) -> Row:
    facts = {"dataset": "d", "subset": "s", "subset_hash": "a", "resolution": 16, "budget": "smoke"}
    return Row(model="alis", recipe_hash="b", **{**facts, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize("number", ["fid", "infinity_fid"])
@pytest.mark.parametrize("origin", ["ours", "paper", "merged"])
def test_no_row_says_fid_of_other_features(number: str, origin: str) -> None:
    assert getattr(_row(features=INCEPTION, origin=origin, **{number: 2.0}), number) == 2.0
    for label in (features.small().label, "inception-2015-12-05@" + "0" * 64, INCEPTION_SHA256[:-1], "inception"):
        with pytest.raises(ValueError, match="only the 2015 Inception"):
            _row(features=label, origin=origin, **{number: 2.0})
    if origin != "paper":
        with pytest.raises(ValueError, match="features None"):
            _row(origin=origin, **{number: 2.0})
    else:
        _row(origin=origin, **{number: 2.0})


def test_no_leaderboard_is_read_or_added_to_that_says_fid_of_other_features(tmp_path: Path) -> None:
    board = tmp_path / "a.csv"
    leaderboard.add(board, _row(features=features.small().label, fd=2.5))
    with board.open(newline="") as stream:
        lines = list(csv.reader(stream))
    lines[1][lines[0].index("fid")] = "2.5"
    with board.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(lines)
    before = board.read_bytes()
    for use in (lambda: leaderboard.read(board), lambda: leaderboard.add(board, _row(fd=1.0))):
        with pytest.raises(SetupError, match=r"line 2: a FID of the features small-conv"):
            use()
    assert board.read_bytes() == before


def test_a_kept_row_that_says_fid_of_other_features_is_not_used(tmp_path: Path) -> None:
    from lhq_toolkit import benchmark

    facts = vars(_row(features=features.small().label, fd=2.5))
    (tmp_path / benchmark.ROW).write_text(json.dumps(facts))
    assert benchmark.known_row(tmp_path) is not None
    (tmp_path / benchmark.ROW).write_text(json.dumps({**facts, "fid": 2.5}))
    assert benchmark.known_row(tmp_path) is None
