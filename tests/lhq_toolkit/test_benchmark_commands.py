"""The road from pictures to a table, with the commands that a user types."""

import csv
import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from reviewing import BROWSER, browsing, until

from lhq_toolkit import cli
from models import features

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory, own_cache) -> Path:
    return tiny.write(tmp_path_factory.mktemp("benchmark") / "data", tiny.images(resolution=16))


@pytest.fixture(scope="module")
def run(data, lhq) -> Path:
    """An ALIS of 16x16 that has seen 32 pictures."""
    folder = data.parent / "run"
    settings = ["--set", "images=32", "--set", "batch=8", "--threads", 1]
    trained = lhq("train", "alis", data, "-o", folder, *tiny.OPTIONS, *settings, "--json")
    assert trained.code == 0, trained.err
    assert trained.json["images"] == 32
    return folder


@pytest.mark.slow
def test_models_are_counted_as_published(lhq):
    found = lhq("models", "--json").json
    assert found["stylegan2"] == {"generator": 23_191_522, "discriminator": 24_001_089, "total": 47_192_611}
    assert found["alis"] == {"generator": 24_240_346, "discriminator": 24_001_089, "total": 48_241_435}
    assert lhq("models", "--json", "--resolution", 64).json["alis"]["total"] < found["alis"]["total"]
    assert "48,241,435" in lhq("models").out


@pytest.mark.slow
def test_a_run_is_measured_and_its_row_goes_into_the_leaderboard(run, data, lhq, tmp_path, own_cache):
    board = tmp_path / "board.csv"
    measured = lhq("evaluate", run, data, "--frames", 20, "--leaderboard", board, "--threads", 1, "--json")
    assert measured.code == 0, measured.err
    with board.open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["fd"]) == measured.json["fd"] > 0
    assert row["fid"] == ""
    assert row["features"] == features.small().label
    for name in ("kid", "precision", "recall", "fd_error", "infinity_fd_error", "repetition"):
        assert float(row[name]) == measured.json[name]
    assert row["noise_use"] == ""
    assert row["infinity_setup"] == "2 panoramas of 20 frames, seeds 0-1"
    assert json.loads((run / "evaluation.json").read_text()) == measured.json["details"]
    assert {one["frames"] for one in measured.json["details"]["connection_difficulty"]} == {20}
    assert len(list((own_cache / "statistics").iterdir())) == 1
    shown = lhq("leaderboard", "show", board)
    assert "alis" in shown.out
    assert "no FID" in shown.out
    assert lhq("leaderboard", "show", board, "--json").json[0]["infinity_fd"] == measured.json["infinity_fd"]


@pytest.mark.slow
def test_a_panorama_is_the_frames_of_its_seed_wherever_it_starts(run, lhq, tmp_path):
    whole, part = tmp_path / "whole.png", tmp_path / "part.png"
    assert lhq("generate", run, "-o", whole, "--panorama", 5, "--start", -2, "--seed", 3).code == 0
    assert lhq("generate", run, "-o", part, "--panorama", 2, "--start", 0, "--seed", 3).code == 0
    with Image.open(whole) as wide, Image.open(part) as narrow:
        assert wide.size == (5 * 16, 16)
        assert narrow.size == (2 * 16, 16)
        ours, theirs = (np.asarray(image, dtype=int) for image in (wide.crop((32, 0, 64, 16)), narrow))
    assert np.abs(ours - theirs).max() <= 1
    assert ours.std() > 1


@pytest.mark.slow
def test_frames_are_written_and_never_over_others(run, lhq, tmp_path):
    assert lhq("generate", run, "-o", tmp_path / "frames", "--frames", 3).code == 0
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == ["0-00000.png", "0-00001.png", "0-00002.png"]
    before = [file.read_bytes() for file in files]
    again = lhq("generate", run, "-o", tmp_path / "frames", "--frames", 3)
    assert again.code == 2
    assert "exists" in again.err
    assert [file.read_bytes() for file in files] == before


@pytest.mark.slow
@pytest.mark.long  # what each way draws is held in tests/models/test_inference.py
def test_fast_tries_what_works_here_tells_it_and_draws_the_same(run, lhq, tmp_path):
    assert lhq("generate", run, "-o", tmp_path / "plain.png", "--panorama", 2).code == 0
    no_compiler = {"CXX": str(tmp_path / "missing")}
    ran = lhq("generate", run, "-o", tmp_path / "fast.png", "--panorama", 2, "--fast", env=no_compiler)
    assert ran.code == 0, ran.err
    assert "taken: " in ran.err
    assert "bfloat16 " in ran.err
    assert "compiled failed" in ran.err
    with Image.open(tmp_path / "plain.png") as one, Image.open(tmp_path / "fast.png") as two:
        apart = np.asarray(one, dtype=float) - np.asarray(two, dtype=float)
        assert np.sqrt((apart**2).mean()) < 0.02 * np.asarray(one, dtype=float).std() + 1


@pytest.mark.slow
def test_the_benchmark_exports_trains_measures_ranks_and_does_nothing_twice(painted, lhq, tmp_path):
    (tmp_path / "some").mkdir()
    for path in sorted(painted.glob("*.jpg"))[:20]:
        (tmp_path / "some" / path.name).write_bytes(path.read_bytes())
    dataset, board = tmp_path / "d", tmp_path / "board.csv"
    assert lhq("crawl", dataset, "--source", "folder", "--path", tmp_path / "some", "--workers", 0).code == 0
    assert lhq("filter", dataset, "--tags", "--workers", 0).code == 0
    command = ["benchmark", "--dataset", "tiny", "--data", dataset, "--resolution", 16, "--crops", 2, "--workers", 0]
    command += ["-o", tmp_path / "out", "--leaderboard", board, "--threads", 1, *tiny.OPTIONS]
    command += ["--models", "stylegan2,alis"]
    command += ["--set", "images=16", "--set", "batch=8", "--json"]
    first = lhq(*command)
    assert first.code == 0, first.err
    assert [row["model"] for row in first.json["rows"]] == ["stylegan2", "alis"]
    assert {row["dataset"] for row in first.json["rows"]} == {"tiny"}
    computed = {(row["train_devices"], row["threads"]) for row in first.json["rows"]}
    assert computed == {("1x cpu (1 threads)", 1)}, "as asked, though the export before took all cores"
    table = board.read_bytes()
    runs = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/checkpoints/*/*")}
    again = lhq(*command)
    assert again.json == first.json
    assert board.read_bytes() == table
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/checkpoints/*/*")} == runs
    publish_and_open(lhq, board, tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "new.jpg").write_bytes(sorted(painted.glob("*.jpg"))[30].read_bytes())
    assert lhq("crawl", dataset, "--source", "folder", "--path", tmp_path / "more", "--workers", 0).code == 0
    later = lhq(*command, "--models", "stylegan2")  # a subset that has grown is another one
    assert later.code == 0, later.err
    assert later.json["rows"][0]["subset_hash"] != first.json["rows"][0]["subset_hash"]


def publish_and_open(lhq, board: Path, place: Path) -> None:
    """The same bytes twice, whole, with pictures of both models; opened from the disk without a network."""
    sites = [place / "site", place / "again"]
    for site in sites:
        ran = lhq("leaderboard", "publish", board, site, "--runs", place / "out")
        assert ran.code == 0, ran.err
    assert lhq("leaderboard", "publish", board, sites[1], "--runs", place / "out").code == 0  # over an earlier one
    bytes_of = [
        {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}
        for site in sites
    ]
    assert bytes_of[0] == bytes_of[1]
    files = bytes_of[0]
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "SHA256SUMS"}
    assert len([name for name in files if name.startswith("recipes/")]) == 2
    assert sorted(name.rpartition("-")[2] for name in files if name.startswith("pictures/")) == [
        *("apart.jpg", "at_anchors.jpg", "between.jpg", "panorama.jpg"),
        *("strip.jpg", "strip.jpg"),
    ]
    assert files["leaderboard.csv"] == board.read_bytes()
    assert str(place) not in "".join(data.decode(errors="replace") for data in files.values())
    (place / "site" / "mine.txt").write_text("not of the toolkit")
    refused = lhq("leaderboard", "publish", board, sites[0])
    assert refused.code == 2
    assert "mine.txt" in refused.err
    if BROWSER is None:
        return
    with browsing() as browser:
        tab = browser.new_context(offline=True).new_page()
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.goto((sites[1] / "index.html").as_uri())
        pictures = "[...document.images].filter(image => image.complete && image.naturalWidth > 8).length"
        until(tab, f"{pictures} === document.images.length && {pictures} === 8")
        assert tab.evaluate("[...document.images].every(image => image.alt.length > 10)")
        figures = tab.locator("figure.plot figcaption").all_inner_texts()
        assert "How hard it is to connect anchors" in figures
        assert "How alike frames of a panorama are" in figures
        assert said == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["train", "gan", "{data}", "-o", "{new}"], 2, "stylegan2, alis"),
        (["train", "alis", "{data}", "-o", "{new}", "--budget", "huge"], 2, "smoke, small, paper"),
        (["train", "alis", "{data}", "-o", "{new}", "--set", "lr=1"], 2, "learning_rate"),
        (["train", "alis", "{new}", "-o", "{new}"], 2, "does not exist"),
        (["train", "alis", "{data}", "-o", "{new}", "--set", "patches=3"], 2, "patches"),
        (["train", "alis", "{data}", "-o", "{new}", "--set", "z_dim=0"], 2, "z_dim"),
        (["train", "alis", "{data}", "-o", "{new}", "--set", "budget=paper"], 2, "budget"),
        (["train", "alis", "{data}", "-o", "{new}", "--seed", "18446744073709551616"], 2, "--seed"),
        (["benchmark", "--dataset", "../tower", "--data", "{data}"], 2, "plain name"),
        (["evaluate", "{new}", "{data}"], 2, "lhq train"),
        (["evaluate", "{run}", "{data}", "--features", "clip"], 2, "inception, resnet18, wide_resnet50_2, small"),
        (["evaluate", "{run}", "{data}", "--features", "small", "--resize", "legacy"], 2, "resize none"),
        (["evaluate", "{run}", "{data}", "--features", "resnet18"], 1, "lhq weights fetch resnet18"),
        (["generate", "{run}", "-o", "{new}"], 2, "--panorama"),
        (["generate", "{run}", "-o", "{new}.jpg", "--panorama", "2"], 2, ".png"),
        (["generate", "{run}", "-o", "{new}", "--frames", "2", "--start", "1"], 2, "--start"),
        (["generate", "{run}", "-o", "{new}", "--frames", "2", "--checkpoint", "99"], 2, "there are: "),
        (["evaluate", "{run}", "{data}", "--checkpoint", "newest"], 2, "--checkpoint"),
        (["models", "--resolution", "100"], 2, "power of two"),
        (["leaderboard", "show", "{new}"], 2, "lhq benchmark"),
        (["leaderboard", "check", "{new}"], 2, "lhq benchmark"),
        (["leaderboard", "merge", "{new}", "{new}"], 2, "lhq benchmark"),
        (["leaderboard", "show", "{new}", "--latex", "--markdown"], 2, "choose one"),
        (["benchmark", "--dataset", "mine"], 2, "LHQ_DATA"),
        (["benchmark", "--dataset", "tower", "--data", "{new}"], 2, "does not exist"),
        (["benchmark", "--dataset", "tower", "--data", "{data}", "--models", "gan"], 2, "stylegan2, alis"),
        (["benchmark", "--dataset", "tower", "--data", "{data}", "--models", ","], 2, "name one at least"),
    ],
)
def test_wrong_input_is_told_in_one_line_that_names_the_remedy(
    run, data, monkeypatch, capsys, tmp_path, arguments, code, says
):
    """In this process, for it is told before anything begins; what a command sets in the environment is put back."""
    monkeypatch.setenv("LHQ_DATA", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    places = {"run": str(run), "data": str(data), "new": str(tmp_path / "new")}
    before, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    try:
        ended = cli.run([argument.format(**places) for argument in arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
        torch.set_num_threads(threads)
    told = capsys.readouterr().err
    assert ended == code, told
    assert says in told
    assert told.count("\n") <= 4
    assert "Traceback" not in told
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_file_that_is_not_the_inception_is_refused_unopened(run, data, lhq, tmp_path):
    (tmp_path / features.INCEPTION_FILE).write_bytes(b"a pickle would be opened here")
    ran = lhq("evaluate", run, data, "--frames", 20, env={"LHQ_CACHE": str(tmp_path)})
    assert ran.code == 1
    assert features.INCEPTION_SHA256[:12] in ran.err


@pytest.mark.slow
def test_trainer_and_models_import_where_ray_clean_fid_flickrapi_and_tensorboard_are_absent():
    code = """
import importlib, pkgutil, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray", "cleanfid", "flickrapi", "tensorboardX"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import models, benchmarks
for package in (models, benchmarks):
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not found.ispkg:
            importlib.import_module(found.name)
            print(found.name)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert {"benchmarks.training", "benchmarks.runs", "models.alis", "models.features"} <= set(ran.stdout.split())


@pytest.mark.slow
def test_a_training_says_how_far_it_came_in_its_metrics(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "generator_loss" in line] == [1, 2, 3, 4]
    assert [line["images"] for line in lines if "infinity_fd" in line] == [0, 16, 32]
