"""Two workers on a real Ray train one run: told apart from none by nothing but rounding, and hard to stop."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import tiny
from running import lhq_command

from benchmarks import checkpoints, metrics

SETTINGS = (*tiny.OPTIONS, "--set", "images=480", "--set", "batch=8", "--device", "cpu", "--threads", "1")
TWO = ("--workers", "2")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("tiny") / "data", tiny.images())


def tensors_of(run: Path) -> bytes:
    last = checkpoints.last(run)
    assert last is not None
    return (last / checkpoints.TENSORS).read_bytes()


def losses_of(run: Path) -> list[dict]:
    return [line for line in metrics.read(run) if "generator_loss" in line]


@pytest.mark.slow
def test_workers_that_die_are_started_again_and_learn_what_one_process_does(lhq, data, tmp_path):
    exact = (*SETTINGS, "--set", "images=160", "--set", "precision=float64")
    alone = lhq("train", "alis", data, "-o", tmp_path / "alone", *exact)
    assert alone.code == 0, alone.err
    # each process dies at its 15th step of 20; there is a snapshot of the smoke budget at step 10
    died = {"LHQ_FAULT": "train.step:15"}
    ran = lhq("train", "alis", data, "-o", tmp_path / "run", *exact, *TWO, "--json", env=died)
    assert ran.code == 0, ran.err
    assert "a worker died" in ran.err
    assert ran.json["images"] == 160
    assert [line["step"] for line in losses_of(tmp_path / "run")] == list(range(1, 21))
    for one, two in zip(losses_of(tmp_path / "alone"), losses_of(tmp_path / "run"), strict=True):
        assert two == pytest.approx(one, rel=1e-6)
    assert not (tmp_path / "run" / ".ray").exists()


@pytest.mark.slow
@pytest.mark.long
def test_a_run_whose_workers_died_is_bit_for_bit_one_whose_did_not(lhq, data, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert lhq("train", "stylegan2", data, "-o", whole, *SETTINGS, *TWO).code == 0
    died = {"LHQ_FAULT": "train.step:35"}
    assert lhq("train", "stylegan2", data, "-o", broken, *SETTINGS, *TWO, env=died).code == 0
    assert tensors_of(broken) == tensors_of(whole)
    assert losses_of(broken) == losses_of(whole)


@pytest.mark.slow
@pytest.mark.long
def test_workers_that_always_die_end_the_run_with_a_clear_line(lhq, data, tmp_path):
    ran = lhq("train", "alis", data, "-o", tmp_path / "run", *SETTINGS, *TWO, env={"LHQ_FAULT": "train.step:5"})
    assert ran.code == 1
    assert "died 3 times without a new checkpoint" in ran.err


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_reaches_the_workers_and_they_save(data, tmp_path, workers):
    run = tmp_path / "run"
    settings = (*SETTINGS, "--set", "images=8000000", "--workers", workers)
    command = lhq_command("train", "stylegan2", data, "-o", run, *settings)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (run / metrics.FILE).is_file() or (len(losses_of(run)) < 60 and process.poll() is None):
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130, said
    last = checkpoints.last(run)
    assert last is not None
    assert int(last.name) == losses_of(run)[-1]["step"]
    facts = json.loads((last / checkpoints.FACTS).read_text())
    assert list(facts["devices"]) == [{1: "cpu (1 threads)", 2: "2 x cpu (1 threads)"}[workers]]


@pytest.mark.slow
def test_a_batch_that_the_workers_cannot_share_is_refused_before_ray_starts(lhq, data, tmp_path):
    ran = lhq("train", "alis", data, "-o", tmp_path / "run", *SETTINGS, "--workers", "3")
    assert ran.code == 2
    assert "cannot be shared by 3 processes" in ran.err
    assert "Ray" not in ran.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_an_address_without_workers_is_refused(lhq, data, tmp_path):
    ran = lhq("train", "alis", data, "-o", tmp_path / "run", *SETTINGS, "--ray-address", "auto")
    assert ran.code == 2
    assert "--workers" in ran.err
