"""`lhq doctor` says what is missing for what, never a key, and fails only where the basic road is closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lhq_toolkit.doctor import MISSING, examine
from models.weights import REGISTRY

SECRET = "s3cr3t-value-of-a-key"


@pytest.mark.slow
def test_it_names_weights_keys_and_machine_and_prints_no_key(lhq, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# UNSPLASH_ACCESS_KEY={SECRET}\nexport FLICKR_API_KEY='{SECRET}'\nLHQ_CONTACT=\n")
    wrong = tmp_path / "cache" / REGISTRY["resnet18"].file
    wrong.parent.mkdir()
    wrong.write_bytes(b"something")
    env = {"LHQ_CACHE": str(wrong.parent), "FLICKR_API_SECRET": SECRET, "UNSPLASH_ACCESS_KEY": "", "LHQ_CONTACT": ""}
    ran = lhq("doctor", "--json", env={**env, "FLICKR_API_KEY": ""}, cwd=tmp_path)
    assert ran.code == 0, ran.err
    checks = {check["name"]: check for check in ran.json["checks"]}
    states = {name: check["state"] for name, check in checks.items()}
    assert ran.json["ok"]
    assert {states[name] for name in ("python", "torch", "ray", "cores", "memory", "LHQ_CACHE")} == {"ok"}
    assert states["FLICKR_API_KEY"] == states["FLICKR_API_SECRET"] == "ok"
    assert states["UNSPLASH_ACCESS_KEY"] == states["LHQ_CONTACT"] == "missing"
    assert states["weights resnet18"] == "broken"
    for name in REGISTRY.keys() - {"resnet18"}:
        assert states[f"weights {name}"] == "missing"
        assert checks[f"weights {name}"]["says"] == f"run: lhq weights fetch {name}"
        assert checks[f"weights {name}"]["needed_for"] == REGISTRY[name].needed_by
    assert {"gpu", "detectron2", "chromium", "ffmpeg"} < states.keys()
    assert "in .env to a key of https://unsplash.com" in checks["UNSPLASH_ACCESS_KEY"]["says"]
    assert SECRET not in ran.out + ran.err
    told = lhq("doctor", env={**env, "FLICKR_API_KEY": ""}, cwd=tmp_path)
    assert told.code == 0
    assert "lhq weights fetch inception" in told.out
    assert SECRET not in told.out + told.err


def test_programs_that_are_not_on_the_path_come_with_the_command_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    says = {check.name: check.says for check in examine() if check.state == MISSING}
    assert "apt-get install chromium" in says["chromium"]
    assert "apt-get install ffmpeg" in says["ffmpeg"]


@pytest.mark.slow
def test_a_package_that_does_not_import_closes_the_road(lhq, tmp_path: Path) -> None:
    (tmp_path / "simplejpeg.py").write_text("raise ImportError('libjpeg is gone')\n")
    paths = os.pathsep.join([str(tmp_path), str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    ran = lhq("doctor", "--json", env={"PYTHONPATH": paths})
    assert ran.code == 1
    (broken,) = [check for check in ran.json["checks"] if check["name"] == "simplejpeg"]
    assert (broken["state"], broken["basic"]) == ("broken", True)
    assert broken["says"] == "does not import (libjpeg is gone); run: make setup"
