"""The report of a run: its numbers, pictures and curves in one page that loads nothing, whatever its texts say."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import json
import re

import pytest
import tiny
import torch
from PIL import Image

from benchmarks import metrics, recipes, runs, samples
from benchmarks.pictures import Pictures
from benchmarks.runs import Standing
from lhq_toolkit import run_report

NAME = "<script>alert(1)</script>\"'&{{ 7*7 }}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An ALIS of 8 steps with five ticks, judged three times, on a dataset with a hostile name."""
    folder = tmp_path_factory.mktemp("report") / "run"
    recipe = dataclasses.replace(tiny.recipe("alis", images=32, patches=4, input_resolution=4), dataset=NAME)
    pictures = Pictures(tiny.images(), NAME, "curated", "ab" * 32, "cd" * 32)
    told = iter((90.0, 30.5, 60.0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "TICK_IMAGES", 8)
        runs.train(
            recipe,
            pictures,
            folder,
            torch.device("cpu"),
            judge=lambda _: {"fd": next(told), "infinity_fd": 100.0},
            snapshots=2,
            report=lambda standing: run_report.write(folder, standing, "9.9"),
        )
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="module")
def page(run) -> str:
    return (run / run_report.FILE).read_text()


def test_it_says_what_was_trained_how_far_and_how_near(run, page):
    text = html.unescape(re.sub(r"<[^>]*>", " ", page.split("</head>")[1]))
    for told in (
        recipes.recipe_hash(recipes.load(run)),
        "cd" * 32,
        "learning_rate",
        "0.0025",
        "of 32 images seen",
        NAME,
    ):
        assert told in text
    assert re.search(r"fd, the best, after 16 images\s+30\.5", text)
    assert re.search(r"16\s+30\.5\s+100\s+step 4, the best", text)
    assert re.search(r"32\s+60\s+100\s+step 8\s", text)
    assert "anchor_distance" in text


def test_it_loads_nothing_runs_nothing_and_shows_strangers_texts_as_text(page):
    assert "<script" not in page.lower()
    assert "javascript:" not in page
    assert not re.search(r"\son\w+=", page)
    assert "49" not in re.sub(
        r"[0-9a-f]{64}|base64,[^\"]*|points=\"[^\"]*\"", "", page.split("<h1>")[1].split("</h1>")[0]
    )
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src &#39;none&#39;; img-src data:; style-src &#39;sha256-")
    assert {source.partition(":")[0] for source in re.findall(r'(?:src|href)="([^"]*)"', page)} == {"data"}
    assert all("alt=" in image for image in re.findall(r"<img[^>]*>", page))


def test_the_latest_pictures_and_the_earlier_ones_are_in_it(run, page):
    pictures = [Image.open(io.BytesIO(base64.b64decode(one))) for one in re.findall(r"jpeg;base64,([^\"]*)", page)]
    assert [picture.size for picture in pictures] == [(128, 16), (96, 96), *[(32, 32)] * 4]
    with Image.open(run / samples.FOLDER / "00000008.png") as latest:
        ours, theirs = (torch.tensor(list(one.convert("L").tobytes())).float() for one in (pictures[1], latest))
    assert torch.corrcoef(torch.stack([ours, theirs]))[0, 1] > 0.9
    captions = re.findall(r"<figcaption>(\d+) images</figcaption>", page)
    assert captions == ["0", "8", "16", "24"]


def test_each_curve_is_in_it(page):
    labels = re.findall(r'<svg[^>]*aria-label="([^".]*)', page)
    assert len(labels) == 6
    assert labels[0].startswith("Distance to the pictures")
    assert "fd: from 90 to 60" in page


def test_a_run_that_has_just_begun_and_one_whose_pictures_are_damaged_have_a_report(run, tmp_path):
    for name in (recipes.FILE, runs.DATA):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    assert "<h2>What it draws</h2>" not in run_report.html(tmp_path, Standing(0, 0, {}), "9.9")
    (tmp_path / samples.FOLDER).mkdir()
    for name, content in (
        ("00000000.png", b""),
        ("00000004.png", b"\x89PNG\r\n\x1a\nno"),
        ("00000004-panorama.png", b"x"),
    ):
        (tmp_path / samples.FOLDER / name).write_bytes(content)
    (tmp_path / metrics.FILE).write_text(json.dumps({"step": 0, "images": 0, "fd": float("nan")}) + "\n")
    assert "data:image" not in run_report.html(tmp_path, Standing(4, 16, {"cpu": 2.0}), "9.9")


def test_of_many_measurements_the_last_and_the_best_are_in_the_table(run, tmp_path):
    for name in (recipes.FILE, runs.DATA):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / "checkpoints" / "00000003").mkdir(parents=True)
    lines = [{"step": step, "images": 4 * step, "fd": 1.0 if step == 3 else 50.0 + step} for step in range(500)]
    (tmp_path / metrics.FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = run_report.html(tmp_path, Standing(499, 1996, {"cpu": 2.0}), "9.9")
    rows = re.findall(r"<tr.*?><td class=\"number\">([\d,]*)</td>", page)
    assert rows == ["12", *[f"{4 * step:,}" for step in range(500 - run_report.ROWS, 500)]]
