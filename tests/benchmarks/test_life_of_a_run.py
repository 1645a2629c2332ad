"""What befalls a run: numbers that are none, a full disk, Ctrl-C at the wrong moment; what it leaves on the way."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
import reading_events
import tiny
import torch

from benchmarks import checkpoints, events, metrics, runs, samples
from benchmarks.pictures import Pictures
from benchmarks.training import Training
from lhq_toolkit import cli
from manifests.errors import SetupError

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
PICTURES = Pictures(tiny.images(), "tiny", "", "0" * 64, "0" * 64)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def judge_of(*distances: float):
    """A judge that says one after the other, then the last."""
    told = itertools.chain(distances, itertools.repeat(distances[-1]))
    return lambda _: {"fd": next(told)}


def train(run: Path, *, images: int = 32, snapshots: int = 4, model: str = "stylegan2", **more):
    """8 steps, judged at 0, 2, 4, 6 and 8."""
    more.setdefault("judge", judge_of(1.0))
    recipe = tiny.recipe(model, images=images, patches=4, input_resolution=4)
    return runs.train(recipe, PICTURES, run, CPU, snapshots=snapshots, **more)


def tensors_of(run: Path) -> bytes:
    return (checkpoints.last(run) / checkpoints.TENSORS).read_bytes()


def temporaries(run: Path) -> list[Path]:
    return list(run.rglob(".tmp-*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that nothing befell."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(tmp_path_factory.mktemp("whole") / "run")
    torch.set_num_threads(threads)
    return tmp_path_factory.getbasetemp() / "whole0" / "run"


def test_the_best_checkpoint_outlives_the_last_ones_and_a_resumption(tmp_path):
    run = tmp_path / "run"
    with contextlib.suppress(KeyboardInterrupt):
        train(run, judge=judge_of(9.0, 2.0, 5.0, 4.0), progress=stop_at(7))
    assert list(checkpoints.every(run)) == [2, 4, 6]
    train(run, judge=judge_of(6.0))
    assert list(checkpoints.every(run)) == [2, 6, 8]
    assert runs.open_checkpoint(run, CPU, "best").images == 8
    assert runs.open_checkpoint(run, CPU, "6").images == 24
    best, last = (runs.open_checkpoint(run, CPU, which).generator for which in ("best", "last"))
    assert any(not torch.equal(a, b) for a, b in zip(best.parameters(), last.parameters(), strict=True))


def stop_at(step: int):
    """A `Progress` that ends the process there, as far as the run can tell."""

    def progress(shown: int, _: int) -> None:
        if shown == 4 * step:
            raise KeyboardInterrupt

    return progress


def test_a_kill_between_judging_and_pruning_loses_no_checkpoint_and_judges_nothing_twice(tmp_path, monkeypatch, whole):
    run = tmp_path / "run"
    passed = iter(range(10))

    def kill(name: str) -> None:
        if name == "train.judged" and next(passed) == 3:  # at step 6
            raise SystemExit

    monkeypatch.setattr(runs.faults, "point", kill)
    with pytest.raises(SystemExit):
        train(run, judge=judge_of(9.0, 2.0, 5.0, 4.0))
    assert list(checkpoints.every(run)) == [2, 4, 6]
    monkeypatch.undo()
    train(run, judge=judge_of(7.0))
    assert [line["fd"] for line in metrics.measured(run)] == [9.0, 2.0, 5.0, 4.0, 7.0]
    assert list(checkpoints.every(run)) == [2, 6, 8]
    assert tensors_of(run) == tensors_of(whole)


def broken_from(step: int, monkeypatch) -> None:
    """A parameter of the generator becomes no number after this step."""
    advance = Training.advance

    def poisoned(self: Training):
        told = advance(self)
        if self.step == step:
            next(iter(self.generator.mapping.parameters())).data.view(-1)[0] = torch.nan
        return told

    monkeypatch.setattr(Training, "advance", poisoned)


def test_a_weight_that_is_no_number_stops_the_run_which_then_goes_on_from_the_last_good_state(
    tmp_path, monkeypatch, whole
):
    run = tmp_path / "run"
    broken_from(5, monkeypatch)
    with pytest.raises(SetupError, match=r"apart at step 6 \(generator_loss is nan\); .*00000004 is kept"):
        train(run)
    assert checkpoints.last(run).name == "00000004"
    assert metrics.read(run)[-1]["step"] == 5
    monkeypatch.undo()
    train(run)
    assert tensors_of(run) == tensors_of(whole)
    assert metrics.read(run) == metrics.read(whole)


def test_a_weight_that_breaks_in_the_step_that_is_saved_is_named_and_not_saved(tmp_path, monkeypatch, whole):
    run = tmp_path / "run"
    broken_from(6, monkeypatch)
    with pytest.raises(SetupError, match=r"step 6 \(generator\.mapping\.\S+ is not finite after it\); .*00000004"):
        train(run)
    assert checkpoints.last(run).name == "00000004"
    monkeypatch.undo()
    train(run)
    assert tensors_of(run) == tensors_of(whole)


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_gradient_that_is_no_number_stops_the_run(tmp_path, monkeypatch, network):
    made = Training.__init__

    def poisoned(self, *arguments):
        made(self, *arguments)

        def poison(optimiser, *_):
            if self.step == 2:
                optimiser.param_groups[0]["params"][-1].grad.view(-1)[0] = torch.inf

        self.optimisers[network].register_step_pre_hook(poison)

    monkeypatch.setattr(Training, "__init__", poisoned)
    with pytest.raises(SetupError, match=r"apart at step [34] \(\w+ is (nan|inf|-inf)\); .*00000002 is kept"):
        train(tmp_path / "run")
    for path in checkpoints.every(tmp_path / "run").values():
        assert checkpoints.first_not_finite(checkpoints.read(path)[0]) is None


def test_a_learning_rate_that_explodes_ends_at_the_same_step_again_and_spoils_no_checkpoint(tmp_path):
    recipe = tiny.recipe("stylegan2", images=32, learning_rate=1e6)
    said = []
    for _ in range(2):
        with pytest.raises(SetupError, match=r"fell apart at step \d+ \(.*lower learning_rate") as told:
            runs.train(recipe, PICTURES, tmp_path / "run", CPU)
        said.append(str(told.value))
    assert said[0] == said[1]
    assert list(checkpoints.every(tmp_path / "run")) == [0]
    tensors, _ = checkpoints.read(checkpoints.last(tmp_path / "run"))
    assert checkpoints.first_not_finite(tensors) is None


@pytest.mark.parametrize("room", [0, 150_000])  # for nothing; for half a checkpoint
def test_a_full_disk_stops_the_run_which_goes_on_bit_for_bit_when_there_is_space(small_disk, whole, room):
    run, filler = small_disk / "run", small_disk / "filler"

    def fill(_):
        if not filler.exists() and len(metrics.measured(run)) == 1:  # at step 2
            free = os.statvfs(small_disk)
            filler.write_bytes(b"x" * max(0, free.f_bavail * free.f_bsize - room))
        return {"fd": 1.0}

    with pytest.raises(OSError, match="No space left") as told:
        train(run, judge=fill)
    assert told.value.errno == errno.ENOSPC
    assert "disk is full" in cli._one_line(told.value)
    assert checkpoints.last(run).name == "00000002"
    assert not temporaries(run)
    assert (run / metrics.FILE).read_bytes()[-1:] == b"\n"
    assert reading_events.shown(run / events.FOLDER)
    filler.unlink()
    train(run)
    assert tensors_of(run) == tensors_of(whole)
    assert metrics.read(run) == metrics.read(whole)
    assert not temporaries(run)


def test_ctrl_c_while_the_judge_is_busy_ends_at_once_and_it_is_asked_again(tmp_path, whole):
    run = tmp_path / "run"

    def interrupted(_):
        if len(metrics.measured(run)) == 2:  # at step 4
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)
        return {"fd": 1.0}

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train(run, judge=interrupted)
    assert time.monotonic() - began < 20
    assert checkpoints.last(run).name == "00000004"
    assert [line["step"] for line in metrics.measured(run)] == [0, 2]
    train(run)
    assert metrics.read(run) == metrics.read(whole)
    assert tensors_of(run) == tensors_of(whole)


@pytest.mark.parametrize(("signals", "last"), [(1, "00000004"), (2, "00000002")])
def test_ctrl_c_while_it_saves_ends_after_it_and_the_second_at_once(tmp_path, monkeypatch, whole, signals, last):
    run = tmp_path / "run"
    save_file = checkpoints.save_file

    def interrupted(tensors, path):
        if "00000004" in str(path):
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGINT)
        save_file(tensors, path)

    monkeypatch.setattr(checkpoints, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(run)
    assert checkpoints.last(run).name == last
    assert not temporaries(run)
    monkeypatch.undo()
    train(run)
    assert metrics.read(run) == metrics.read(whole)
    assert tensors_of(run) == tensors_of(whole)


def test_a_run_that_goes_on_draws_the_same_files_and_tells_tensorboard_no_step_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "TICK_IMAGES", 8)  # five ticks
    train(tmp_path / "whole", model="alis", snapshots=1)
    with contextlib.suppress(KeyboardInterrupt):
        train(tmp_path / "run", model="alis", snapshots=1, progress=stop_at(7))  # the last checkpoint is that of 0
    assert list(samples.grids(tmp_path / "run")) == [0, 2, 4, 6]
    torch.manual_seed(5)
    train(tmp_path / "run", model="alis", snapshots=1)
    pictures = [
        {path.name: path.read_bytes() for path in (tmp_path / run / samples.FOLDER).iterdir()}
        for run in ("whole", "run")
    ]
    assert sorted(pictures[0]) == sorted(
        f"{step:08d}{kind}.png" for step in range(0, 9, 2) for kind in ("", "-panorama")
    )
    assert pictures[0] == pictures[1]
    assert len(set(pictures[0].values())) == 10
    shown = reading_events.shown(tmp_path / "run" / events.FOLDER)
    assert len(list((tmp_path / "run" / events.FOLDER).iterdir())) <= 2
    for tag, count in (("loss/generator_loss", 8), ("training/r1", 2)):
        name = tag.partition("/")[2]
        told = {line["step"]: line[name] for line in metrics.read(tmp_path / "run") if name in line}
        assert shown[tag] == pytest.approx(told)
        assert len(told) == count
    assert shown["distance/fd"] == {0: 1.0, 8: 1.0}
    assert shown["samples/frames"] == dict.fromkeys(range(0, 9, 2), (96, 96))
    assert shown["samples/panorama"] == dict.fromkeys(range(0, 9, 2), (128, 16))


def test_drawing_judging_and_reporting_are_not_counted_as_training(tmp_path, monkeypatch):
    draw = samples.draw
    monkeypatch.setattr(samples, "draw", lambda *given: time.sleep(0.2) or draw(*given))
    began = time.perf_counter()
    trained = train(
        tmp_path / "run",
        images=16,
        snapshots=1,
        judge=lambda _: time.sleep(0.2) or {"fd": 1.0},
        report=lambda _: time.sleep(0.2),
    )
    assert trained.seconds < time.perf_counter() - began - 1.1  # each is asked twice


def test_a_report_is_told_at_the_start_at_ticks_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "TICK_IMAGES", 8)
    told = []
    train(tmp_path / "run", images=24, snapshots=1, report=told.append)
    assert [(one.step, one.images) for one in told] == [(0, 0), (2, 8), (4, 16), (6, 24)]
    seconds = [sum(one.devices.values()) for one in told]
    assert seconds == sorted(seconds)
    train(tmp_path / "run", images=24, snapshots=1, report=told.append)  # nothing is left to do
    assert [one.step for one in told] == [0, 2, 4, 6, 6]


def test_without_tensorboardx_a_run_goes_without_with_one_line_of_notice(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX.event_file_writer", None)
    train(tmp_path / "run", images=16)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install tensorboardX" in said
    assert not (tmp_path / "run" / events.FOLDER).exists()
    assert list(samples.grids(tmp_path / "run")) == [0, 4]


def test_half_a_line_of_metrics_is_cut_off_when_a_run_goes_on(tmp_path):
    train(tmp_path / "run", images=16)
    whole = (tmp_path / "run" / metrics.FILE).read_bytes()
    with (tmp_path / "run" / metrics.FILE).open("ab") as file:
        file.write(json.dumps({"step": 4}).encode()[:5])
    train(tmp_path / "run", images=16)
    assert (tmp_path / "run" / metrics.FILE).read_bytes() == whole


def test_a_run_whose_hours_are_over_ends_judged_and_is_finished(tmp_path):
    recipe = tiny.recipe("stylegan2", images=4000, hours=1e-9)
    some = {"judge": judge_of(1.0), "snapshots": 2}
    found = runs.train(recipe, PICTURES, tmp_path, CPU, **some)
    assert found.images == runs.CLOCK_STEPS * recipe.batch
    assert [line["step"] for line in metrics.measured(tmp_path)] == [0, runs.CLOCK_STEPS]
    assert max(samples.grids(tmp_path)) == runs.CLOCK_STEPS
    assert runs.is_finished(recipe, tmp_path)
    again = runs.train(recipe, PICTURES, tmp_path, CPU, **some)
    assert (again.steps_now, again.images) == (0, found.images)
    assert not runs.is_finished(dataclasses.replace(recipe, hours=0.0), tmp_path)
    assert not runs.is_finished(recipe, tmp_path / "none")


def test_a_full_disk_after_the_clock_was_set_back_costs_no_earlier_events(tmp_path, monkeypatch):
    with contextlib.closing(events.Events(tmp_path, 8)) as first:
        first.lines([{"step": 9, "generator_loss": 1.0}])
    (earlier,) = (tmp_path / events.FOLDER).iterdir()
    before = earlier.read_bytes()
    two_days_ago = time.time() - 2 * 86_400
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: two_days_ago)
        second = events.Events(tmp_path, 8)
        second._begin()

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(second._file, "flush", full)
    with pytest.raises(OSError, match="No space"):
        second.lines([{"step": 9, "generator_loss": 2.0}])
    assert earlier.read_bytes() == before
