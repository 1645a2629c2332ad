"""Addresses of one photo or one person compare equal, those of two do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.addresses import author_key, photo_key

SAME_PHOTO = [
    [
        "https://unsplash.com/photos/a-lake-in-the-alps-NqkTxxK_2ZY",
        "http://www.unsplash.com/photos/NqkTxxK_2ZY/?utm_source=lhq&utm_medium=referral",
        "https://unsplash.com/photos/NqkTxxK_2ZY/download?ixid=abc#top",
    ],
    ["https://unsplash.com/photos/a-b-x-YzkT-xK_2Z0", "https://unsplash.com/photos/x-YzkT-xK_2Z0"],
    [
        "https://images.unsplash.com/photo-1687360440731-d124aea41a3e?ixid=M3wy&ixlib=rb-4",
        "https://images.unsplash.com/photo-1687360440731-d124aea41a3e?q=80&w=2070&auto=format",
        " https://IMAGES.unsplash.com:443/photo-1687360440731-d124aea41a3e ",
    ],
    [
        "https://www.flickr.com/photos/1234@N01/53001/",
        "https://flickr.com/photos/some%20body/53001/in/photolist-2nX",
        "https://live.staticflickr.com/65535/53001_ab12cd_k.jpg",
        "https://farm66.staticflickr.com/65535/53001_0011aa.jpg",
        "https://live.staticflickr.com/65535/53001_ab12cd_o.png",
    ],
    ["https://example.org/a%20lake?b=2&a=1&utm_campaign=x", "http://example.org/a lake/?a=1&b=2#foot"],
    ["https://example.org", "http://www.example.org./"],
]

OTHER_PHOTO = [
    ("https://unsplash.com/photos/NqkTxxK_2ZY", "https://unsplash.com/photos/nqktxxk_2zy"),
    ("https://example.org/photo?id=1", "https://example.org/photo?id=2"),
    ("https://example.org/photo", "https://example.org:8080/photo"),
    ("https://example.org/a", "https://example.com/a"),
    ("https://www.flickr.com/photos/u/53001", "https://www.flickr.com/photos/u/53002"),
    ("https://www.flickr.com/photos/u/53001", "https://www.flickr.com/photos/u/albums/53001"),
    ("https://images.unsplash.com/photo-1", "https://images.unsplash.com/photo-2"),
]


@pytest.mark.parametrize("urls", SAME_PHOTO)
def test_addresses_of_one_photo_have_one_key(urls: list[str]) -> None:
    assert len({photo_key(url) for url in urls}) == 1
    assert photo_key(urls[0]) is not None


@pytest.mark.parametrize(("one", "other"), OTHER_PHOTO)
def test_addresses_of_two_photos_have_two_keys(one: str, other: str) -> None:
    assert photo_key(one) != photo_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://unsplash.com/@Anna?utm_source=x", "http://www.unsplash.com/@anna/"),
        ("https://unsplash.com/%40anna", "https://unsplash.com/@anna"),
        ("https://www.flickr.com/people/1234@N01/", "https://www.flickr.com/photos/1234@n01"),
    ],
)
def test_addresses_of_one_author_have_one_key(one: str, other: str) -> None:
    assert author_key(one) == author_key(other) is not None


def test_addresses_of_two_authors_have_two_keys() -> None:
    assert author_key("https://unsplash.com/@anna") != author_key("https://unsplash.com/@hannah")
    assert author_key("https://www.flickr.com/people/a") != author_key("https://www.flickr.com/people/b")


@pytest.mark.parametrize("text", ["", "unsplash.com/photos/x", "ftp://a.org/x", "https://", "https://[::1/x", "Anna"])
def test_what_is_no_address_has_no_key(text: str) -> None:
    assert photo_key(text) is None
    assert author_key(text) is None


@given(st.text(max_size=40), st.sampled_from(["https://example.org/", "https://unsplash.com/photos/", "https://"]))
def test_any_text_has_a_key_or_none_and_the_key_is_one_of_its_own(text: str, before: str) -> None:
    key = photo_key(before + text)
    assert key is None or key.partition("/")[0]
    author_key(before + text)
