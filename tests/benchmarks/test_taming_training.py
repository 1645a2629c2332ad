"""The trainer of Taming Transformers: two stages, exact to resume, the same however a batch is cut."""

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
import training_process
from two_workers import CPU, by_two, taming_steps, taming_trained

from benchmarks import (
    evaluate,
    generate,
    leaderboard,
    measure,
    metrics,
    networks,
    recipes,
    runs,
    samples,
    speed,
    worlds,
)
from benchmarks import taming_training as trainer
from benchmarks.execution import Execution
from benchmarks.pictures import Pictures
from benchmarks.recipes import Measurement
from benchmarks.reference import Reference
from benchmarks.taming_training import Training
from benchmarks.team import Team
from manifests.errors import MisuseError, SetupError
from models import features, perceptual, taming
from models.weights import WeightsError

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in training.state()[0].items()}


@pytest.mark.parametrize("stop", [3, 7, 14])  # before and in the game, in the second stage
def test_a_restored_training_goes_on_bit_for_bit(stop):
    recipe, images = tiny.recipe("taming", revive_every=2), tiny.images()
    unbroken = Training(recipe, images, CPU)
    for _ in range(stop):
        unbroken.advance()
    tensors, facts = copy.deepcopy(unbroken.state())
    torch.manual_seed(99)
    resumed = Training(recipe, images, CPU)
    resumed.restore(tensors, json.loads(json.dumps(facts)))
    for _ in range(20 - stop):
        assert {k: float(v) for k, v in unbroken.advance().items()} == {
            k: float(v) for k, v in resumed.advance().items()
        }
    ours, theirs = weights(unbroken), weights(resumed)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.long
def test_a_run_killed_in_its_second_stage_goes_on_bit_for_bit(tmp_path):
    data = tiny.write(tmp_path / "data", tiny.images())
    path = os.pathsep.join([str(Path.cwd()), str(Path(training_process.__file__).parent)])

    def train(run: str, fault: str | None) -> int:
        env = {**os.environ, "PYTHONPATH": path, **({"LHQ_FAULT": fault} if fault else {})}
        command = [sys.executable, training_process.__file__, "taming", str(data), str(tmp_path / run), "64"]
        return subprocess.run(command, env=env, check=False, capture_output=True).returncode

    assert train("whole", None) == 0
    assert train("broken", "train.step:12") == -signal.SIGKILL  # of 16; the last checkpoint is that of step 8
    assert train("broken", None) == 0
    whole, broken = (metrics.read(tmp_path / name) for name in ("whole", "broken"))
    assert whole == broken
    assert sum("code_loss" in line for line in whole) == 8
    ends = [(runs.checkpoints.last(tmp_path / name) / "state.safetensors").read_bytes() for name in ("whole", "broken")]
    assert ends[0] == ends[1]


def furthest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """Relative difference of networks and codes; moments of keys' biases, whose gradient is 0, are rounding alone."""
    assert ours.keys() == theirs.keys()
    pairs = [(ours[name].double(), theirs[name].double()) for name in ours if not name.startswith("optimiser.")]
    return max(float((one - other).abs().max() / other.abs().max().clamp(min=1e-30)) for one, other in pairs)


def test_a_batch_in_four_parts_teaches_what_it_does_in_one():
    one = weights(taming_trained(12, Execution(), precision="float64"))
    parts = weights(taming_trained(12, Execution(at_once=2), precision="float64"))
    assert furthest(parts, one) < 1e-7


def test_two_workers_learn_in_float64_what_one_does():
    assert furthest(by_two(taming_steps), taming_steps(Team())) < 1e-6


def test_the_discriminator_joins_late_and_the_transformer_last():
    training = Training(tiny.recipe("taming", vqgan_share=0.6, adversarial_start=0.75), tiny.images(), CPU)
    begun = {name: tensor.clone() for name, tensor in training.discriminator.state_dict().items()}
    told = []
    for _ in range(20):
        told.append(training.advance())
        if training.step == 9:
            assert all(torch.equal(begun[name], one) for name, one in training.discriminator.state_dict().items())
    assert ["discriminator_loss" in one for one in told] == [9 <= step < 12 for step in range(20)]
    assert ["code_loss" in one for one in told] == [step >= 12 for step in range(20)]


def test_the_adaptive_weight_makes_both_gradients_equally_long_at_the_last_layer(monkeypatch):
    """Equation 7, from gradients taken here."""
    training = Training(tiny.recipe("taming", adversarial_start=0.0, adversarial_weight=0.5), tiny.images(), CPU)
    stepped = []
    monkeypatch.setattr(trainer, "_step", lambda optimiser, parameters, gradients: stepped.append(gradients))
    last = training.generator.vqgan.decoder.last.weight
    real = training._real(0)
    fake, _, _ = training.generator.vqgan.reconstruct(real)
    (near,) = torch.autograd.grad((fake - real).abs().mean(), last, retain_graph=True)
    (adverse,) = torch.autograd.grad(-training.discriminator(fake).mean(), last)
    told = training._vqgan_learns()
    weight = near.norm() / adverse.norm()
    assert float(told["adaptive_weight"]) == pytest.approx(float(weight), rel=1e-3)
    at = next(n for n, one in enumerate(training.generator.vqgan.parameters()) if one is last)
    torch.testing.assert_close(stepped[0][at], near + 0.5 * weight * adverse, rtol=1e-3, atol=1e-6)


def test_codes_are_made_once_of_every_picture_and_its_mirror_image():
    training = Training(tiny.recipe("taming"), tiny.images(), CPU)
    for _ in range(11):
        training.advance()
    made = training.codes
    assert made is not None
    network = training.average.vqgan
    with torch.no_grad():
        levels = tiny.images()[[5]].float() / 127.5 - 1
        plain, mirrored = (network.quantise(network.encode(one)).codes.flatten() for one in (levels, levels.flip(3)))
    assert torch.equal(made[5], torch.stack([plain, mirrored]).int())
    training.advance()
    assert training.codes is made
    assert len(made.unique()) > 4


def test_both_stages_learn():
    rates = {"vqgan_rate": 3e-3, "gpt_rate": 3e-3, "adversarial_weight": 0.0, "revive_every": 10}
    training = Training(tiny.recipe("taming", images=1600, batch=8, mirror=False, **rates), tiny.images(), CPU)
    told = [training.advance() for _ in range(200)]

    def mean(name: str, first: int, until: int) -> float:
        return float(torch.stack([one[name] for one in told[first:until]]).mean())

    assert mean("reconstruction", 85, 100) < 0.85 * mean("reconstruction", 0, 15)
    assert mean("codes_used", 85, 100) > 8  # of 16
    assert mean("code_loss", 190, 200) < mean("code_loss", 100, 105) - 0.5


def test_codes_that_nothing_uses_become_encodings_again_until_the_codebook_settles():
    training = Training(tiny.recipe("taming", revive_every=3, images=160), tiny.images(), CPU)
    training.advance()
    training.generator.vqgan.codebook.data[4:] = 50.0  # where no encoding ever is
    training.used.zero_()
    moved = []
    for step in range(1, 20):
        before = training.generator.vqgan.codebook.detach().clone()
        training.advance()
        after = training.generator.vqgan.codebook.detach()
        moved += [step] * bool((before[4:] - after[4:]).abs().max() > 10)
        if step == 3:
            assert float(after.abs().max()) < 10
            assert float(training.average.vqgan.codebook.abs().max()) < 10
    assert moved == [3]
    training.generator.vqgan.codebook.data[4:] = 50.0
    training.step, training.used[:] = 18, 0.0  # of 20 batches the last 5 move nothing
    training.advance()
    assert float(training.generator.vqgan.codebook.detach().max()) > 40


@pytest.fixture
def perceptual_network(monkeypatch) -> str:
    """An untrained network stands in for the pretrained one; its hash."""
    torch.manual_seed(0)
    network = perceptual.Perceptual().eval().requires_grad_(False)
    monkeypatch.setattr(perceptual, "load", lambda: (network, "a" * 64))
    return "a" * 64


def test_the_perceptual_loss_takes_part_where_the_recipe_names_its_network(perceptual_network):
    named = tiny.recipe("taming", perceptual_weight=1.0, perceptual_network=perceptual_network)
    assert float(Training(named, tiny.images(), CPU).advance()["perceptual"]) > 0
    plain = replace(named, perceptual_network="")
    assert "perceptual" not in Training(plain, tiny.images(), CPU).advance()
    assert recipes.recipe_hash(plain) != recipes.recipe_hash(named)
    with pytest.raises(SetupError, match=r"has the network b{64}, here is a{64}"):
        Training(replace(named, perceptual_network="b" * 64), tiny.images(), CPU).advance()


def test_a_run_needs_its_perceptual_network_until_the_transformer_learns(perceptual_network, monkeypatch):
    recipe = tiny.recipe("taming", perceptual_weight=1.0, perceptual_network=perceptual_network)
    tensors, facts = Training(recipe, tiny.images(), CPU).state()
    monkeypatch.undo()
    monkeypatch.setattr(perceptual, "load", _missing)
    resumed = Training(recipe, tiny.images(), CPU)
    resumed.restore(tensors, facts)
    with pytest.raises(SetupError, match=r"perceptual loss has the network aaaaaaaa: .*missing"):
        resumed.advance()
    resumed.restore(tensors, facts | {"step": resumed.vqgan_steps})
    assert "code_loss" in resumed.advance()


def _missing() -> None:
    raise WeightsError("the file is missing")


def test_a_run_begun_before_recipes_named_the_perceptual_network_is_told_and_its_row_names_it(run, tmp_path):
    folder, pictures = run
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    told = json.loads((old / recipes.FILE).read_text())
    del told["perceptual_network"]
    (old / recipes.FILE).write_text(json.dumps(told))
    last = runs.checkpoints.last(old)
    assert runs.open_checkpoint(old, CPU, "last").recipe == recipes.load(folder)
    facts = json.loads((last / runs.checkpoints.FACTS).read_text())
    (last / runs.checkpoints.FACTS).write_text(json.dumps(facts | {"perceptual": "a" * 64}))
    with pytest.raises(SetupError, match=r"a{64}, which its recipe does not say.*older toolkit.*new folder"):
        runs.train(recipes.load(old), pictures, old, CPU)
    with pytest.raises(SetupError, match=r"perceptual loss has the network none, here it has a{64}: .*new folder"):
        runs.train(replace(recipes.load(old), perceptual_network="a" * 64), pictures, old, CPU)
    assert runs.open_checkpoint(old, CPU, "last").recipe.perceptual_network == "a" * 64


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, Pictures]:
    pictures = Pictures(tiny.images(), "tiny", "", "0" * 64, "0" * 64)
    folder = tmp_path_factory.mktemp("taming") / "run"
    torch.set_num_threads(1)
    runs.train(tiny.recipe("taming"), pictures, folder, CPU)
    return folder, pictures


def test_a_run_is_measured_by_the_easier_set_up_and_the_row_says_so(run, monkeypatch):
    monkeypatch.setattr(speed, "SECONDS", 0.1)
    monkeypatch.setattr(speed, "SEARCH_SECONDS", 0.01)
    folder, pictures = run
    told: list[int] = []
    measurement = Measurement(frames=120, snapshots=1, snapshot_frames=10)
    found = evaluate.evaluate(folder, Reference(pictures, features.small()), measurement, CPU, "test", told.append)
    row = found.row
    assert sum(told) == 120 + 120
    assert row.infinity_setup == "easier: 2 images of 60 frames, seeds 0-1"
    assert row.sampling == "temperature 1; sliding window, row by row; decoded with 2 columns of context"
    streamed = evaluate.evaluate(
        folder, Reference(pictures, features.small()), replace(measurement, streaming=True), CPU, "test"
    ).row
    assert streamed.sampling == "temperature 1; streaming, column by column; decoded with 2 columns of context"
    assert (streamed.fd, streamed.infinity_setup) == (row.fd, row.infinity_setup)
    assert streamed.infinity_fd != row.infinity_fd
    assert leaderboard.latest([row, streamed]) == [row, streamed]
    assert (row.generator, row.discriminator) == (row.total, 0)
    assert row.infinity_fd is not None
    assert row.infinity_fd > 0
    assert row.anchor_distance is None
    assert (row.ms_per_image or 0) > 0
    assert (row.panorama_ms_per_frame or 0) > 0
    assert json.loads(json.dumps(found.details))["infinity"]["images"] == 2
    assert {path.stem for path in samples.strips(folder).values()} == {
        f"{step:08d}-panorama" for step in samples.ticks(recipes.load(folder))
    }


def test_frames_and_a_panorama_are_drawn_from_its_left_end(run, tmp_path):
    snapshot = runs.open_checkpoint(run[0], CPU, "last")
    generator = snapshot.generator
    assert len(generate.frames(snapshot, tmp_path / "frames", 3, seed=1)) == 3
    drawn = torch.cat(list(generate.from_the_left(generator, 1, 3)), 2)
    assert torch.equal(drawn, measure.pixels(generator.panorama(1, 3, generator.decoding)).cpu())
    for codes, decoding in (
        (generate.Codes(sliding_window=True), generator.decoding),
        (generate.Codes(sliding_window=True, decode_whole=True), taming.Decoding(None)),
    ):
        drawn = torch.cat(list(generate.from_the_left(generator, 1, 3, codes)), 2)
        assert torch.equal(drawn, measure.pixels(generator.wide_image(1, 3, decoding)).cpu())
    for refused in (
        lambda: worlds.endless(generator),
        lambda: generate.frames(snapshot, tmp_path / "others", 3, seed=1, truncation=0.5),
        lambda: generate.fastest(snapshot),
    ):
        with pytest.raises(MisuseError, match="taming"):
            refused()


def test_codes_are_drawn_and_decoded_as_asked_for(run, tmp_path):
    snapshot = runs.open_checkpoint(run[0], CPU, "last")
    greedy = generate.with_codes(snapshot, generate.Codes(top_k=1, temperature=0.5))
    one, other = (generate.frames(greedy, tmp_path / name, 1, seed)[0] for name, seed in (("a", 1), ("b", 2)))
    assert one.read_bytes() == other.read_bytes()
    halved = generate.with_codes(snapshot, generate.Codes(bfloat16=True)).generator
    assert {one.weight.dtype for one in halved.gpt.modules() if isinstance(one, torch.nn.Linear)} == {torch.bfloat16}
    assert halved.samples(1, 0, 1).isfinite().all()
    wide = {}
    for codes in (generate.Codes(), generate.Codes(sliding_window=True), generate.Codes(None, None, None, True, True)):
        drawn = generate.from_the_left(snapshot.generator, 1, 3, codes)
        wide[codes] = torch.cat(list(drawn), 2).numpy().tobytes()
    assert len(set(wide.values())) == 3
    for refused, says in ((generate.Codes(top_p=2.0), "top_p"), (generate.Codes(decode_whole=True), "no end")):
        with pytest.raises(MisuseError, match=says):
            generate.with_codes(snapshot, refused)
    styled = networks.build(tiny.recipe("alis"))[0]
    with pytest.raises(MisuseError, match="draws no codes"):
        generate.with_codes(replace(snapshot, generator=styled), generate.Codes(top_k=3))


def test_sizes_that_do_not_fit_are_refused_before_anything_is_trained(tmp_path):
    for change, says in (
        ({"gpt_places": 15}, "16 places"),
        ({"vqgan_groups": 3}, "groups"),
        ({"precision": "float16"}, "float16"),
        ({"hours": 1.0}, "before its transformer has learned"),
    ):
        with pytest.raises(MisuseError, match=says):
            networks.check(tiny.recipe("taming", **change))
    with pytest.raises(MisuseError, match="not compiled"):
        Training(tiny.recipe("taming"), tiny.images(), CPU, Execution(compile=True))
    with pytest.raises(MisuseError, match="multiples"):
        tiny.recipe("taming", vqgan_multiples="1,x")


def test_a_checkpoint_of_other_networks_is_refused(run):
    folder, pictures = run
    training = Training(tiny.recipe("taming", gpt_width=8), pictures.images, CPU)
    with pytest.raises(SetupError, match="does not fit"):
        runs._restore(training, runs.checkpoints.last(folder))
