"""Precision and recall are those of a fair sample, with Wilson's intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reviewing import dataset_of
from scipy.stats import binomtest, chisquare

from manifests.recipes import Recipe, Step
from manifests.reviews import FLAG, KEEP, REJECT, UNDECIDED, Reviews
from pipelines.agreement import ALL, Share, agreement, in_random_order
from pipelines.funnel import walk

RECIPE = Recipe("curated", (Step("tags", {}), Step("resolution", {"min_side": 30})))
COUNT = 40


@given(st.integers(1, 500), st.data())
def test_intervals_are_those_of_scipy(of, data):
    hits = data.draw(st.integers(0, of))
    wanted = binomtest(hits, of).proportion_ci(method="wilson")
    np.testing.assert_allclose(Share(hits, of).interval, (wanted.low, wanted.high), atol=1e-12)


def test_of_nothing_nothing_is_known():
    assert Share(0, 0).value is None
    assert Share(0, 0).interval == (0.0, 1.0)


def test_the_random_order_hangs_on_the_ids_alone_and_favours_no_place():
    ids = [f"t:{at}" for at in range(20_000)]
    order = in_random_order(ids)
    assert sorted(order) == list(range(20_000))
    turned = in_random_order(ids[::-1])
    assert [ids[::-1][at] for at in turned[:50]] == [ids[at] for at in order[:50]]
    counts, _ = np.histogram(order[:4000], bins=20, range=(0, 20_000))
    assert chisquare(counts).pvalue > 1e-3


def tagged(at: int) -> bool:
    return at % 2 == 0


def small(at: int) -> bool:
    return at % 5 == 0


def bad(at: int) -> bool:
    """What the person rejects."""
    return at % 3 == 0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    photos = [
        {"tags": ["wedding"] if tagged(at) else [], "size": (20, 20) if small(at) else (60, 40)} for at in range(COUNT)
    ]
    return dataset_of(tmp_path / "d", photos).root


def judge(root: Path, verdicts: dict[int, str]):
    from manifests.dataset import Dataset

    with Reviews(root) as book:
        for at, verdict in verdicts.items():
            book.decide(f"t:{at}", "anna", verdict, f"token {at} {verdict}")
    return agreement(walk(Dataset.open(root), RECIPE))


def order() -> list[int]:
    return in_random_order([f"t:{at}" for at in range(COUNT)]).tolist()


def test_each_filter_is_judged_on_what_reached_it_and_all_together_on_all(root):
    sample = order()[:25]
    found = judge(root, {at: REJECT if bad(at) else KEEP for at in sample})
    assert (found.photos, found.sampled, found.flagged) == (COUNT, 25, 0)
    told = {one.filter: one for one in found.filters}
    for name, rejects, reached in (
        ("tags", tagged, sample),
        ("resolution", small, [at for at in sample if not tagged(at)]),
        (ALL, lambda at: tagged(at) or small(at), sample),
    ):
        rejected, wrong = {at for at in reached if rejects(at)}, {at for at in reached if bad(at)}
        assert told[name].precision == Share(len(rejected & wrong), len(rejected)), name
        assert told[name].recall == Share(len(rejected & wrong), len(wrong)), name
        assert rejected, "a sample that says something"


def test_the_sample_ends_at_the_first_photo_without_a_verdict(root):
    first = order()
    verdicts = dict.fromkeys(first[:10] + first[20:30], KEEP)  # the later ones from another list, say
    assert judge(root, verdicts).sampled == 10
    assert judge(root, {first[4]: UNDECIDED}).sampled == 4


def test_flagged_photos_are_counted_but_judge_nothing(root):
    first = order()
    found = judge(root, {at: FLAG if number == 3 else REJECT for number, at in enumerate(first[:8])})
    assert (found.sampled, found.flagged) == (8, 1)
    assert {one.filter: one.recall.of for one in found.filters}[ALL] == 7


def test_reviews_do_not_count_as_what_the_filters_said(root):
    first = order()
    good = [at for at in first[:12] if not tagged(at) and not small(at)]
    found = judge(root, dict.fromkeys(first[:12], REJECT))
    assert {one.filter: one.recall for one in found.filters}[ALL] == Share(12 - len(good), 12)
