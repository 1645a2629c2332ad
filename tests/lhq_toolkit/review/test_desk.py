"""The lists hold the photos they promise, in the order they promise, whatever happens to the dataset meanwhile."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow as pa
import pytest
from reviewing import NOW, dataset_of, picture

from lhq_toolkit.review import desk as desks
from lhq_toolkit.review.app import Kind
from lhq_toolkit.review.desk import Desk, GoneError
from lhq_toolkit.review.index import Query, web_link
from manifests import recipes, reviews, schema
from manifests.dataset import Dataset
from manifests.recipes import Recipe, Step
from manifests.reviews import FLAG, KEEP, REJECT, UNDECIDED
from pipelines import remove
from pipelines.agreement import in_random_order
from pipelines.removal_request import Request

SIDES = [40, 10, 32, 24, 60, 31, 29, 50]  # short side; kept from 30 up
RECIPE = Recipe("curated", (Step("tags", {}), Step("resolution", {"min_side": 30})))
TOKENS = (f"token {number:04d}" for number in itertools.count())


@pytest.fixture
def desk(tmp_path: Path):
    photos = [
        {"title": f"photo {at}", "author": f"author {at % 2}", "size": (80, side)} for at, side in enumerate(SIDES)
    ]
    photos.append({"title": "party", "tags": ["wedding"], "author": "Author 1"})
    made = dataset_of(tmp_path / "d", photos)
    recipes.save(made.root, RECIPE)
    opened = Desk(made.root, "curated")
    yield opened
    opened.close()


def numbers(desk: Desk, reviewer: str = "anna", **query) -> list[int]:
    """Photos of a list, as the page gets them: at once, or piece by piece."""
    told = desk.open_list(Query(**query), reviewer)
    whole = [one["id"] for one in told["first"]]
    pieces = [one["id"] for first in range(0, told["total"], 2) for one in desk.items(told["list"], first, 2, reviewer)]
    assert whole == pieces
    assert told["total"] == len(told["ratios"]) == len(pieces)
    return [int(one.removeprefix("t:")) for one in pieces]


def decide(desk: Desk, verdicts: dict[int, str], reviewer: str = "anna") -> None:
    for at, verdict in verdicts.items():
        desk.decide(f"t:{at}", reviewer, verdict, next(TOKENS))


def test_lists_of_the_filters(desk):
    assert numbers(desk) == numbers(desk, kind="in") == [0, 2, 4, 5, 7]
    assert numbers(desk, kind="out") == [1, 3, 6, 8]
    assert numbers(desk, kind="all") == list(range(9))
    assert numbers(desk, kind="stage", stage="tags") == [8]
    assert numbers(desk, kind="stage", stage="resolution") == [1, 3, 6]
    assert numbers(desk, kind="stage", stage="resolution", reason="short side below 30") == [1, 3, 6]
    assert numbers(desk, kind="stage", stage="resolution", reason="another") == []
    assert numbers(desk, kind="author", author="author 1") == [1, 3, 5, 7]
    assert desk.index().authors("THOR 1") == ["Author 1", "author 1"]


def test_near_a_threshold_the_nearest_come_first_from_both_sides(desk):
    assert desk.index().cuts["resolution"] == 30.0
    assert numbers(desk, kind="near", stage="resolution")[:4] == [5, 6, 2, 3]  # 31, 29, 32, 24


def test_any_score_sorts_any_list_and_what_has_none_comes_last(desk):
    order = sorted(range(8), key=lambda at: SIDES[at])
    assert numbers(desk, kind="all", sort="resolution") == [*order, 8]
    assert numbers(desk, kind="all", sort="resolution", down=True) == [*order[::-1], 8]
    assert numbers(desk, kind="in", sort="resolution") == [at for at in order if SIDES[at] >= 30]
    assert numbers(desk, kind="all", down=True) == list(range(8, -1, -1))


def test_the_sample_is_in_random_order_and_blind(desk):
    ids = [f"t:{at}" for at in range(9)]
    assert numbers(desk, kind="sample") == in_random_order(ids).tolist()
    decide(desk, {0: REJECT}, "bert")
    told = desk.open_list(Query("sample"), "anna")
    for item in [*told["first"], *desk.items(told["list"], 0, 9, "anna")]:
        assert not {"said", "others", "kept"} & set(item)
    assert {"said", "others", "kept"} <= set(desk.open_list(Query("all"), "anna")["first"][0])


def test_lists_follow_the_reviews(desk):
    decide(desk, {0: REJECT, 1: KEEP, 2: FLAG, 8: KEEP})
    decide(desk, {8: REJECT, 4: KEEP}, "bert")
    assert numbers(desk, kind="in", undecided=False) == [1, 2, 4, 5, 7]
    assert numbers(desk, kind="in") == [4, 5, 7], "of these anna has decided two"
    assert numbers(desk, "bert", kind="in") == [1, 2, 5, 7]
    assert numbers(desk, kind="keep", undecided=False) == [1, 4]
    assert numbers(desk, kind="reject", undecided=False) == [0, 8]
    assert numbers(desk, kind="flag", undecided=False) == [2]
    assert numbers(desk, kind="disagreements", undecided=False) == [8]
    assert desk.counts("anna")["disagreements"] == 1
    assert (desk.counts("anna")["mine"], desk.counts("bert")["mine"]) == (4, 2)
    (item,) = desk.open_list(Query("disagreements", undecided=False), "anna")["first"]
    assert (item["mine"], item["others"]) == ("keep", {"bert": "reject"})
    decide(desk, {8: UNDECIDED}, "bert")
    assert numbers(desk, kind="disagreements", undecided=False) == []


def test_an_open_list_stays_as_it_is_while_it_is_reviewed(desk):
    told = desk.open_list(Query("in"), "anna")
    decide(desk, {0: REJECT, 2: KEEP})
    items = desk.items(told["list"], 0, 100, "anna")
    assert [(one["id"], one["mine"]) for one in items[:3]] == [("t:0", "reject"), ("t:2", "keep"), ("t:4", None)]
    assert desk.open_list(Query("in", undecided=False), "anna")["decided"] == 1


def test_only_so_many_lists_stay_open(desk):
    first = desk.open_list(Query(), "anna")["list"]
    second = desk.open_list(Query(), "anna")["list"]
    for _ in range(desks.LISTS_KEPT - 1):
        desk.items(second, 0, 1, "anna")
        desk.open_list(Query(), "anna")
    with pytest.raises(GoneError):
        desk.items(first, 0, 1, "anna")
    assert desk.items(second, 0, 1, "anna")


def test_what_the_filters_say_is_told_of_each_photo(desk):
    items = {one["id"]: one for one in desk.open_list(Query("all"), "anna")["first"]}
    assert [(one["stage"], one["state"], one["reason"]) for one in items["t:8"]["said"]] == [
        ("tags", "rejected", "tag: wedding")
    ]
    assert [(one["state"], one["value"]) for one in items["t:1"]["said"]] == [("kept", 0.0), ("rejected", 10.0)]
    stages = {one["name"]: one for one in desk.start("anna")["stages"]}
    assert stages["resolution"]["reasons"] == [["short side below 30", 3]]
    assert (stages["resolution"]["out"], stages["resolution"]["cut"]) == (3, 30.0)
    assert stages["tags"]["cut"] == 0.5


def test_a_new_threshold_and_new_photos_show_in_the_next_list(desk):
    decide(desk, {0: KEEP})
    open_ = desk.open_list(Query("in"), "anna")["list"]
    recipes.save(desk.root, RECIPE.with_step(Step("resolution", {"min_side": 45})))
    assert desk.items(open_, 0, 1, "anna"), "an open list stays"
    assert numbers(desk) == [4, 7]
    dataset = Dataset.open(desk.root)
    with dataset.store.batch() as batch:
        stored = batch.add(picture(99, (70, 70)), "jpg")
    photo = dataset.photos_table.read().slice(0, 1).to_pylist()[0]
    file = dataset.files_table.read().slice(0, 1).to_pylist()[0]
    new = {**photo, "photo_id": "t:99"}
    dataset.photos_table.append(pa.Table.from_pylist([new], schema=schema.PHOTOS))
    facts = {**file, "photo_id": "t:99", "sha256": stored.sha256, "path": stored.path, "width": 70, "height": 70}
    dataset.files_table.append(pa.Table.from_pylist([{**facts, "fetched_at": NOW}], schema=schema.FILES))
    assert numbers(desk) == [4, 7, 99]
    assert numbers(desk, kind="in", undecided=False) == [0, 4, 7, 99], "reviewed before the new threshold"


def test_what_was_taken_down_is_gone_at_once_and_cannot_be_decided(desk):
    decide(desk, {0: KEEP, 2: REJECT})
    listed = desk.open_list(Query("in"), "anna")["list"]
    sha256 = next(iter(desk.index().row_of_file))
    remove.run(Dataset.open(desk.root), Request(ids=("t:0",)))
    assert desk.index().path(sha256) is None
    with pytest.raises(GoneError):
        desk.items(listed, 0, 1, "anna")
    with pytest.raises(GoneError):
        decide(desk, {0: KEEP})
    assert desk.counts("anna")["mine"] == 1
    undone = desk.reviews.undo("anna", next(TOKENS))
    assert undone is not None
    assert undone.photo_id == "t:2"
    assert b"t:0" not in b"".join(path.read_bytes() for path in desk.root.glob(f"{reviews.NAME}*"))


def test_a_take_down_in_the_moment_of_deciding_wins(desk, monkeypatch):
    write = reviews.Reviews.decide

    def take_down_first(self, photo_id, *more):
        monkeypatch.setattr(reviews.Reviews, "decide", write)
        remove.run(Dataset.open(desk.root), Request(ids=(photo_id,)))
        return write(self, photo_id, *more)

    monkeypatch.setattr(reviews.Reviews, "decide", take_down_first)
    with pytest.raises(GoneError):
        decide(desk, {4: KEEP})
    assert "t:4" not in reviews.load(desk.root).standing


def test_a_photo_that_is_not_in_the_dataset_cannot_be_decided(desk):
    for photo_id in ("t:100", "", "../t:1", "t:1 "):
        with pytest.raises(GoneError):
            desk.decide(photo_id, "anna", KEEP, next(TOKENS))


def test_closing_notes_the_reviews_in_the_recipe(tmp_path):
    root = dataset_of(tmp_path / "d", [{}, {}]).root
    recipes.save(root, RECIPE)
    desk = Desk(root, "curated")
    decide(desk, {0: REJECT})
    desk.close()
    saved = recipes.load(root, "curated")
    assert saved is not None
    assert saved.reviews == reviews.load(root).sha256() is not None


def test_a_dataset_without_a_recipe_or_photos_can_be_reviewed(tmp_path):
    Dataset.open_or_create(tmp_path / "empty", "test")
    desk = Desk(tmp_path / "empty", "curated")
    assert desk.start("anna")["photos"] == 0
    for kind in Kind.__args__:  # every list that the page may ask for
        if kind not in ("stage", "near"):
            assert desk.open_list(Query(kind), "anna")["total"] == 0
    assert desk.agreement()["filters"] == []
    desk.close()


def test_a_stage_that_is_not_in_the_recipe_is_no_list(desk):
    for query in (Query("stage", stage="invariance"), Query("near"), Query("all", sort="nothing")):
        with pytest.raises(KeyError):
            desk.open_list(query, "anna")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://a.org/x?y=1", "https://a.org/x?y=1"),
        (" http://a.org ", "http://a.org"),
        ("HTTPS://a.org", "HTTPS://a.org"),
        ("javascript:alert(1)", None),
        (" java\tscript:alert(1)", None),
        ("data:text/html,<script>1</script>", None),
        ("//a.org/x", None),
        ("/x", None),
        ("https:///x", None),
        ("http://[", None),
        ("", None),
        (None, None),
    ],
)
def test_only_addresses_of_the_web_become_links(url, wanted):
    assert web_link(url) == wanted
