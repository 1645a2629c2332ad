"""The package of examples, installed as a stranger would, adds five things that stand in commands and pages as ours do.

Nothing here imports it by hand where a command does: it is found through its entry points.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
import tiny
import torch
from comparing import assert_equal_datasets, files_of
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from benchmarks import presets, recipes
from lhq_toolkit import cli

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "examples" / "plugins"
BLURRED = range(0, 12, 3)
SMALL = ("--set", "images=32", "--set", "batch=8", "--set", "width=8", "--set", "latent=4", "--set", "slices=8")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_cache")]


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """The folder that pip installed the examples into, from a copy, for building leaves files."""
    place = tmp_path_factory.mktemp("installed")
    shutil.copytree(PLACE, place / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", place / "site", place / "source"]
    subprocess.run(pip, check=True)
    return place / "site"


@pytest.fixture(scope="module", autouse=True)
def beside(installed) -> Iterator[None]:
    """The examples are on the path in all tests here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(installed)
        yield
    torch.set_num_threads(threads)
    for name in [name for name in sys.modules if name.partition(".")[0] == "lhq_example_plugins"]:
        del sys.modules[name]


@pytest.fixture
def absent(installed, monkeypatch) -> None:
    """The package is gone, as after `pip uninstall`."""
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(installed)])


@pytest.fixture
def run(capfd):
    """A command in this process: what it printed; it must end with the code."""

    def command(*arguments: object, code: int = 0) -> str:
        capfd.readouterr()
        ended = cli.run([str(one) for one in arguments])
        said = capfd.readouterr()
        assert ended == code, said.err
        return said.err if code else said.out

    return command


def scene(at: int) -> Image.Image:
    """A picture of grain under a sky, 128 pixels high; those BLURRED have no grain left, the second has a red ball."""
    rng = np.random.default_rng(at)
    down = np.linspace(0, 1, 128)[:, None, None]
    colours = rng.integers(90, 160, (2, 1, 1, 3))
    pixels = colours[0] * (1 - down) + colours[1] * down + rng.normal(0, 25, (128, 192, 1))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if at == 1:
        ImageDraw.Draw(image).ellipse((60, 40, 84, 64), fill=(250, 20, 20))
    return image.filter(ImageFilter.GaussianBlur(3)) if at in BLURRED else image


@pytest.fixture(scope="module")
def listed(tmp_path_factory) -> Path:
    """A list of twelve pictures that are there, one that is not, and lines that name none."""
    place = tmp_path_factory.mktemp("listed")
    (place / "pictures").mkdir()
    lines = []
    for at in range(12):
        scene(at).save(place / "pictures" / f"{at:02d}.png")
        facts = {"file": f"pictures/{at:02d}.png", "title": f"Scene {at}", "tags": ["Sea Side"], "author": "Ada"}
        lines.append(json.dumps(facts | {"license": "CC BY 4.0" if at else None}))
    (place / "secret.png").write_bytes((place / "pictures" / "01.png").read_bytes())
    (place / "pictures" / "link.png").symlink_to(place / "secret.png")
    elsewhere = [json.dumps({"file": str(place / "secret.png")}), json.dumps({"file": "../secret.png"})]
    lines += ["", "no JSON", "[1]", *elsewhere, json.dumps({"file": "gone.png"}), json.dumps({"file": "link.png"})]
    (place / "pictures" / "list.jsonl").write_text("\n".join(lines).replace("pictures/", "") + "\n")
    return place / "pictures" / "list.jsonl"


@pytest.fixture(scope="module")
def crawled(listed, tmp_path_factory) -> Path:
    """A dataset of what the list names; do not change it."""
    dataset = tmp_path_factory.mktemp("crawled") / "dataset"
    assert cli.run(["crawl", str(dataset), "--source", "jsonl", "--set", f"jsonl.path={listed}", "--workers", "0"]) == 0
    return dataset


@pytest.fixture
def dataset(crawled, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(crawled, tmp_path / "dataset")


def table(dataset: Path, run, query: str) -> list[tuple]:
    """What a query over the flat manifest `photos` gives."""
    file = dataset.with_suffix(".parquet")
    run("manifest", dataset, "-o", file)
    return duckdb.sql(query.replace("photos", f"'{file}'")).fetchall()


def test_the_source_lists_fetches_and_tells_what_it_left_aside(dataset, listed, run):
    again = run("crawl", dataset, "--source", "jsonl", "--set", f"jsonl.path={listed}", "--workers", "0")
    assert "14 photos listed (0 new), 0 files fetched now" in again
    assert "4 lines left aside, which name no file below the list" in again
    rows = table(dataset, run, "select photo_id, author, tags, license, file_status from photos order by photo_id")
    assert rows[0] == ("jsonl:list/00.png", "Ada", ["seaside"], "LicenseRef-unknown", "ok")
    assert rows[1] == ("jsonl:list/01.png", "Ada", ["seaside"], "CC-BY-4.0", "ok")
    assert [(row[0], row[4]) for row in rows[12:]] == [
        ("jsonl:list/gone.png", "given_up"),
        ("jsonl:list/link.png", "given_up"),
    ]
    assert "are as they should be" in run("verify", dataset)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--source", "jsonl"), "jsonl.path: it is missing"),
        (("--source", "jsonl", "--set", "jsonl.paths=x"), "jsonl.paths=x: there is no such setting; there are: path"),
        (("--source", "synthetic", "--limit", "1", "--set", "jsonl.path=x"), "jsonl is no --source that is named"),
        (("--source", "synthetic", "--limit", "1", "--set", "synthetic.seed=1"), "synthetic has options of its own"),
        (("--source", "jsonl", "--set", "jsonl.path"), "write it as"),
    ],
)
def test_settings_of_a_source_that_do_not_fit_are_named(tmp_path, run, arguments, says):
    assert says in run("crawl", tmp_path / "dataset", *arguments, "--workers", "0", code=2)
    assert not (tmp_path / "dataset").exists()


def test_the_filter_measures_once_and_decides_many_times(dataset, run):
    first = run("filter", dataset, "--stage", "sharpness", "--workers", "0")
    assert "sharpness: 12 images measured" in first
    rows = "select photo_id, sharpness_value, sharpness_keep, sharpness_reason from photos where file_status = 'ok'"
    found = {int(name[-6:-4]): rest for name, *rest in table(dataset, run, rows)}
    assert {at for at, (_, keep, _) in found.items() if not keep} == set(BLURRED)
    assert {why for _, keep, why in found.values() if not keep} == {"not sharp"}
    second = run("filter", dataset, "--set", "sharpness.threshold=0", "--workers", "0")
    assert "sharpness: 0 images measured" in second
    assert json.loads(run("status", dataset, "--json"))["curated"] == 12
    (step,) = json.loads((dataset / "subsets" / "curated.json").read_text())["steps"]
    assert (step["stage"], step["package"], step["package_version"]) == ("sharpness", "lhq-example-plugins", "0.1")
    third = run("filter", dataset, "--set", "sharpness.side=64", "--workers", "0")
    assert "sharpness: 12 images measured" in third
    run("report", dataset, "-o", dataset.with_suffix(".html"))
    assert "sharpness" in dataset.with_suffix(".html").read_text()


def test_sharpness_is_what_scipy_says(installed):
    variance_of_laplacian = importlib.import_module("lhq_example_plugins.sharpness").variance_of_laplacian
    grey = np.asarray(scene(1).convert("L"), np.float32)
    expected = ndimage.laplace(grey.astype(np.float64))[1:-1, 1:-1].var()
    assert variance_of_laplacian(grey) == pytest.approx(expected, rel=1e-5)


def test_the_detector_serves_the_stage_of_objects(dataset, run):
    classes = PLACE / "lhq_example_plugins" / "blobs.txt"
    chosen = ("--set", "objects.detector=blobs", "--set", f"objects.classes={classes}")
    run("filter", dataset, "--objects", *chosen, "--workers", "0")
    found = table(dataset, run, "select photo_id, objects_reason from photos where not objects_keep")
    ((photo, reason),) = found
    assert photo == "jsonl:list/01.png"
    assert reason.startswith("blob")
    (step,) = json.loads((dataset / "subsets" / "curated.json").read_text())["steps"]
    package = {"package": "lhq-example-plugins", "version": "0.1"}
    assert step["uses"] == [{"kind": "detector", "name": "blobs", **package}]


def test_without_the_package_of_a_detector_what_it_found_is_decided_on_and_nothing_is_measured(
    dataset, installed, run, monkeypatch
):
    classes = PLACE / "lhq_example_plugins" / "blobs.txt"
    chosen = ("--set", "objects.detector=blobs", "--set", f"objects.classes={classes}")
    run("filter", dataset, "--objects", *chosen, "--workers", "0")
    before = run("status", dataset)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(installed)])
    missing = "detector 'blobs' is of the package lhq-example-plugins 0.1, which is not installed here"
    assert run("status", dataset) == before
    assert missing in run("verify", dataset)
    said = run("filter", dataset, "--workers", "0", code=1)
    assert missing in said
    assert "pip install lhq-example-plugins" in said
    assert "objects: 12 images" in run("filter", dataset, "--set", "objects.detector=small", "--workers", "0")


def test_a_blob_is_where_it_was_painted_and_light_is_none(installed):
    blobs = importlib.import_module("lhq_example_plugins.blobs")
    base = importlib.import_module("models.detectors.base")
    pixels = np.asarray(scene(1))
    lit = (pixels * np.linspace(0.6, 1.2, 192)[None, :, None]).clip(0, 255).astype(np.uint8)
    detector = blobs.Blobs(None, torch.device("cpu"))
    for image in (pixels, lit):
        (found,) = detector.detect([base.Frame(image)])
        assert found.classes == ("blob",)
        left, top, right, bottom = found.boxes[0] * (192, 128, 192, 128)
        assert all(-12 <= outside <= 0 for outside in (left - 60, top - 40, 85 - right, 65 - bottom))  # pixels
        assert 1 < found.areas[0] / (np.pi * 12.5**2 / (128 * 192)) < 4
    (none,) = detector.detect([base.Frame(np.asarray(scene(2)))])
    assert none.classes == ()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """40 pictures of 16x16."""
    return tiny.write(tmp_path_factory.mktemp("pictures") / "all", tiny.images())


@pytest.fixture(scope="module")
def trained(pictures, tmp_path_factory) -> Path:
    """A run of the example's model; do not change it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert cli.run(["train", "sliced", str(pictures), "-o", str(folder), "--threads", "1", *SMALL]) == 0
    return folder


def test_the_model_trains_generates_and_says_its_recipe(trained, tmp_path, run):
    said = json.loads((trained / "recipe.json").read_text())
    assert (said["model"], said["images"], said["plugged"]["package"]) == ("sliced", 32, "lhq-example-plugins")
    assert said["plugged"]["settings"]["width"] == 8
    assert "r1_weight" not in said
    assert presets.with_settings(presets.preset("sliced", "all", "smoke", 16), [*SMALL[1::2]]) == recipes.load(trained)
    steps = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "whole", "patches"} <= {name for step in steps for name in step}
    run("generate", trained, "--panorama", "4", "-o", tmp_path / "wide.png")
    with Image.open(tmp_path / "wide.png") as image:
        assert image.size == (64, 16)


def test_the_metric_stands_in_the_evaluation_beside_the_distances(trained, pictures, tmp_path, run):
    run_ = shutil.copytree(trained, tmp_path / "run")
    said = run("evaluate", run_, pictures, "--metric", "colours", "--frames", "64", "--threads", "1")
    found = json.loads((run_ / "evaluation.json").read_text())["metrics"]["colours"]
    assert found["package"] == "lhq-example-plugins"
    assert f"colours: {found['value']:.6g} (share of pixels" in said
    run("generate", run_, "--frames", "64", "-o", tmp_path / "frames", "--threads", "1")
    shown = [
        np.stack([np.asarray(Image.open(path)) for path in folder.iterdir()])
        for folder in (pictures, tmp_path / "frames")
    ]
    real, made = (
        np.histogramdd(one.reshape(-1, 3), 8, [(0, 256)] * 3, density=False)[0] / (one.size / 3) for one in shown
    )
    assert found["value"] == pytest.approx(
        np.abs(real - made).sum() / 2, abs=1e-3
    )  # frames are the same up to rounding
    assert "colours" not in (run_ / "row.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--set", "widths=8"), "--set widths=8: give NAME=VALUE with one of average_kimg"),
        (("--set", "width=1"), "width=1: it must be at least 4"),
        (("--set", "r1_weight=1"), "--set r1_weight=1: give NAME=VALUE"),
    ],
)
def test_settings_of_a_model_that_do_not_fit_are_named(pictures, tmp_path, run, arguments, says):
    assert says in run("train", "sliced", pictures, "-o", tmp_path / "run", *arguments, code=2)


def training(steps: int, before=None):
    """A small training after so many steps; it begins from another's state where one is given."""
    from benchmarks import plugin_model
    from benchmarks.execution import Execution

    torch.set_num_threads(1)  # commands before this may have asked for more
    settings = [*SMALL[1::2], "batch=32", "learning_rate=0.01"]
    recipe = presets.with_settings(presets.preset("sliced", "tiny", "smoke", 16), settings)
    made = plugin_model.model_of(recipe).training(recipe, tiny.images(), torch.device("cpu"), Execution())
    if before is not None:
        made.restore(*before)
    told = [made.advance() for _ in range(steps)]
    return made, told


def test_a_training_that_goes_on_is_one_that_never_stopped_and_learns():
    whole, told = training(15)
    half, _ = training(3)
    resumed, _ = training(12, half.state())
    assert resumed.step == whole.step == 15
    for one, other in zip(whole.average.parameters(), resumed.average.parameters(), strict=True):
        assert torch.equal(one, other)
    first, last = (float(sum(one["loss"] for one in part)) for part in (told[:3], told[-3:]))
    assert last < first / 2


def test_a_column_is_the_same_whoever_asks():
    generator = training(2)[0].average
    together = generator.columns(5, -3, 12)
    assert together.shape == (3, 16, 12 * 8)
    apart = [generator.columns(5, start, 3, batch=2) for start in (-3, 0, 3, 6)]
    torch.testing.assert_close(torch.cat(apart, 2), together)
    frames = generator.samples(5, 0, 6)
    torch.testing.assert_close(torch.cat([generator.samples(5, 0, 2), generator.samples(5, 2, 4)]), frames)
    assert not torch.equal(frames[0], frames[1])


def test_models_and_doctor_list_them(run):
    assert json.loads(run("models", "--json"))["sliced"]["generator"] > 0
    checks = {one["name"]: one for one in json.loads(run("doctor", "--json"))["checks"]}
    for name in ("source jsonl", "stage sharpness", "detector blobs", "model sliced", "metric colours"):
        assert (checks[name]["state"], checks[name]["says"][:26]) == ("ok", "of lhq-example-plugins 0.1")


def test_without_the_package_every_command_says_what_is_missing_and_loses_nothing(dataset, installed, run, monkeypatch):
    run("filter", dataset, "--stage", "sharpness", "--workers", "0")
    before, files = run("status", dataset), files_of(dataset, "*.lock")
    with monkeypatch.context() as gone:
        gone.setattr(sys, "path", [one for one in sys.path if one != str(installed)])
        for command in ("status", "filter", "review"):
            said = run(command, dataset, code=1)
            assert "'sharpness' is of the package lhq-example-plugins 0.1, which is not installed here" in said
            assert "pip install lhq-example-plugins, or take the stage out: lhq filter" in said
        run("manifest", dataset, "-o", dataset.with_suffix(".parquet"), code=1)
        assert not dataset.with_suffix(".parquet").exists()
        verified = run("verify", dataset)
        assert "are as they should be" in verified
        assert "subset 'curated' can be read but not used: stage 'sharpness' is of the package" in verified
        assert files_of(dataset, "*.lock") == files
        dropped = run("filter", dataset, "--drop", "sharpness", "--workers", "0")
        assert "not sharp" not in dropped
        assert list((dataset / "tables" / "measurements_sharpness").rglob("*.parquet"))
    again = run("filter", dataset, "--stage", "sharpness", "--workers", "0")
    assert "sharpness: 0 images measured" in again
    assert run("status", dataset) == before


@pytest.mark.usefixtures("absent")
def test_a_run_without_its_package_says_what_is_missing(trained, pictures, tmp_path, run):
    said = "model 'sliced' is of the package lhq-example-plugins, which is not installed here"
    assert said in run("generate", trained, "--frames", "1", "-o", tmp_path / "frames", code=1)
    assert said in run("evaluate", trained, pictures, code=1)
    assert "no model is called 'sliced'" in run("train", "sliced", pictures, "-o", tmp_path / "run", code=2)
    assert "no metric is called 'colours'" in run("evaluate", trained, pictures, "--metric", "colours", code=2)


@pytest.mark.long
def test_workers_on_ray_find_them_and_make_the_same_tables(lhq, installed, listed, tmp_path):
    env = {"PYTHONPATH": str(installed)}
    classes = PLACE / "lhq_example_plugins" / "blobs.txt"
    for workers in (0, 2):
        place = tmp_path / str(workers)
        source = ("--source", "jsonl", "--set", f"jsonl.path={listed}")
        stages = ("--stage", "sharpness", "--objects", "--set", "objects.detector=blobs")
        commands = (
            ("crawl", place, *source),
            ("filter", place, *stages, "--set", f"objects.classes={classes}"),
        )
        for command in commands:
            ran = lhq(*command, "--workers", workers, env=env)
            assert ran.code == 0, ran.err
    assert_equal_datasets(tmp_path / "0", tmp_path / "2")
