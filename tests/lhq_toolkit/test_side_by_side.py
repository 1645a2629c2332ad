"""Two models are trained at once on a real Ray; one that dies starts again from its checkpoint."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import tiny
from running import lhq_command

from benchmarks import checkpoints, metrics, recipes
from lhq_toolkit import training
from lhq_toolkit.commands.machine import DeviceName
from models.weights import cache_folder
from pipelines.engine import version

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("tiny") / "data", tiny.images())


def steps_of(run: Path) -> list[int]:
    return [line["step"] for line in metrics.read(run) if "generator_loss" in line]


def work(model: str, data: Path, place: Path) -> training.Together:
    return training.Together(
        recipe=tiny.recipe(model, images=160, batch=8),
        data=data,
        run=place / model,
        cache=cache_folder(),
        device=DeviceName.CPU,
        threads=1,
        toolkit="test",
        checkout=version.checkout(),
        at_once=None,
        compile=False,
    )


def test_two_models_train_at_once_and_what_is_killed_goes_on_from_its_checkpoint(data, tmp_path, monkeypatch, caplog):
    # each process dies at its 15th step of 20; there is a snapshot of the smoke budget at step 10
    monkeypatch.setenv("LHQ_FAULT", "train.step:15")
    models = ("stylegan2", "alis")
    with caplog.at_level(logging.WARNING):
        training.train_side_by_side([work(model, data, tmp_path) for model in models], training.Room(2, 1), None)
    for model in models:
        run = tmp_path / model
        assert f"the worker of {model} died" in caplog.text
        assert recipes.load(run).model == model
        assert steps_of(run) == list(range(1, 21))
        assert checkpoints.reached(run)[0] == 20
    begun = [(tmp_path / model / recipes.FILE).stat().st_mtime for model in models]
    ended = [checkpoints.at(tmp_path / model, 20).stat().st_mtime for model in models]
    assert max(begun) < min(ended), "they were not at work at the same time"


def test_as_many_are_trained_at_once_as_there_is_room_for(monkeypatch):
    monkeypatch.setattr(training, "cores", lambda: 8)
    monkeypatch.setattr(training.torch.cuda, "device_count", lambda: 0)
    assert training.room(4, True, DeviceName.AUTO, None) == training.Room(4, 2)
    assert training.room(4, True, DeviceName.AUTO, 4) == training.Room(2, 4)
    assert training.room(4, False, DeviceName.AUTO, None) == training.Room(1, 8)
    monkeypatch.setattr(training.torch.cuda, "device_count", lambda: 3)
    assert training.room(4, False, DeviceName.AUTO, None).at_once == 3
    assert training.room(4, False, DeviceName.CPU, None).at_once == 1


class Cluster:
    """What is asked of a session on a cluster of ten processors and no GPU."""

    def __init__(self, address: str | None) -> None:
        self.address = address

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None: ...

    def start(self) -> None: ...

    def cores(self) -> int:
        return 10

    def gpus(self) -> float:
        return 0.0


@pytest.mark.parametrize(("asked", "at_once"), [(None, 5), (3, 3)])
def test_a_cluster_trains_as_many_at_once_as_fit_unless_a_number_is_asked_for(
    asked, at_once, data, tmp_path, monkeypatch
):
    told: list[int] = []
    monkeypatch.setattr(training, "RaySession", Cluster)
    monkeypatch.setattr(training.launch, "side_by_side", lambda jobs, many, **_: told.append(many))
    works = [work(model, data, tmp_path) for model in ("stylegan2", "alis")]
    training.train_side_by_side(works, training.Room(1, 2), "ray://elsewhere", asked)
    assert told == [at_once]


@pytest.mark.long
def test_ctrl_c_lets_all_save(data, tmp_path):
    runs = tmp_path / "runs"
    command = ["benchmark", "--dataset", "tiny", "--data", data, "--models", "stylegan2,alis,locogan"]
    command += ["--side-by-side", 2, "-o", runs, "--leaderboard", tmp_path / "b.csv", "--device", "cpu", "--threads", 1]
    command += [*tiny.OPTIONS, "--set", "images=80000", "--set", "batch=8"]
    process = subprocess.Popen(lhq_command(*command), stderr=subprocess.PIPE, text=True, start_new_session=True)
    while process.poll() is None:
        at_work = [path.parent for path in runs.glob("*/metrics.jsonl")]
        if len(at_work) == 2 and all(len(steps_of(run)) > 60 for run in at_work):
            break
        time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 130, said
    for run in at_work:
        assert checkpoints.reached(run)[0] == steps_of(run)[-1]
        assert not (run / "locks" / "stop").exists()
    assert not list(runs.glob("locogan*/checkpoints/*")), "a third one was begun"
