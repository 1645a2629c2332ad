"""Attribution and card count photos and pictures, and say what is not known."""

from __future__ import annotations

from pipelines.export.card import Content, card
from pipelines.export.format import Member
from pipelines.export.wanted import Wanted


def member(**row: object) -> Member:
    """A photo with three pictures."""
    known = {"photo_id": "p", "source": "folder", "license": "CC0-1.0", "file_width": 9, "file_height": 9}
    return Member({**known, **row}, ("images/0.png", "images/1.png", "images/2.png"))


def test_a_card_counts_photos_and_pictures_and_unknown_licences_aloud():
    facts = {"dataset": "d", "subset": "s", "toolkit": "0", "subset_hash": "h", **Wanted("folder", 8, 3).facts()}
    members = [member(license=one) for one in ("LicenseRef-unknown", "CC0-1.0", "CC0-1.0")]
    text = card(Content(facts, "a box", members, {"images/0.png": "train"})).decode()
    assert "9 pictures of 8x8 pixels (PNG, sRGB, 8 bit) from 3 photos, in a box." in text
    assert "the centre square and 2 more squares of random place and size" in text
    assert "| CC0-1.0 | 2 | 6 |" in text
    assert "| LicenseRef-unknown | 1 | 3 |" in text
    assert "The licence of 1 photo is unknown" in text
