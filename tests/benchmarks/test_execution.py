"""However a batch is cut, computed or shared, the networks learn the same."""

import copy
import dataclasses
import functools

import pytest
import tiny
import torch
from matrices import mostly_long
from two_workers import CPU, by_two, first_gradients, trained, trained_for_no_time, twenty_steps, weights

from benchmarks import checkpoints, runs
from benchmarks.execution import Execution
from benchmarks.team import Team
from benchmarks.training import Training
from manifests.errors import MisuseError

pytestmark = pytest.mark.slow

MODELS = ("stylegan2", "alis", "locogan")


def furthest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest difference relative to the size of its tensor."""
    assert ours.keys() == theirs.keys()
    return max(
        float((ours[name] - theirs[name]).abs().max() / theirs[name].abs().max().clamp(min=1e-30)) for name in ours
    )


@pytest.mark.parametrize("model", mostly_long(MODELS, ("alis",)))
def test_two_workers_learn_in_float64_what_one_does(model):
    one = weights(trained(model, 20, Execution(), precision="float64"))
    assert all(tensor.dtype in (torch.float64, torch.float32) for tensor in one.values())
    assert furthest(by_two(functools.partial(twenty_steps, model=model)), one) < 1e-6


@pytest.mark.parametrize("model", mostly_long(MODELS, ("stylegan2",)))
def test_two_workers_have_the_first_gradients_of_one_in_float32(model):
    assert furthest(by_two(functools.partial(first_gradients, model=model)), first_gradients(Team(), model)) < 1e-5


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_in_two_parts_teaches_what_it_does_in_one(model):
    whole = weights(trained(model, 6, Execution(), precision="float64"))
    parts = weights(trained(model, 6, Execution(at_once=4), precision="float64"))
    assert furthest(parts, whole) < 1e-8


def test_a_part_holds_whole_groups_of_the_minibatch_deviation():
    """Samples whose pictures are all alike have no deviation, unless others stand among them."""
    recipe = tiny.recipe("stylegan2", batch=16, images=16)
    shown = []
    for at_once in (16, 8, 4):
        training = Training(recipe, tiny.images(), CPU, Execution(at_once=at_once))
        groups = []
        for part in training._mine:
            group = training._real(part).view(4, at_once // 4, -1)  # as minibatch_deviation cuts it
            groups += [frozenset(float(one.sum()) for one in group[:, at]) for at in range(group.shape[1])]
        shown.append(set(groups))
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize(
    ("execution", "says"),
    [
        (Execution(Team(0, 3)), "cannot be shared by 3 processes"),
        (Execution(Team(0, 4)), "whole groups of 4"),
        (Execution(at_once=6), "with 6 pictures at once"),
        (Execution(at_once=2), "whole groups of 4"),
    ],
)
def test_a_batch_that_cannot_be_cut_so_is_refused(execution, says):
    with pytest.raises(MisuseError, match=says):
        Training(tiny.recipe("stylegan2", batch=8), tiny.images(), CPU, execution)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.06), ("float16", 0.015)])
def test_a_smaller_number_format_changes_the_losses_little(model, precision, tolerance):
    exact = trained(model, 0, Execution()).advance()
    training = trained(model, 0, Execution(), precision=precision)
    for enlarged in training._enlarged.values():
        enlarged.scale = 2.0**4  # at the one that a training begins with, a regulariser overflows and is left out
    coarse = training.advance()
    assert all(tensor.dtype == torch.float32 for tensor in training.generator.parameters())
    for name, loss in exact.items():
        assert abs(float(coarse[name] - loss)) <= tolerance * max(1.0, abs(float(loss))), name
    assert not any(float(coarse[name]) == float(exact[name]) for name in ("generator_loss", "r1"))


def test_an_overflow_in_float16_is_left_out_and_gradients_are_enlarged_less():
    training = trained("stylegan2", 1, Execution(), precision="float16")
    enlarged = training._enlarged["generator"]
    enlarged.scale = 2.0**40
    before = [parameter.clone() for parameter in training.generator.parameters()]
    training._generator_learns()
    assert enlarged.scale == 2.0**39
    assert all(torch.equal(a, b) for a, b in zip(before, training.generator.parameters(), strict=True))
    enlarged.scale = 2.0**10
    training._generator_learns()
    assert not all(torch.equal(a, b) for a, b in zip(before, training.generator.parameters(), strict=True))
    tensors, facts = copy.deepcopy(training.state())
    again = Training(training.recipe, tiny.images(), CPU)
    again.restore(tensors, facts)
    assert dataclasses.asdict(again._enlarged["generator"]) == dataclasses.asdict(enlarged)


@pytest.mark.long
@pytest.mark.parametrize("model", MODELS)
def test_compiled_steps_learn_the_same(model):
    plain = trained(model, 3, Execution(), precision="float64")
    made = trained(model, 3, Execution(compile=True), precision="float64")
    assert furthest(weights(made), weights(plain)) < 1e-8


def test_augmentation_follows_the_discriminator_and_resumes_exactly():
    settings = {"augment_target": 0.01, "augment_kimg": 0.1}
    unbroken = trained("alis", 10, Execution(), **settings)
    assert float(unbroken.adaptive.strength) > 0
    tensors, facts = copy.deepcopy(unbroken.state())
    resumed = Training(unbroken.recipe, tiny.images(), CPU)
    resumed.restore(tensors, facts)
    for _ in range(6):
        assert {k: float(v) for k, v in resumed.advance().items()} == {
            k: float(v) for k, v in unbroken.advance().items()
        }
    assert float(resumed.adaptive.strength) == float(unbroken.adaptive.strength)
    plain = trained("alis", 1, Execution()).advance()
    assert "augmentation" not in plain
    training = trained("alis", 1, Execution(), **settings)
    training.adaptive = dataclasses.replace(training.adaptive, strength=torch.ones(()))
    assert abs(float(training.advance()["discriminator_loss"] - plain["discriminator_loss"])) > 1e-3


def test_augmented_batches_in_two_parts_teach_what_they_do_in_one():
    settings = {"augment_target": 0.01, "augment_kimg": 0.02, "precision": "float64"}
    whole = trained("stylegan2", 6, Execution(), **settings)
    parts = trained("stylegan2", 6, Execution(at_once=4), **settings)
    assert float(whole.adaptive.strength) > 0
    assert furthest(weights(parts), weights(whole)) < 1e-8


def test_fewer_pictures_at_once_hold_the_graph_of_one_part_only(monkeypatch):
    import weakref

    alive: list[weakref.ref] = []
    most = 0
    training = trained("stylegan2", 0, Execution(at_once=4), path_shrink=1)
    measure = training._measured_paths

    def counted(part):
        nonlocal most
        lengths = measure(part)
        alive.append(weakref.ref(lengths))
        most = max(most, sum(one() is not None for one in alive))
        return lengths

    monkeypatch.setattr(training, "_measured_paths", counted)
    training._paths_even_out()
    assert len(alive) == 4
    assert most <= 2  # the one before, whose buffers are free by then, and this one


def test_processes_end_together_when_the_hours_are_over(tmp_path):
    found = by_two(functools.partial(trained_for_no_time, run=tmp_path / "run"))
    assert int(found["images"]) == 8 * runs.CLOCK_STEPS
    assert checkpoints.reached(tmp_path / "run")[0] == runs.CLOCK_STEPS
