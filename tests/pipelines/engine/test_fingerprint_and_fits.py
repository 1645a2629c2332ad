"""A fingerprint changes with what is measured and with nothing else; fits are stored whole and found again."""

from __future__ import annotations

import json

import pytest

from manifests.errors import SetupError
from pipelines.engine import fits
from pipelines.engine.fingerprint import fingerprint, hash_of_set
from pipelines.filters.invariance import Invariance, InvarianceSettings


def stage(**settings) -> Invariance:
    return Invariance(InvarianceSettings(**settings))


def test_thresholds_leave_the_fingerprint_and_measuring_parameters_change_it():
    same = fingerprint(stage(threshold=0.5), "set")
    assert same == fingerprint(stage(threshold=0.99), "set")
    assert same != fingerprint(stage(flip=False), "set")
    assert same != fingerprint(stage(train_fraction=0.2), "set")
    assert same != fingerprint(stage(), "another set")


def test_a_new_version_of_the_stage_changes_the_fingerprint(monkeypatch):
    before = fingerprint(stage(), "set")
    monkeypatch.setattr(Invariance, "version", Invariance.version + 1)
    assert fingerprint(stage(), "set") != before


def test_the_hash_of_a_set_does_not_depend_on_order():
    assert hash_of_set(["a", "b"]) == hash_of_set(["b", "a"])
    assert hash_of_set(["a", "b"]) != hash_of_set(["a"])


def test_the_newest_fit_of_the_same_identity_is_used_whatever_it_was_made_from(tmp_path):
    first = fits.store(tmp_path, stage(), "set one", 20, {"net": b"1"})
    second = fits.store(tmp_path, stage(), "set two", 30, {"net": b"2"})
    fits.store(tmp_path, stage(flip=False), "set three", 30, {"net": b"3"})
    assert fits.newest(tmp_path, stage(threshold=0.5)) == second
    assert (second.folder / "net").read_bytes() == b"2"
    again = fits.store(tmp_path, stage(), "set one", 20, {"net": b"1"})
    assert again.fingerprint == first.fingerprint
    newest = fits.newest(tmp_path, stage())
    assert newest is not None
    assert newest.fingerprint == first.fingerprint


def test_an_interrupted_store_is_no_fit_and_is_swept(tmp_path):
    fits.store(tmp_path, stage(), "set", 20, {"net": b"1"})
    leftover = tmp_path / ".tmp-1-ab-name"
    leftover.mkdir()
    (leftover / "fit.json").write_text("{")
    assert fits.newest(tmp_path, stage()) is not None
    fits.sweep(tmp_path)
    assert [path.name[0] for path in tmp_path.iterdir()] != ["."]
    assert not leftover.exists()


def test_a_damaged_fit_is_named(tmp_path):
    fit = fits.store(tmp_path, stage(), "set", 20, {"net": b"1"})
    (fit.folder / "fit.json").write_text(json.dumps({"stage": "invariance"}))
    with pytest.raises(SetupError, match=r"fit\.json is damaged"):
        fits.newest(tmp_path, stage())
