"""Attribution and card count photos and pictures, and say what is not known."""

from __future__ import annotations

from pipelines.export import rights
from pipelines.export.format import Member


def test_a_card_counts_photos_and_pictures_and_unknown_licences_aloud():
    facts = {"dataset": "d", "subset": "s", "resolution": 8, "crops": 3, "toolkit": "0", "subset_hash": "h"}
    licences = ("LicenseRef-unknown", "CC0-1.0", "CC0-1.0")
    members = [Member({"license": one}, tuple("abc")) for one in licences]
    card = rights.card(facts, "a box", members, enlarged=0, left_out=0).decode()
    assert "9 pictures of 8x8 pixels (PNG, sRGB, 8 bit) from 3 photos, in a box." in card
    assert "the centre square and 2 more squares of random place and size" in card
    assert "| CC0-1.0 | 2 | 6 |" in card
    assert "| LicenseRef-unknown | 1 | 3 |" in card
    assert "1 photos have no known licence" in card
