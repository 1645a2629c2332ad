"""The report tells what `lhq status` counts, shows photos of both sides of a threshold, and loads nothing."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from lhq_toolkit.report.facts import gather
from lhq_toolkit.report.page import html as html_of
from lhq_toolkit.report.page import make
from manifests.dataset import Dataset
from manifests.reviews import Reviews
from pipelines.filter import existing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(lhq, painted, tmp_path_factory) -> Path:
    """120 scenes, with tags and sizes filtered."""
    pictures, place = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("set") / "d"
    for path in [*sorted(painted.glob("*.jpg"))[:120], painted / "metadata.csv"]:
        shutil.copy(path, pictures)
    source = ("--source", "folder", "--path", pictures, "--metadata", pictures / "metadata.csv")
    assert lhq("crawl", place, *source, "--workers", "0").code == 0
    settings = ("--set", "resolution.min_side=150")
    ran = lhq("filter", place, "--tags", "--resolution", *settings, "--workers", "0")
    assert ran.code == 0, ran.err
    return place


@pytest.fixture(scope="module")
def report(dataset):
    opened = Dataset.open(dataset)
    return make(opened, existing(opened, "curated"), "0")


def test_the_numbers_are_those_of_status(lhq, dataset, report):
    status = lhq("status", dataset, "--json").json
    facts = report.facts
    assert (facts.photos, facts.members, facts.files) == (status["photos"], status["curated"], status["files"])
    for stage in facts.stages:
        said = status["stages"][stage.name]
        assert (stage.step.kept, stage.step.rejected) == (said["kept"], said["rejected"])
        assert dict(stage.reasons) == said["reasons"]
    assert [step.name for step in facts.steps] == ["listed", "tags", "resolution", "subset curated"]
    assert sum(count for _, count, _ in facts.licences) == facts.members
    assert sum(count for _, _, count in facts.licences) == facts.photos


def test_photos_on_both_sides_are_the_nearest_to_the_threshold(report):
    (score,) = [stage.score for stage in report.facts.stages if stage.name == "resolution"]
    assert score.threshold == 150
    assert not score.keeps_below
    for kept in (True, False):
        values = np.abs(score.values[score.nearest(kept, 6)] - 150)
        rest = np.abs(score.values[score.kept == kept] - 150)
        assert values.tolist() == sorted(rest.tolist())[: len(values)]
    sides = report.samples.sides["resolution"]
    assert len(sides.kept) == 6
    assert sides.rejected
    assert all(float(one.caption) >= 150 for one in sides.kept)
    assert all(float(one.caption) < 150 for one in sides.rejected)


def test_a_stage_without_a_threshold_shows_its_rejected_with_their_reasons(report):
    sides = report.samples.sides["tags"]
    assert not sides.kept
    assert sides.rejected
    assert all(one.caption.startswith("tag: ") for one in sides.rejected)


def test_the_page_is_whole_by_itself_and_every_picture_has_a_text(lhq, dataset, tmp_path):
    ran = lhq("report", dataset, "-o", tmp_path / "r.html", "--json")
    assert ran.code == 0, ran.err
    page = (tmp_path / "r.html").read_text()
    assert ran.json["bytes"] == (tmp_path / "r.html").stat().st_size
    addresses = [html.unescape(one) for one in re.findall(r'(?:src|href)="([^"]*)"', page)]
    assert addresses
    assert all(one.startswith("data:image/jpeg;base64,") for one in addresses)
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) > 20
    assert all(re.search(r'alt="[^"]+"', one) for one in images)
    assert all("aria-label" in one for one in re.findall(r"<svg [^>]*>", page))
    opened = Dataset.open(dataset)
    facts, _ = gather(opened, existing(opened, "curated"), "0")
    assert facts.subset_hash in page
    assert facts.recipe_hash in page


def test_the_reviewers_precision_and_recall_are_those_of_their_sample(lhq, dataset, report, tmp_path):
    assert report.reviewed is None
    assert "People and filters" not in html_of(report)
    copy = shutil.copytree(dataset, tmp_path / "d")
    photos = Dataset.open(copy).photos_table.read(["photo_id"])["photo_id"].to_pylist()
    with Reviews(copy) as reviews:
        for at, photo_id in enumerate(photos):
            reviews.decide(photo_id, "anna", "reject" if at % 3 == 0 else "keep", str(at))
    opened = Dataset.open(copy)
    made = make(opened, existing(opened, "curated"), "0")
    assert made.facts.reviewed == len(photos)
    assert made.facts.members == sum(at % 3 != 0 for at in range(len(photos)))
    judged = {one.filter: one for one in made.reviewed.filters}
    assert set(judged) == {"tags", "resolution", "all filters"}
    assert judged["all filters"].recall.of == len(photos) - made.facts.members
    text = html_of(made)
    share = judged["all filters"].recall
    assert "People and filters" in text
    assert f"{share.hits:,} of {share.of:,}" in text
    assert f"{share.value:.2f}" in text


def test_figures_are_written_as_files_on_request(lhq, dataset, tmp_path):
    ran = lhq("report", dataset, "-o", tmp_path / "r.html", "--figures", "png", "--json")
    assert {Path(one).name for one in ran.json["figures"]} >= {"funnel.png", "stage-resolution.png", "tags.png"}
    assert all(Path(one).read_bytes().startswith(b"\x89PNG") for one in ran.json["figures"])


@pytest.mark.parametrize("name", ["r.txt", "no/such/r.html"])
def test_a_report_to_a_wrong_place_is_refused(lhq, dataset, tmp_path, name):
    assert lhq("report", dataset, "-o", tmp_path / name).code == 2
    assert lhq("report", dataset, "-o", dataset / "r.html").code == 2


def test_an_empty_dataset_has_a_report_too(lhq, tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "not.jpg").write_bytes(b"nothing")
    lhq("crawl", tmp_path / "d", "--source", "folder", "--path", tmp_path / "p", "--workers", "0")
    ran = lhq("report", tmp_path / "d", "-o", tmp_path / "r.html")
    assert ran.code == 0, ran.err
    assert "photos in the subset" in (tmp_path / "r.html").read_text()
