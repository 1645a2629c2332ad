"""The card of an export says what the terms of its sources ask for."""

from __future__ import annotations

import pytest

from manifests.licenses import FLICKR_NOTICE
from pipelines.export.card import Content, card
from pipelines.export.format import TRAIN, Member

FACTS = {
    **{"dataset": "d", "subset": "curated", "subset_hash": "0" * 64, "toolkit": "0", "format": "folder"},
    **{
        "picture": "png",
        "crops": 1,
        "resolution": 256,
        "exact": False,
        "lhq": False,
        "validation": 0,
        "own_use": False,
    },
}


@pytest.mark.parametrize(("sources", "said"), [(["folder", "flickr"], True), (["folder", "unsplash"], False)])
def test_where_a_photo_came_through_flickrs_api_its_notice_stands(sources, said):
    members = [
        Member({"photo_id": f"{source}:1", "source": source, "license": "CC0-1.0"}, (f"{source}.png",))
        for source in sources
    ]
    text = card(Content(FACTS, "images/", members, {"images/0.png": TRAIN})).decode()
    assert (FLICKR_NOTICE in text) is said
