"""The trainer: every sample is a function of its number, a resumed run equals an unbroken one bit for bit."""

import copy
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch
import training_process
from matrices import mostly_long
from running import lhq_command
from torch import nn

from benchmarks import batches, checkpoints, metrics, networks, runs
from benchmarks.networks import Draw
from benchmarks.pictures import Pictures
from benchmarks.training import Training, _adam
from manifests.errors import SetupError
from models import counter_random
from models.counter_random import Kind

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
MODELS = ("stylegan2", "alis", "alis-nocoords", "locogan")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(images: torch.Tensor) -> Pictures:
    return Pictures(images, "tiny", "", "0" * 64, "0" * 64)


def losses_of(training: Training, steps: int) -> list[dict[str, float]]:
    return [{name: float(loss) for name, loss in training.advance().items()} for _ in range(steps)]


@pytest.mark.parametrize("model", MODELS)
def test_the_next_twenty_losses_after_a_restore_are_equal_bit_for_bit(model):
    recipe, images = tiny.recipe(model), tiny.images()
    unbroken = Training(recipe, images, CPU)
    losses_of(unbroken, 5)
    tensors, facts = copy.deepcopy(unbroken.state())
    torch.manual_seed(99)  # the global generator plays no part
    resumed = Training(recipe, images, CPU)
    resumed.restore(tensors, json.loads(json.dumps(facts)))
    assert losses_of(resumed, 20) == losses_of(unbroken, 20)


@pytest.mark.parametrize("model", mostly_long(MODELS, ("alis",)))
def test_a_run_killed_while_it_trains_goes_on_bit_for_bit(tmp_path, model):
    data = tiny.write(tmp_path / "data", tiny.images())
    script = Path(training_process.__file__)
    path = os.pathsep.join([str(Path.cwd()), str(script.parent)])

    def train(run: str, fault: str | None) -> int:
        env = {**os.environ, "PYTHONPATH": path, **({"LHQ_FAULT": fault} if fault else {})}
        command = [sys.executable, str(script), model, str(data), str(tmp_path / run), "240"]
        return subprocess.run(command, env=env, check=False, capture_output=True).returncode

    assert train("whole", None) == 0
    assert train("broken", "train.step:35") == -signal.SIGKILL  # step 35, after the checkpoint of step 30
    assert train("broken", "checkpoint.before_rename") == -signal.SIGKILL  # at the very end
    assert train("broken", None) == 0
    whole, broken = metrics.read(tmp_path / "whole"), metrics.read(tmp_path / "broken")
    assert whole == broken
    after = [line for line in whole if line["step"] > 35 and "generator_loss" in line]
    assert len(after) >= 20
    assert tensors_of(tmp_path / "whole") == tensors_of(tmp_path / "broken")


def test_an_interrupted_run_saves_where_it_is(tmp_path):
    data = tiny.write(tmp_path / "data", tiny.images())
    settings = [*tiny.OPTIONS, "--set", "images=1000000", "--set", "batch=4", "--threads", "1"]
    process = subprocess.Popen(
        lhq_command("train", "stylegan2", data, "-o", tmp_path / "run", *settings), stderr=subprocess.PIPE, text=True
    )
    while len(metrics.read(tmp_path / "run")) < 10 and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert "interrupted" in process.stderr.read()
    (*_, last) = sorted((tmp_path / "run" / checkpoints.FOLDER).iterdir())
    assert int(last.name) == metrics.read(tmp_path / "run")[-1]["step"] >= 10


def tensors_of(run) -> bytes:
    (*_, last) = sorted((run / checkpoints.FOLDER).iterdir())
    return (last / checkpoints.TENSORS).read_bytes()


@pytest.mark.parametrize("model", MODELS)
def test_a_fake_depends_on_its_number_alone(model):
    generator, _ = networks.build(tiny.recipe(model))
    for parameter in generator.parameters():
        if parameter.ndim == 0:
            parameter.data.fill_(0.5)  # else noise would not be seen
    whole = Draw(3, torch.arange(10, 18))
    part = Draw(3, torch.tensor([15, 12]))
    of_all, of_some = (networks.chance(generator, draw, 0.9) for draw in (whole, part))
    all_ws, some_ws = networks.styles(generator, of_all), networks.styles(generator, of_some)
    torch.testing.assert_close(some_ws, all_ws[[5, 2]])
    every = networks.images(generator, all_ws, of_all)
    some = networks.images(generator, some_ws, of_some)
    torch.testing.assert_close(some, every[[5, 2]], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(every[0], every[1], atol=1e-2)


@pytest.mark.parametrize("model", MODELS)
def test_style_mixing_switches_the_wanted_share_of_fakes_anywhere_and_never_the_first_layer(model):
    generator, _ = networks.build(tiny.recipe(model))
    layers = generator.synthesis.num_ws
    switch = networks.chance(generator, Draw(0, torch.arange(2000)), 0.75).switch
    share = float((switch < layers).float().mean())
    assert abs(share - 0.75) < 4 * math.sqrt(0.75 * 0.25 / 2000)
    assert set(switch.tolist()) == set(range(1, layers + 1))
    plain, mixed = (
        networks.styles(generator, networks.chance(generator, Draw(0, torch.arange(50)), share)) for share in (0.0, 1.0)
    )
    torch.testing.assert_close(plain[..., 0, :], mixed[..., 0, :])
    assert not torch.isclose(plain[..., -1, :], mixed[..., -1, :]).all(-1).any()  # all anchors are mixed
    assert torch.equal(plain[..., :1, :].expand_as(plain), plain)


def test_alis_frames_are_trained_at_every_shift_also_the_last():
    recipe = tiny.recipe("alis")
    generator, _ = networks.build(recipe)
    seen = set()
    original = generator.frames
    generator.frames = lambda ws, border, noise: seen.update(border.tolist()) or original(ws, border, noise)  # type: ignore[method-assign]
    for first in range(0, 600, 100):
        chance = networks.chance(generator, Draw(0, torch.arange(first, first + 100)), 0.9)
        with torch.no_grad():
            networks.images(generator, networks.styles(generator, chance), chance)
    assert seen == set(range(generator.sizes.shifts))


def test_an_epoch_shows_every_picture_once_and_the_next_in_another_order():
    order = batches.Order(seed=5, pictures=37)
    first, second = order.rows(0, 37), order.rows(37, 37)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(37))
    assert first.tolist() != second.tolist()
    assert torch.equal(order.rows(30, 20), torch.cat([first, second])[30:50])
    assert batches.Order(6, 37).rows(0, 37).tolist() != first.tolist()


def test_half_of_the_pictures_are_mirrored_and_without_it_none():
    images = tiny.images(64)
    lit = torch.zeros_like(images)
    lit[..., :4] = 255  # on the left

    def mirrored(**changed: object) -> float:
        training = Training(tiny.recipe("stylegan2", batch=64, images=640, **changed), lit, CPU)
        shown = []
        for step in range(10):
            training.step = step
            shown.append(training._real(0)[:, 0, 0, -1] > 0)
        return float(torch.cat(shown).float().mean())

    assert abs(mirrored() - 0.5) < 4 * math.sqrt(0.25 / 640)
    assert mirrored(mirror=False) == 0


def test_lazy_regularisation_corrects_rate_and_decays():
    network = nn.Linear(1, 1)
    recipe = tiny.recipe("stylegan2", learning_rate=0.002)
    (group,) = _adam(network, recipe, 16).param_groups
    assert group["lr"] == pytest.approx(0.002 * 16 / 17)
    assert group["betas"] == (0.0, pytest.approx(0.99 ** (16 / 17)))
    (group,) = _adam(network, recipe, 0).param_groups
    assert (group["lr"], group["betas"]) == (0.002, (0.0, 0.99))


def test_regularisers_take_their_turns():
    training = Training(tiny.recipe("stylegan2", r1_every=3, path_every=2), tiny.images(), CPU)
    told = losses_of(training, 7)
    assert ["r1" in one for one in told] == [True, False, False, True, False, False, True]
    assert ["path_penalty" in one for one in told] == [True, False, True, False, True, False, True]


def test_the_running_average_follows_with_its_half_life():
    recipe = tiny.recipe("stylegan2", average_kimg=0.1, average_ramp=0.5)
    assert batches.decay(recipe, seen=40) == pytest.approx(0.5 ** (4 / 20))  # as the ramp says
    assert batches.decay(recipe, seen=4000) == pytest.approx(0.5 ** (4 / 100))  # as the recipe says


def test_the_discriminator_learns_to_tell_and_the_generator_to_pass():
    images = tiny.images()
    training = Training(tiny.recipe("stylegan2", path_weight=0.0), images, CPU)
    before = [parameter.clone() for parameter in training.generator.parameters()]
    for _ in range(60):
        told = training._discriminator_learns()
    assert told["real_logit"] > told["fake_logit"] + 0.5
    assert all(torch.equal(a, b) for a, b in zip(before, training.generator.parameters(), strict=True))
    first = float(training._generator_learns()["generator_loss"])
    for _ in range(20):
        last = float(training._generator_learns()["generator_loss"])
    assert last < first


def test_a_run_refuses_another_recipe_other_pictures_and_a_folder_of_something_else(tmp_path):
    recipe, read = tiny.recipe("stylegan2", images=8), pictures(tiny.images())
    runs.train(recipe, read, tmp_path / "run", CPU)
    with pytest.raises(SetupError, match="another recipe"):
        runs.train(tiny.recipe("stylegan2", images=8, seed=1), read, tmp_path / "run", CPU)
    with pytest.raises(SetupError, match="other pictures"):
        runs.train(recipe, Pictures(read.images, "tiny", "", "0" * 64, "1" * 64), tmp_path / "run", CPU)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("dear")
    with pytest.raises(SetupError, match="not empty"):
        runs.train(recipe, read, tmp_path / "mine", CPU)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_finished_run_trains_no_more_and_keeps_its_metrics(tmp_path):
    recipe, read = tiny.recipe("stylegan2", images=24), pictures(tiny.images())
    first = runs.train(recipe, read, tmp_path / "run", CPU)
    told = (tmp_path / "run" / metrics.FILE).read_bytes()
    again = runs.train(recipe, read, tmp_path / "run", CPU)
    assert (first.steps_now, again.steps_now) == (6, 0)
    assert (tmp_path / "run" / metrics.FILE).read_bytes() == told
    assert len(list((tmp_path / "run" / checkpoints.FOLDER).iterdir())) <= checkpoints.KEPT


def test_a_judge_is_asked_at_the_start_and_at_each_snapshot(tmp_path):
    recipe, read = tiny.recipe("alis", images=48), pictures(tiny.images())
    runs.train(recipe, read, tmp_path / "run", CPU, judge=lambda _: {"fd": 1.5}, snapshots=3)
    noted = [line for line in metrics.read(tmp_path / "run") if "images" in line]
    assert noted == [{"step": step, "images": 4 * step, "fd": 1.5} for step in (0, 4, 8, 12)]


def test_a_training_that_falls_apart_stops_and_says_where(tmp_path):
    recipe = tiny.recipe("stylegan2", learning_rate=1e9)
    with pytest.raises(SetupError, match="fell apart at step"):
        runs.train(recipe, pictures(tiny.images()), tmp_path / "run", CPU)


def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(tmp_path):
    recipe, read = tiny.recipe("stylegan2", images=16), pictures(tiny.images())
    run = tmp_path / "run"
    runs.train(recipe, read, run, CPU, judge=lambda _: {"fd": 0.0}, snapshots=2)
    before, last = sorted((run / checkpoints.FOLDER).iterdir())
    whole = tensors_of(run)
    (last / checkpoints.TENSORS).write_bytes(whole[: len(whole) // 2])
    for use in (lambda: runs.open_checkpoint(run, CPU, "last"), lambda: runs.train(recipe, read, run, CPU)):
        with pytest.raises(SetupError, match=last.name):
            use()
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    assert runs.open_checkpoint(run, CPU, "last").images == int(before.name) * recipe.batch
    runs.train(recipe, read, run, CPU, judge=lambda _: {"fd": 0.0}, snapshots=2)
    assert tensors_of(run) == whole


def test_what_is_opened_is_the_running_average(tmp_path):
    recipe, read = tiny.recipe("alis", images=32), pictures(tiny.images())
    runs.train(recipe, read, tmp_path / "run", CPU)
    opened = runs.open_checkpoint(tmp_path / "run", CPU, "last").generator
    training = Training(recipe, read.images, CPU)
    losses_of(training, 8)
    for ours, theirs, latest in zip(
        opened.parameters(), training.average.parameters(), training.generator.parameters(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        assert not torch.equal(ours, latest) or not latest.any()


@pytest.mark.parametrize("model", MODELS)
def test_one_batch_is_what_the_published_rules_say_written_out_by_hand(model):
    """Gradients by plain backward(), Adam with the lazy corrections, the running averages: all regularisers at once."""
    recipe, images = tiny.recipe(model, r1_weight=3.0, path_weight=1.5, path_every=2, r1_every=4), tiny.images()
    training = Training(recipe, images, CPU)
    training.step = 4  # both regularisers have their turn
    training.path_mean.fill_(0.2)
    with torch.no_grad():
        for parameter in training.generator.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))  # the average lies elsewhere
    generator, discriminator, average = (
        copy.deepcopy(one) for one in (training.generator, training.discriminator, training.average)
    )
    adam = {}
    for name, network, every in (("g", generator, 2), ("d", discriminator, 4)):
        share = every / (every + 1)
        adam[name] = torch.optim.Adam(network.parameters(), 0.0025 * share, (0.0, 0.99**share), 1e-8)

    def descend(name, loss, *others):
        for network in (generator, discriminator):
            network.zero_grad()
        loss.backward()
        for parameter in (generator if name == "g" else discriminator).parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        adam[name].step()

    def draw(phase, count):
        return Draw(recipe.seed, 3 * (16 + torch.arange(count)) + phase)

    def fakes(phase, count):
        chance = networks.chance(generator, draw(phase, count), recipe.mixing)
        ws = networks.styles(generator, chance)
        return ws, networks.images(generator, ws, chance)

    ws, fake = fakes(1, 4)
    w_avg = 0.995 * generator.mapping.w_avg + 0.005 * ws[..., 0, :].detach().reshape(-1, 8).mean(0)
    descend("g", -torch.nn.functional.logsigmoid(discriminator(fake)).mean())
    ws, fake = fakes(2, 2)
    noise = counter_random.normal(recipe.seed, Kind.TRAINING_PATH, 0, draw(2, 2).index, 3 * 16 * 16)
    (slope,) = torch.autograd.grad((fake * noise.view_as(fake)).sum() / 16, ws, create_graph=True)
    slope = slope[:, 1] if slope.ndim == 4 else slope  # the centre anchor counts
    lengths = slope.square().sum(2).mean(1).sqrt()
    path_mean = 0.2 + 0.01 * (lengths.detach().mean() - 0.2)
    descend("g", 1.5 * 2 * (lengths - path_mean).square().mean())
    real = training._real(0)
    with torch.no_grad():
        fake = fakes(0, 4)[1]
    log = torch.nn.functional.logsigmoid
    descend("d", -log(discriminator(real)).mean() - log(-discriminator(fake)).mean())
    real.requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    descend("d", 3.0 / 2 * 4 * slope.square().sum((1, 2, 3)).mean())

    training.advance()
    for ours, theirs in ((training.generator, generator), (training.discriminator, discriminator)):
        for (name, parameter), by_hand in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(parameter, by_hand, rtol=1e-4, atol=1e-6, msg=name)
    torch.testing.assert_close(training.path_mean, path_mean)
    torch.testing.assert_close(training.generator.mapping.w_avg, w_avg)
    torch.testing.assert_close(training.average.mapping.w_avg, w_avg)
    half_life = min(recipe.average_kimg * 1000, 20 * recipe.average_ramp)
    keep = 0.5 ** (4 / half_life)
    for mean, before, now in zip(
        training.average.parameters(), average.parameters(), generator.parameters(), strict=True
    ):
        torch.testing.assert_close(mean, keep * before + (1 - keep) * now, rtol=1e-3, atol=1e-6)


def test_a_judge_that_fails_loses_no_training(tmp_path):
    recipe, read = tiny.recipe("stylegan2", images=24), pictures(tiny.images())

    def fails_at_the_end(generator):
        if len(metrics.measured(tmp_path / "run")) == 1:
            raise MemoryError
        return {"fd": 1.0}

    with pytest.raises(MemoryError):
        runs.train(recipe, read, tmp_path / "run", CPU, judge=fails_at_the_end, snapshots=1)
    assert runs.open_checkpoint(tmp_path / "run", CPU, "last").images == 24
    again = runs.train(recipe, read, tmp_path / "run", CPU, judge=lambda _: {"fd": 2.0}, snapshots=1)
    assert again.steps_now == 0
    assert [line["fd"] for line in metrics.measured(tmp_path / "run")] == [1.0, 2.0]


def test_hours_are_kept_per_device(tmp_path):
    recipe, read = tiny.recipe("stylegan2", images=24), pictures(tiny.images())
    trained = runs.train(recipe, read, tmp_path / "run", CPU)
    assert runs.open_checkpoint(tmp_path / "run", CPU, "last").devices == {"cpu (1 threads)": trained.seconds}
    again = runs.train(recipe, read, tmp_path / "run", CPU)
    assert again.seconds == trained.seconds > 0
