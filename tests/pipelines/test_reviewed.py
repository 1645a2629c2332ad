"""Reviews override the filters everywhere: in the funnel, the subset hash, manifest, recipe, status and export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flattening import flat_table
from reviewing import dataset_of

from lhq_toolkit import show
from manifests import recipes, reviews
from manifests.dataset import Dataset
from manifests.recipes import Recipe, Step
from manifests.reviews import FLAG, KEEP, REJECT, UNDECIDED, Reviews
from pipelines import manifest as manifests
from pipelines.engine.stage import Stage, StageSettings, Verdicts
from pipelines.filter import existing
from pipelines.funnel import KEPT, NOT_REACHED, REJECTED, Funnel, walk

RECIPE = Recipe("curated", (Step("tags", {}), Step("resolution", {"min_side": 30})))
PHOTOS = [
    {"title": "lake"},
    {"title": "hill"},
    {"title": "party", "tags": ["wedding"]},
    {"title": "tiny", "size": (20, 20)},
]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = dataset_of(tmp_path / "d", PHOTOS)
    recipes.save(made.root, RECIPE)
    return made


def decide(dataset: Dataset, verdicts: Mapping[str, str], reviewer: str = "anna") -> None:
    with Reviews(dataset.root) as book:
        for photo_id, verdict in verdicts.items():
            book.decide(photo_id, reviewer, verdict, f"{reviewer} {photo_id} {verdict}")


def members(dataset: Dataset) -> list[str]:
    funnel = walk(dataset, existing(dataset, "curated"))
    return sorted(funnel.photos.filter(pa.array(funnel.members))["photo_id"].to_pylist())


def test_a_keep_brings_in_a_reject_takes_out_and_others_change_nothing(dataset):
    assert members(dataset) == ["t:0", "t:1"]
    decide(dataset, {"t:0": REJECT, "t:2": KEEP, "t:3": FLAG, "t:1": UNDECIDED, "t:gone": KEEP})
    assert members(dataset) == ["t:1", "t:2"]
    decide(dataset, {"t:2": REJECT}, "bert")
    assert members(dataset) == ["t:1"], "they disagree: a reject outweighs"
    decide(dataset, {"t:2": UNDECIDED}, "bert")
    assert members(dataset) == ["t:1", "t:2"]


def test_what_the_stages_say_and_count_stays(dataset):
    before = show.status(walk(dataset, RECIPE))
    decide(dataset, {"t:0": REJECT, "t:2": KEEP})
    after = show.status(walk(dataset, RECIPE))
    assert after["stages"] == before["stages"]
    assert (before["reviewed"], after["reviewed"]) == (0, 2)
    assert after["curated"] == 2
    assert "\nreview               2         1         1\n" in show.funnel(walk(dataset, RECIPE), "curated", RECIPE)


def test_a_keep_does_not_conjure_up_a_file(dataset):
    rows = dataset.files_table.read().slice(2, 1).to_pylist()
    dataset.files_table.append(
        pa.Table.from_pylist([{**rows[0], "status": "given_up", "error": "gone"}], schema=dataset.files_table.schema)
    )
    decide(dataset, {"t:2": KEEP})
    assert members(dataset) == ["t:0", "t:1"]
    row = next(one for one in flat_table(walk(dataset, RECIPE)).to_pylist() if one["photo_id"] == "t:2")
    assert (row["keep"], row["reason"], row["review"]) == (False, "file: gone", "keep")


def test_the_subset_hash_follows_and_comes_back(dataset):
    def mark() -> str:
        return walk(dataset, RECIPE).subset_hash()

    first = mark()
    decide(dataset, {"t:0": REJECT})
    second = mark()
    assert second != first
    decide(dataset, {"t:1": KEEP})
    assert mark() == second, "it was in before"
    with Reviews(dataset.root) as book:
        book.undo("anna", "u1")
        book.undo("anna", "u2")
    assert mark() == first


def test_the_manifest_follows_at_once_and_back(dataset, tmp_path):
    def rows() -> dict[str, dict]:
        out = tmp_path / "all.parquet"
        manifests.write(dataset, existing(dataset, "curated"), out)
        told = pq.read_table(out)
        assert told.equals(flat_table(walk(dataset, RECIPE)))
        return {row["photo_id"]: row for row in told.to_pylist()}

    first = rows()
    assert {row["review"] for row in first.values()} == {None}
    decide(dataset, {"t:0": REJECT, "t:2": KEEP})
    decide(dataset, {"t:0": KEEP, "t:3": FLAG}, "bert")
    now = rows()
    assert {one: row["keep"] for one, row in now.items()} == {"t:0": False, "t:1": True, "t:2": True, "t:3": False}
    assert now["t:0"]["reason"] == "review: rejected"
    assert (now["t:2"]["reason"], now["t:2"]["tags_keep"], now["t:2"]["tags_reason"]) == (None, False, "tag: wedding")
    assert {one: row["review"] for one, row in now.items()} == {
        "t:0": "reject",
        "t:1": None,
        "t:2": "keep",
        "t:3": "flag",
    }
    assert {one: row["reviewers"] for one, row in now.items() if row["reviewers"]} == {
        "t:0": ["anna", "bert"],
        "t:2": ["anna"],
        "t:3": ["bert"],
    }
    with Reviews(dataset.root) as book:
        for number in range(2):
            book.undo("anna", f"u{number}")
            book.undo("bert", f"v{number}")
    assert rows() == first


class Last(Stage[StageSettings]):
    """Decides last, as duplicates does: keeps the first of those it meets."""

    name, version, settings_type, decides_last = "last", 1, StageSettings, True

    def decide(self, view: pa.Table) -> Verdicts:
        assert all(view["others"].to_pylist())
        keep = [at == 0 for at in range(view.num_rows)]
        return Verdicts(keep, [None if one else "not the first" for one in keep], [None] * len(keep))


def test_a_stage_that_decides_last_meets_what_the_reviews_leave(dataset):
    decide(dataset, {"t:0": REJECT, "t:2": KEEP})
    funnel = walk(dataset, RECIPE)
    outcome = funnel.decide(Last(StageSettings()), None)
    ids = funnel.photos["photo_id"].to_pylist()
    state = dict(zip(ids, outcome.state.tolist(), strict=True))
    assert state == {"t:0": NOT_REACHED, "t:1": KEPT, "t:2": REJECTED, "t:3": NOT_REACHED}
    assert [one for one, member in zip(ids, funnel.members, strict=True) if member] == ["t:1", "t:2"]


def test_a_funnel_can_be_walked_with_given_verdicts(dataset):
    decide(dataset, {"t:0": REJECT})
    assert int(Funnel(dataset, verdicts=reviews.Verdicts()).members.sum()) == 4
    assert int(Funnel(dataset).members.sum()) == 3


@pytest.mark.slow
def test_filter_notes_the_reviews_in_the_recipe_and_status_and_export_follow(lhq, dataset, tmp_path):
    decide(dataset, {"t:0": REJECT, "t:2": KEEP})
    assert lhq("filter", dataset.root, "--tags", "--workers", "0").code == 0
    saved = recipes.load(dataset.root, "curated")
    assert saved is not None
    assert saved.reviews == reviews.load(dataset.root).sha256()
    status = lhq("status", dataset.root, "--json").json
    assert (status["reviewed"], status["curated"]) == (2, 2)
    export = ("export", dataset.root, tmp_path / "out", "--format", "folder", "--resolution", "16", "--workers", "0")
    assert lhq(*export).code == 0
    told = (tmp_path / "out" / "ATTRIBUTION.csv").read_text()
    assert [one in told for one in ("t:0", "t:1", "t:2", "t:3")] == [False, True, True, False]
    with Reviews(dataset.root) as book:
        book.undo("anna", "u1")
        book.undo("anna", "u2")
    assert lhq("filter", dataset.root, "--tags", "--workers", "0").code == 0
    saved = recipes.load(dataset.root, "curated")
    assert saved is not None
    assert saved.reviews is None
