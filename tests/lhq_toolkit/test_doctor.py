"""`lhq doctor` says what is missing for what, never a key, and fails only where the basic road is closed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lhq_toolkit.doctor import BROKEN, MISSING, OK, ROADS, Check, examine, roads
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
    assert ran.json["roads"]["curate your own pictures"] == []
    assert "build a dataset from the web    wants LHQ_CONTACT" in told.out
    assert SECRET not in told.out + told.err


def test_programs_that_are_not_on_the_path_come_with_the_command_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LHQ_DATA", str(tmp_path / "nowhere"))
    checks = examine()
    says = {check.name: check.says for check in checks if check.state == MISSING}
    assert "apt-get install chromium" in says["chromium"]
    assert "apt-get install ffmpeg" in says["ffmpeg"]
    assert "apt-get install g++" in says["cc"]
    (data,) = (check for check in checks if check.name == "LHQ_DATA")
    assert (data.state, data.says) == (BROKEN, f"{tmp_path / 'nowhere'} is no folder")
    assert {name for needed in ROADS.values() for one in needed for name in one.split(" or ")} <= {
        check.name for check in checks
    }
    assert roads(checks)["run all tests"] == ["chromium", "cc"]


def test_each_road_says_what_it_wants() -> None:
    def found(*absent: str) -> dict[str, list[str]]:
        further = {name for needed in ROADS.values() for one in needed for name in one.split(" or ")}
        states = {name: MISSING if name in absent else OK for name in ("ray", *further)}
        return roads([Check(name, state, "", "", basic=name == "ray") for name, state in states.items()])

    assert not any(found().values())
    assert all(wanted[0] == "ray" for wanted in found("ray").values())
    assert not any(found("FLICKR_API_KEY").values())
    assert found("FLICKR_API_KEY", "UNSPLASH_ACCESS_KEY")["build a dataset from the web"] == [
        "FLICKR_API_KEY or UNSPLASH_ACCESS_KEY"
    ]
    assert [road for road, wanted in found("weights inception").items() if wanted] == [
        "all six filters",
        "the same, by FID",
        "repeat the paper's table",
    ]


@pytest.mark.slow
def test_a_package_that_does_not_import_closes_the_road(lhq, tmp_path: Path) -> None:
    (tmp_path / "simplejpeg.py").write_text("raise ImportError('libjpeg is gone')\n")
    paths = os.pathsep.join([str(tmp_path), str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    ran = lhq("doctor", "--json", env={"PYTHONPATH": paths})
    assert ran.code == 1
    (broken,) = [check for check in ran.json["checks"] if check["name"] == "simplejpeg"]
    assert (broken["state"], broken["basic"]) == ("broken", True)
    assert broken["says"] == "does not import (libjpeg is gone); run: make setup"
