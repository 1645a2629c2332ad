"""Checkpoints: the last and the best are kept, nothing that is not finite is saved, a full disk leaves no half."""

from __future__ import annotations

import json
import math

import pytest
import torch

from benchmarks import checkpoints, metrics
from manifests.errors import MisuseError, SetupError

TENSORS = {"generator.weight": torch.ones(3, 4), "optimiser.generator.0.step": torch.tensor(3.0)}


def save(run, step: int, **judged: float) -> None:
    """A checkpoint, judged and pruned as a run does it."""
    checkpoints.sweep(run)
    checkpoints.save(run, step, TENSORS, {"step": step})
    if judged:
        with (run / metrics.FILE).open("a") as file:
            file.write(json.dumps({"step": step, "images": 4 * step, **judged}) + "\n")
    checkpoints.prune(run)


def test_the_last_two_and_the_best_are_kept(tmp_path):
    for step, distance in ((0, 9.0), (10, 3.0), (20, 5.0), (30, 4.0), (40, 6.0)):
        save(tmp_path, step, fd=distance, infinity_fd=-distance)
    assert list(checkpoints.every(tmp_path)) == [10, 30, 40]
    assert checkpoints.best(tmp_path).name == "00000010"
    save(tmp_path, 50, fd=2.0)
    save(tmp_path, 60)
    assert list(checkpoints.every(tmp_path)) == [50, 60]
    assert checkpoints.best(tmp_path).name == "00000050"


def test_what_is_judged_by_another_distance_is_another_best(tmp_path):
    for step, judged in ((10, {"fd": 1.0}), (20, {"fid": 40.0}), (30, {"fid": 50.0}), (40, {"fid": 60.0})):
        save(tmp_path, step, **judged)
    assert list(checkpoints.every(tmp_path)) == [10, 20, 30, 40]
    assert checkpoints.best(tmp_path).name == "00000020"


def test_a_distance_that_is_no_number_is_never_the_best_and_of_equals_the_later_is(tmp_path):
    for step, distance in ((10, 3.0), (20, math.nan), (30, 3.0), (40, -math.inf), (50, 8.0)):
        save(tmp_path, step, fd=distance)
    assert list(checkpoints.every(tmp_path)) == [30, 40, 50]
    assert checkpoints.best(tmp_path).name == "00000030"


def test_a_kill_before_the_pruning_is_made_good_by_the_next(tmp_path):
    for step, distance in ((10, 3.0), (20, 5.0), (30, 4.0)):
        save(tmp_path, step, fd=distance)
    checkpoints.save(tmp_path, 40, TENSORS, {"step": 40})  # killed before it was judged
    assert list(checkpoints.every(tmp_path)) == [10, 20, 30, 40]
    assert checkpoints.best(tmp_path).name == "00000010"
    checkpoints.prune(tmp_path)
    assert list(checkpoints.every(tmp_path)) == [10, 30, 40]


def test_best_last_and_steps_name_checkpoints_and_what_is_not_there_is_told(tmp_path):
    with pytest.raises(SetupError, match="lhq train"):
        checkpoints.chosen(tmp_path, "last")
    save(tmp_path, 10)
    save(tmp_path, 20)
    with pytest.raises(SetupError, match="none that was judged; there are: 10, 20"):
        checkpoints.chosen(tmp_path, "best")
    save(tmp_path, 30, fd=3.0)
    save(tmp_path, 40, fd=5.0)
    found = {which: checkpoints.chosen(tmp_path, which).name for which in ("last", "best", "30", "00000040")}
    assert found == {"last": "00000040", "best": "00000030", "30": "00000030", "00000040": "00000040"}
    with pytest.raises(SetupError, match="none of step 10; there are: 30, 40"):
        checkpoints.chosen(tmp_path, "10")
    for wrong in ("newest", "-1", "", "../30", "1e3"):
        with pytest.raises(MisuseError, match="--checkpoint"):
            checkpoints.chosen(tmp_path, wrong)


def test_a_copy_that_someone_put_beside_the_checkpoints_is_left_alone(tmp_path):
    for step in (10, 20, 30):
        save(tmp_path, step)
    copy = tmp_path / checkpoints.FOLDER / "00000030 (copy)"
    copy.mkdir()
    assert list(checkpoints.every(tmp_path)) == [20, 30]
    assert checkpoints.chosen(tmp_path, "last").name == "00000030"
    save(tmp_path, 100_000_000)
    assert checkpoints.last(tmp_path).name == "100000000"
    assert list(checkpoints.every(tmp_path)) == [30, 100_000_000]
    assert copy.is_dir()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nothing_that_is_not_finite_is_saved_and_the_tensor_is_named(tmp_path, value):
    checkpoints.sweep(tmp_path)
    tensors = {**TENSORS, "average.mapping.0.weight": torch.ones(5), "count": torch.tensor(3)}
    tensors["average.mapping.0.weight"][3] = value
    with pytest.raises(metrics.NotFiniteError, match=r"step 7: average\.mapping\.0\.weight is not finite"):
        checkpoints.save(tmp_path, 7, tensors, {})
    assert not list((tmp_path / checkpoints.FOLDER).iterdir())


def test_what_the_system_refuses_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    save(tmp_path, 10)

    def refuse(tensors, path):
        path.write_bytes(b"half")
        raise checkpoints.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", refuse)
    with pytest.raises(OSError, match="No space left") as told:
        checkpoints.save(tmp_path, 20, TENSORS, {})
    assert told.value.errno == 28
    assert [path.name for path in (tmp_path / checkpoints.FOLDER).iterdir()] == ["00000010"]
