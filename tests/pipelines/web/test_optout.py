"""Which answers keep us off a picture."""

from __future__ import annotations

import pytest

from pipelines.web.optout import opted_out


@pytest.mark.parametrize(
    ("tags", "signal"),
    [
        (["noai"], "noai"),
        (["NoImageAI"], "noimageai"),
        (["noindex, nofollow"], "noindex"),
        (["nofollow", "all, noimageindex"], "noimageindex"),
        (["max-image-preview: large, noml"], "noml"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["lhq-toolkit: noai"], "noai"),
        (["LHQToolkit: noindex, nofollow"], "noindex"),
        (["*: noml"], "noml"),
        (["otherbot: noindex, lhq-toolkit: noai"], "noai"),
    ],
)
def test_a_signal_for_everyone_or_for_us_counts(tags, signal):
    assert opted_out(tags, None) == f"X-Robots-Tag: {signal}"


@pytest.mark.parametrize(
    "tags",
    [
        [],
        [""],
        ["all"],
        ["nofollow"],
        ["otherbot: noai"],
        ["otherbot: nofollow, noindex"],
        ["noaix"],
        ["max-snippet: 0"],
    ],
)
def test_other_words_and_words_for_others_do_not(tags):
    assert opted_out(tags, None) is None


def test_the_reservation_of_text_and_data_mining_counts_where_it_is_made():
    assert opted_out([], "1") == opted_out([], " 1 ") == "TDM-Reservation: 1"
    assert opted_out([], "0") is opted_out([], None) is None
