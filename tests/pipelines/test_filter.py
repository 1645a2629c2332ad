"""Measure once, decide many times: thresholds, late photos, refits, errors and subsets, through the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.slow  # each runs the program several times

QUICK = ("--set", "invariance.folds=2", "--workers", "0", "--json")
ALL = ("--tags", "--resolution", "--invariance", "--set", "resolution.min_side=90")


@pytest.fixture(scope="module")
def forty(painted, lhq, tmp_path_factory) -> Path:
    """A filtered dataset of 40 scenes; copy it before changing it."""
    place = tmp_path_factory.mktemp("forty")
    (place / "pictures").mkdir()
    for at in range(40):
        shutil.copy(painted / f"{at:03d}.jpg", place / "pictures")
    shutil.copy(painted / "metadata.csv", place)
    crawl = ("crawl", place / "d", "--source", "folder", "--path", place / "pictures", "--label", "painted")
    assert lhq(*crawl, "--metadata", painted / "metadata.csv", "--workers", "0").code == 0
    ran = lhq("filter", place / "d", *ALL, *QUICK)
    assert ran.code == 0, ran.err
    return place / "d"


@pytest.fixture
def dataset(forty, tmp_path) -> Path:
    return Path(shutil.copytree(forty, tmp_path / "d"))


def measurements(dataset: Path) -> list[dict]:
    return pq.read_table(dataset / "tables" / "measurements_invariance" / "1").to_pylist()


def add(lhq, painted: Path, dataset: Path, tmp_path: Path, numbers: range) -> None:
    more = tmp_path / "more"
    more.mkdir()
    for at in numbers:
        shutil.copy(painted / f"{at:03d}.jpg", more)
    crawl = ("crawl", dataset, "--source", "folder", "--path", more, "--label", "late", "--workers", "0")
    assert lhq(*crawl).code == 0


def test_the_funnel_adds_up_and_the_status_says_the_same(lhq, forty):
    status = lhq("status", forty, "--json").json
    assert list(status["stages"]) == ["tags", "resolution", "invariance"]
    reached = status["photos"]
    for counts in status["stages"].values():
        assert sum(counts[state] for state in ("kept", "rejected", "errors", "pending")) == reached
        assert sum(counts["reasons"].values()) == reached - counts["kept"]
        reached = counts["kept"]
    assert status["curated"] == reached
    again = lhq("filter", forty, *QUICK).json
    assert {key: again[key] for key in status} == status
    assert again["measured"]["invariance"]["images"] == 0


def test_a_new_threshold_decides_again_and_measures_nothing(lhq, dataset):
    before = measurements(dataset)
    kept = {}
    for threshold in ("0.01", "1.0"):
        ran = lhq("filter", dataset, "--set", f"invariance.threshold={threshold}", *QUICK).json
        assert ran["measured"]["invariance"]["images"] == 0
        assert ran["measured"]["invariance"]["fitted"] is False
        kept[threshold] = ran["stages"]["invariance"]["kept"]
    assert kept["0.01"] == 0
    assert kept["1.0"] > 0
    assert measurements(dataset) == before


def test_a_threshold_by_name_and_another_score_measure_nothing_either(lhq, dataset):
    before = measurements(dataset)
    for setting in ("threshold=strict", "score=official"):
        ran = lhq("filter", dataset, "--set", f"invariance.{setting}", *QUICK).json
        assert (ran["measured"]["invariance"]["images"], ran["measured"]["invariance"]["fitted"]) == (0, False)
    (step,) = [
        one
        for one in json.loads((dataset / "subsets" / "curated.json").read_text())["steps"]
        if one["stage"] == "invariance"
    ]
    assert (step["settings"]["threshold"], step["settings"]["score"]) == (0.7, "official")
    assert measurements(dataset) == before


def test_the_summary_tells_the_held_out_accuracy(lhq, dataset):
    ran = lhq("filter", dataset, "--workers", "0")
    (line,) = [line for line in ran.out.splitlines() if "held-out accuracy" in line]
    measured = [row for row in measurements(dataset) if row["error"] is None]
    told = sum(row["told"] for row in measured) / (2 * len(measured))
    assert line.startswith(f"  invariance: held-out accuracy {told:.3f} (95 % interval ")
    assert lhq("filter", dataset, *QUICK).json["notes"]["invariance"] == [line.removeprefix("  invariance: ")]


def test_missing_weights_stop_before_any_data_is_touched(lhq, dataset, tmp_path):
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in dataset.rglob("*") if path.suffix != ".lock"}

    before = files()
    nowhere = {"LHQ_CACHE": str(tmp_path / "nothing")}
    for arguments in (("--budget", "paper", "--invariance"), ("--set", "invariance.network=wide_resnet50_2")):
        ran = lhq("filter", dataset, *arguments, "--workers", "0", env=nowhere)
        assert ran.code == 1
        assert ran.err.rstrip().endswith("run: lhq weights fetch wide_resnet50_2")
    assert files() == before
    assert lhq("filter", dataset, "--budget", "huge", "--invariance").code == 2
    own = lhq(
        "filter", dataset, "--budget", "paper", "--invariance", "--set", "invariance.network=small", *QUICK, env=nowhere
    )
    assert own.json["measured"]["invariance"]["images"] == 0, "what is set by itself counts more than the budget"


def test_photos_that_arrive_later_are_measured_with_the_stored_fit_and_a_refit_makes_a_new_fingerprint(
    lhq, painted, dataset, tmp_path
):
    before = measurements(dataset)
    (fit,) = (dataset / "fits" / "invariance").iterdir()
    add(lhq, painted, dataset, tmp_path, range(40, 50))
    late = lhq("filter", dataset, *QUICK).json["measured"]["invariance"]
    assert late["fitted"] is False
    assert late["fingerprint"] == fit.name
    assert 0 < late["images"] <= 10
    after = measurements(dataset)
    assert {row["fingerprint"] for row in after} == {fit.name}
    assert len(after) == len(before) + late["images"]

    refit = lhq("filter", dataset, "--invariance", "--refit", *QUICK).json["measured"]["invariance"]
    assert refit["fitted"] is True
    assert refit["fingerprint"] != fit.name
    assert refit["images"] == len(after), "a refit measures all anew, never a mixture"
    again = lhq("filter", dataset, *QUICK).json["measured"]["invariance"]
    assert (again["fingerprint"], again["images"]) == (refit["fingerprint"], 0)


def test_a_measuring_parameter_measures_anew_under_its_own_fingerprint(lhq, dataset):
    before = lhq("filter", dataset, *QUICK).json["measured"]["invariance"]["fingerprint"]
    ran = lhq("filter", dataset, "--set", "invariance.flip=false", *QUICK).json["measured"]["invariance"]
    assert ran["fitted"] is True
    assert ran["fingerprint"] != before
    back = lhq("filter", dataset, "--set", "invariance.flip=true", *QUICK).json["measured"]["invariance"]
    assert (back["fingerprint"], back["images"]) == (before, 0)


def test_a_set_too_small_to_fit_stays_pending_with_that_reason(lhq, painted, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for at in range(5):
        shutil.copy(painted / f"{at:03d}.jpg", few)
    dataset = tmp_path / "d"
    assert lhq("crawl", dataset, "--source", "folder", "--path", few, "--workers", "0").code == 0
    ran = lhq("filter", dataset, "--invariance", "--workers", "0", "--json")
    assert ran.code == 0
    stage = ran.json["stages"]["invariance"]
    assert stage["pending"] == 5
    assert list(stage["reasons"]) == ["too few photos to fit: 5 of the 16 needed"]
    assert lhq("status", dataset, "--json").json["stages"]["invariance"] == stage
    assert ran.json["curated"] == 0
    told = lhq("filter", dataset, "--invariance", "--workers", "0")
    assert "to go without it: --drop invariance" in told.out + told.err


def test_a_refit_of_too_few_photos_is_refused_and_leaves_the_recipe(lhq, dataset):
    before = (dataset / "subsets" / "curated.json").read_bytes()
    few = ("--subset", "few", "--resolution", "--invariance", "--set", "resolution.min_side=180")
    ran = lhq("filter", dataset, *few, "--refit", *QUICK)
    reached = lhq("filter", dataset, *few, *QUICK).json["stages"]["resolution"]["kept"]
    assert 0 < reached < 16, "the scenes of this size are few"
    assert ran.code == 1
    assert "too few photos to fit invariance anew" in ran.err
    assert (dataset / "subsets" / "curated.json").read_bytes() == before


def test_damage_found_by_decoding_is_an_error_row_until_it_is_retried(lhq, dataset):
    victim = sorted((dataset / "images").rglob("*.jpg"))[3]
    whole = victim.read_bytes()
    victim.unlink()
    shutil.rmtree(dataset / "tables" / "measurements_invariance")
    ran = lhq("filter", dataset, *QUICK).json
    assert ran["stages"]["invariance"]["errors"] == 1
    assert "missing from the image store" in "".join(ran["stages"]["invariance"]["reasons"])
    victim.write_bytes(whole)
    assert lhq("filter", dataset, *QUICK).json["stages"]["invariance"]["errors"] == 1
    mended = lhq("filter", dataset, "--retry-errors", *QUICK).json
    assert mended["measured"]["invariance"]["images"] == 1
    assert mended["stages"]["invariance"]["errors"] == 0


def test_subsets_live_side_by_side_and_share_measurements(lhq, dataset):
    wide = lhq("filter", dataset, "--subset", "wide", "--set", "invariance.threshold=1.0", *QUICK).json
    assert wide["measured"]["invariance"]["images"] == 0
    assert wide["curated"] >= lhq("status", dataset, "--json").json["curated"]
    dropped = lhq("filter", dataset, "--subset", "wide", "--drop", "invariance", "--workers", "0", "--json").json
    assert "invariance" not in dropped["stages"]
    recipe = json.loads((dataset / "subsets" / "curated.json").read_text())
    assert [step["stage"] for step in recipe["steps"]] == ["tags", "resolution", "invariance"]
    new = lhq("filter", dataset, "--subset", "tagged", "--tags", "--json").json
    assert list(new["stages"]) == ["tags"]


def test_everything_measures_what_an_earlier_stage_rejects_too(lhq, dataset):
    strict = ("--set", "resolution.min_side=100000")
    assert lhq("filter", dataset, *strict, *QUICK).json["measured"]["invariance"]["images"] == 0
    files = lhq("status", dataset, "--json").json["files"]["ok"]
    lhq("filter", dataset, *strict, "--everything", *QUICK)
    assert len({row["sha256"] for row in measurements(dataset)}) == files


def test_the_flat_manifest_explains_every_photo(lhq, dataset, tmp_path):
    out = tmp_path / "flat.parquet"
    assert lhq("manifest", dataset, "-o", out).code == 0
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 40
    status = lhq("status", dataset, "--json").json
    assert sum(row["keep"] for row in rows) == status["curated"]
    for row in rows:
        assert (row["reason"] is None) == row["keep"]
        assert row["queries"] == ["painted"]
        assert row["license"] in ("CC0-1.0", "CC-BY-4.0")
    assert sum(row["tags_keep"] is False for row in rows) == status["stages"]["tags"]["rejected"]
    assert sum(row["resolution_keep"] is False for row in rows) == status["stages"]["resolution"]["rejected"]
    assert {row["invariance_keep"] for row in rows if row["tags_keep"] is False} == {None}


def test_the_flat_manifest_follows_a_new_threshold(lhq, dataset, tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    lhq("manifest", dataset, "-o", first)
    lhq("filter", dataset, "--set", "invariance.threshold=0.01", *QUICK)
    lhq("manifest", dataset, "-o", second)
    assert sum(pq.read_table(first)["keep"].to_pylist()) > 0
    assert sum(pq.read_table(second)["keep"].to_pylist()) == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_tells_what_would_be_measured_and_changes_nothing(lhq, dataset, painted, tmp_path):
    add(lhq, painted, dataset, tmp_path, range(40, 52))
    (dataset / "fits" / "invariance").rename(dataset / "fits" / "away")
    before = contents(dataset)
    unfitted = lhq("filter", dataset, "--dry-run", *QUICK).json["stages"]
    assert [(one["stage"], one["fits"]) for one in unfitted] == [
        ("tags", False),
        ("resolution", False),
        ("invariance", True),
    ]
    assert unfitted[-1]["at_least"]
    assert contents(dataset) == before

    (dataset / "fits" / "away").rename(dataset / "fits" / "invariance")
    before = contents(dataset)
    told = lhq("filter", dataset, "--dry-run", *QUICK)
    assert contents(dataset) == before
    last = told.json["stages"][-1]
    assert not last["fits"]
    assert 0 < last["seconds"] < 600
    assert lhq("filter", dataset, *QUICK).json["measured"]["invariance"]["images"] == last["images"] > 0
    assert lhq("filter", dataset, "--dry-run", *QUICK).json["stages"][-1]["images"] == 0


def test_a_dry_run_tells_of_a_stage_that_too_few_photos_would_reach(lhq, dataset):
    few = ("--invariance", "--subset", "few", "--resolution", "--set", "resolution.min_side=100000")
    ran = lhq("filter", dataset, *few, "--dry-run", "--workers", "0")
    assert "too few photos to learn from, 16 more are needed" in ran.out
    (stage,) = [one for one in lhq("filter", dataset, *few, "--dry-run", "--json").json["stages"] if one["fits"]]
    assert (stage["images"], stage["lacks"], stage["seconds"]) == (0, 16, None)


def test_a_dry_run_of_a_new_subset_or_threshold_saves_no_recipe(lhq, dataset):
    before = contents(dataset)
    strict = ("--subset", "strict", "--tags", "--resolution", "--set", "resolution.min_side=120")
    text = lhq("filter", dataset, *strict, "--dry-run", "--workers", "0").out
    assert "resolution" in text
    assert text.strip().endswith("nothing was measured, decided or saved")
    wrong = lhq("filter", dataset, "--dry-run", "--set", "resolution.min_side=x")
    assert wrong.code == 2
    assert "resolution.min_side" in wrong.err
    assert contents(dataset) == before
