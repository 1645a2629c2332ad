"""The Unsplash source finds exactly what the search has, asks no page twice, and keeps to the API's guidelines."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from apis import rows_of, unsplash_of
from fakes import FakeWeb, Plan, World
from fakes.faults import UNSPLASH_API, UNSPLASH_IMAGES, everything
from fakes.messages import Reply, as_json
from fakes.unsplash import KEY, PAGES, ixid
from fakes.world import UNSPLASH, queries, scatter, unwanted
from hypothesis import given
from hypothesis import strategies as st
from listing import Unread, list_all, photos_by_id, queries_by_id

from manifests.errors import InputError, SetupError, TransientError
from manifests.records import Photo
from pipelines.sources.base import Found, RefusedError, UnavailableError
from pipelines.sources.unsplash import Unsplash, sized

QUERIES = queries(6)


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.add(scatter(UNSPLASH, 250, QUERIES))
    world.add(unwanted(20, QUERIES))
    return world


def _as_asked(photo: Photo) -> Mapping[str, Any]:
    return {name: getattr(photo, name) for name in ("photo_id", "image_url", "width", "height", "extra")}


# Listing.


def test_all_that_the_queries_find_is_listed_once_per_query_and_nothing_else(web: FakeWeb, tmp_path: Path) -> None:
    source = unsplash_of(web, tmp_path, QUERIES)
    pages = list_all(source)
    assert queries_by_id(pages) == web.world.wanted(QUERIES)
    assert {one.item for one in web.log} == {page for one in QUERIES for page in _pages_of(web.world, one)}
    assert len(web.log) == len({one.item for one in web.log})
    assert {one.headers["Accept-Version"] for one in web.log} == {"v1"}
    assert not [one for one in web.log if KEY in one.target]
    left_out = [shot.kind for shot in web.world.shots.values() for _ in shot.queries if shot.kind != "photo"]
    assert source.notes() == [
        f"left out: advertisements ({left_out.count('sponsored')})",
        f"left out: premium photos ({left_out.count('premium')})",
    ]


def _pages_of(world: World, query: str) -> list[str]:
    """The items of the requests that read a query to its empty page."""
    return [f"search {query} {page + 1}" for page in range(-(-len(world.find_unsplash(query)) // 30) + 1)]


def test_ranks_are_places_in_the_search(web: FakeWeb, tmp_path: Path) -> None:
    query = QUERIES[2]
    found: list[Found] = [one for page in list_all(unsplash_of(web, tmp_path, [query])) for one in page.found]
    places = {shot.photo_id: place for place, shot in enumerate(web.world.find_unsplash(query))}
    assert [(one.photo.photo_id, one.rank) for one in found] == [
        (photo_id, place) for photo_id, place in places.items() if web.world.shots[photo_id].kind == "photo"
    ]
    assert all(one.brief for one in found)


def test_with_every_fault_on_the_same_is_found(world: World, tmp_path: Path) -> None:
    with FakeWeb(world, everything(3, passing=0.5, seconds=0.2)) as web:
        assert queries_by_id(list_all(unsplash_of(web, tmp_path, QUERIES))) == world.wanted(QUERIES)
        faults = web.faults()
        assert set(faults) >= {"rate_limit", "too_many", "too_many_retry_after", "server_error", "cut", "reset"}
        answered = [one.item for one in web.log if one.status == 200 and one.fault in ("", "stale_quota", "slow")]
        assert len(answered) == len(set(answered))


def test_a_stale_quota_header_stops_nothing(world: World, tmp_path: Path) -> None:
    plan = everything(3, passing=1.0)
    plan = Plan([one for one in plan.faults if one.kind == "stale_quota"])
    with FakeWeb(world, plan) as web:
        source = unsplash_of(web, tmp_path, QUERIES[:2])
        list_all(source)
        assert web.faults()["stale_quota"] == len(web.log) > 4
        assert sum(source._api.clock.waits) == 0  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_search_ends_at_the_apis_last_page(tmp_path: Path) -> None:
    world = World()
    world.add(scatter(UNSPLASH, 6100, ["sea"]))
    with FakeWeb(world) as web:
        assert len(queries_by_id(list_all(unsplash_of(web, tmp_path, ["sea"])))) == PAGES * 30
        assert len(web.log) == PAGES + 1


@pytest.mark.parametrize("read", [0, 1, 4, 17])
def test_a_crawl_that_was_killed_goes_on_where_it_stopped(web: FakeWeb, read: int, tmp_path: Path) -> None:
    """The page in flight is the only one that is asked again."""
    listing, before = Unread(), []
    for page in islice(unsplash_of(web, tmp_path, QUERIES).pages(listing), read):
        listing.commit(page)
        before.append(page)
    after = list_all(unsplash_of(web, tmp_path, QUERIES), listing)
    assert queries_by_id(before + after) == web.world.wanted(QUERIES)
    assert len(web.log) == len({one.item for one in web.log})
    asked = len(web.log)
    assert list_all(unsplash_of(web, tmp_path, QUERIES), listing) == []
    assert len(web.log) == asked


def test_a_query_that_is_flagged_is_recorded_told_and_never_asked_again(web: FakeWeb, tmp_path: Path) -> None:
    listing = Unread()
    web.world.spam.add(QUERIES[1])
    try:
        first, second = (unsplash_of(web, tmp_path, QUERIES) for _ in range(2))
        found = queries_by_id(list_all(first, listing))
        assert found == web.world.wanted([one for one in QUERIES if one != QUERIES[1]])
        assert list_all(second, listing) == []
    finally:
        web.world.spam.clear()
    for source in (first, second):
        assert f"query {QUERIES[1]!r} is refused by Unsplash: Query flagged as spam" in source.notes()
    assert [one.status for one in web.log].count(410) == 1


def test_a_wrong_key_stops_with_a_word_that_names_its_variable(web: FakeWeb, tmp_path: Path) -> None:
    web.script = lambda place, request: as_json({"errors": ["OAuth error: The access token is invalid"]}, 401)
    with pytest.raises(SetupError, match="UNSPLASH_ACCESS_KEY") as caught:
        list_all(unsplash_of(web, tmp_path, QUERIES))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("status", [403, 404, 405, 301])
def test_a_server_that_is_not_the_api_stops_the_run_and_marks_no_query(
    web: FakeWeb, status: int, tmp_path: Path
) -> None:
    web.script = lambda place, request: Reply(status, b"<html>", "text/html")
    listing = Unread()
    with pytest.raises(SetupError, match=f"HTTP {status}"):
        list_all(unsplash_of(web, tmp_path, QUERIES), listing)
    assert listing.cursors == {}


def test_a_down_api_ends_the_listing_for_this_run(web: FakeWeb, tmp_path: Path) -> None:
    web.script = lambda place, request: Reply(502)
    with pytest.raises(TransientError):
        list_all(unsplash_of(web, tmp_path, QUERIES))


# Rows.


def test_every_row_has_its_rights_and_what_a_download_needs(web: FakeWeb, tmp_path: Path) -> None:
    for photo in photos_by_id(list_all(unsplash_of(web, tmp_path, QUERIES))).values():
        shot = web.world.shots[photo.photo_id]
        assert (photo.license, photo.license_url) == ("LicenseRef-Unsplash", "https://unsplash.com/license")
        assert photo.author in (shot.author, "Ansel")  # some tell a first name alone
        assert photo.author_url
        assert photo.page_url == f"https://unsplash.com/photos/a-picture-{shot.id}"
        credit = photo.attribution or ""
        assert (photo.author or "?") in credit
        assert "Unsplash License (https://unsplash.com/license)" in credit
        assert f"{photo.page_url}?utm_source=lhq_toolkit&utm_medium=referral" in credit
        assert (photo.width, photo.height) == shot.promised
        assert photo.uploaded_at is not None
        assert photo.uploaded_at.tzinfo is not None
        assert f"ixid={ixid(shot)}" in str(photo.image_url)
        assert json.loads(photo.extra)["download_location"].endswith(f"/photos/{shot.id}/download?ixid={ixid(shot)}")


def test_a_row_of_nulls_is_a_photo_as_long_as_it_has_an_id_and_an_address(web: FakeWeb, tmp_path: Path) -> None:
    bare = {"id": "abc", "urls": {"raw": "https://images.unsplash.com/photo-1?ixid=a"}}
    nothing = dict.fromkeys(["width", "height", "user", "links", "tags", "created_at", "description", "premium"])
    rows = [
        bare,
        {**bare, **nothing, "id": "abd"},
        {"id": "x"},
        {"urls": bare["urls"]},
        None,
        [],
        {**bare, "id": "a/b"},
    ]
    replies = [as_json({"results": rows}), as_json({"results": []})]
    web.script = lambda place, request: replies.pop(0)
    source = unsplash_of(web, tmp_path, ["lake"])
    photos = photos_by_id(list_all(source))
    assert sorted(photos) == ["unsplash:abc", "unsplash:abd"]
    assert (
        photos["unsplash:abc"].attribution
        == "Untitled, author unknown, Unsplash License (https://unsplash.com/license)"
    )
    assert source.notes() == ["left out: rows without an id or an address (5)"]


# Full tags.


def test_full_tags_are_asked_for_once_per_photo_and_resumed(web: FakeWeb, tmp_path: Path) -> None:
    listing = Unread()
    found = photos_by_id(list_all(unsplash_of(web, tmp_path, QUERIES[:2]), listing))
    asked = len(web.log)
    listing.rows = rows_of(found.values())
    for page in islice(unsplash_of(web, tmp_path, QUERIES[:2], full_tags=True).pages(listing), 10):
        found |= photos_by_id([page])
        listing.commit(page)
    listing.rows = rows_of(found.values())
    pages = list_all(unsplash_of(web, tmp_path, QUERIES[:2], full_tags=True), listing)
    found |= photos_by_id(pages)
    details = [one.item for one in web.log[asked:]]
    assert sorted(details) == sorted(f"details {photo.source_id}" for photo in found.values())
    assert all(one.query is None and not one.brief for page in pages for one in page.found)
    for photo_id, photo in found.items():
        assert photo.tags_raw == web.world.shots[photo_id].tags
        assert json.loads(photo.extra)["full_tags"] is True
        assert json.loads(photo.extra)["download_location"]


def test_a_photo_that_vanished_meanwhile_is_marked_and_one_that_is_kept_back_is_left(
    web: FakeWeb, tmp_path: Path
) -> None:
    listing = Unread()
    found = photos_by_id(list_all(unsplash_of(web, tmp_path, QUERIES[:1]), listing))
    listing.rows = rows_of(found.values())
    gone, kept_back = sorted(found)[:2]
    web.world.gone.add(gone)
    web.script = lambda place, request: (
        as_json({"errors": ["No"]}, 403) if request.path.endswith(f"/{found[kept_back].source_id}") else None
    )
    try:
        after = photos_by_id(list_all(unsplash_of(web, tmp_path, QUERIES[:1], full_tags=True), listing))
    finally:
        web.world.gone.clear()
    assert json.loads(after[gone].extra)["gone"] is True
    assert "gone" not in json.loads(after[kept_back].extra)
    assert after[kept_back].tags == found[kept_back].tags
    assert len(after) == len(found)


def test_recheck_marks_what_is_gone_and_unmarks_what_came_back(web: FakeWeb, tmp_path: Path) -> None:
    found = photos_by_id(list_all(unsplash_of(web, tmp_path, QUERIES[:1])))
    gone = sorted(found)[3]
    web.world.gone.add(gone)
    try:
        rows, listing = _rechecked(web, tmp_path, found)
        assert [one for one, photo in rows.items() if json.loads(photo.extra).get("gone")] == [gone]
        assert set(listing.cursors) == {"recheck"}
    finally:
        web.world.gone.clear()
    rows, _ = _rechecked(web, tmp_path, rows)
    assert not [one for one, photo in rows.items() if json.loads(photo.extra).get("gone")]
    assert len(rows) == len(found)


def test_recheck_tells_what_is_now_sold(web: FakeWeb, tmp_path: Path) -> None:
    found = photos_by_id(list_all(unsplash_of(web, tmp_path, QUERIES[:1])))
    sold = sorted(found)[0]
    shot = web.world.shots[sold]
    web.world.shots[sold] = dataclasses.replace(shot, kind="premium")
    try:
        rows, _ = _rechecked(web, tmp_path, found)
    finally:
        web.world.shots[sold] = shot
    assert [one for one, photo in rows.items() if json.loads(photo.extra).get("premium")] == [sold]


def _rechecked(web: FakeWeb, state: Path, photos: Mapping[str, Photo]) -> tuple[dict[str, Photo], Unread]:
    listing = Unread(rows=rows_of(photos.values()))
    pages = []
    for page in islice(unsplash_of(web, state, []).recheck(listing), 5):
        listing.commit(page)
        pages.append(page)
    rest = list(unsplash_of(web, state, []).recheck(listing))  # as after a kill
    assert len(pages) + len(rest) == len(photos)
    return photos_by_id(pages + rest), listing


# Downloads.


def test_without_permission_nothing_is_downloaded_and_it_says_why(web: FakeWeb, tmp_path: Path) -> None:
    assert "unsplash-dataset" in str(unsplash_of(web, tmp_path, QUERIES, permission=False).no_download)
    assert unsplash_of(web, tmp_path, QUERIES).no_download is None


def test_a_download_is_announced_exactly_as_the_api_said(web: FakeWeb, tmp_path: Path) -> None:
    source = unsplash_of(web, tmp_path, QUERIES[:1])
    photo = next(iter(photos_by_id(list_all(source)).values()))
    asked = len(web.log)
    assert source.prepare(_as_asked(photo)) == photo.image_url
    (ping,) = web.log[asked:]
    assert web.url(UNSPLASH_API) + ping.target == json.loads(photo.extra)["download_location"]
    assert ping.status == 200


@pytest.mark.parametrize("query", ["a=%2Fb%20c&d=&e", "ixid=A%2bB~c;d", "q=%C3%A9"])
def test_whatever_the_query_of_a_download_location_it_is_kept(web: FakeWeb, query: str, tmp_path: Path) -> None:
    place = f"{web.url(UNSPLASH_API)}/photos/x/download?{query}"
    web.script = lambda place, request: as_json({"url": "https://images.unsplash.com/x"})
    photo = {"photo_id": "unsplash:x", "image_url": "https://i", "extra": json.dumps({"download_location": place})}
    unsplash_of(web, tmp_path, []).prepare(photo)
    assert web.url(UNSPLASH_API) + web.log[0].target.replace("%2B", "%2b") == place


@pytest.mark.parametrize(
    "place", ["https://evil.example/photos/x/download", "IMAGES/photos/x", "file:///x", "", None, 7]
)
def test_a_download_location_elsewhere_is_refused_and_not_asked(web: FakeWeb, place: Any, tmp_path: Path) -> None:
    place = place.replace("IMAGES", web.url(UNSPLASH_IMAGES)) if isinstance(place, str) else place
    photo = {"photo_id": "unsplash:x", "image_url": "https://i", "extra": json.dumps({"download_location": place})}
    with pytest.raises(InputError):
        unsplash_of(web, tmp_path, []).prepare(photo)
    assert web.log == []


def test_a_download_of_a_photo_that_is_gone_is_final_and_of_a_down_api_is_not(web: FakeWeb, tmp_path: Path) -> None:
    source = unsplash_of(web, tmp_path, QUERIES[:1])
    photo = next(iter(photos_by_id(list_all(source)).values()))
    web.script = lambda place, request: as_json({"errors": ["Couldn't find Photo"]}, 404)
    with pytest.raises(RefusedError, match="Couldn't find Photo") as caught:
        source.prepare(_as_asked(photo))
    assert caught.value.http_status == 404
    web.script = lambda place, request: Reply(503)
    with pytest.raises(UnavailableError):
        source.prepare(_as_asked(photo))


def test_a_smaller_picture_is_asked_for_by_parameters_of_the_raw_address(web: FakeWeb, tmp_path: Path) -> None:
    source = unsplash_of(web, tmp_path, QUERIES[:1], max_side=1024)
    photo = next(iter(photos_by_id(list_all(source)).values()))
    url = source.prepare(_as_asked(photo))
    asked = parse_qs(urlsplit(str(url)).query)
    assert asked["w"] == asked["h"] == ["1024"]
    assert asked["fit"] == ["max"]
    assert asked["ixid"] == parse_qs(urlsplit(str(photo.image_url)).query)["ixid"]


@given(
    kept=st.lists(st.tuples(st.sampled_from("abcxyz"), st.text(max_size=5)), max_size=4),
    side=st.one_of(st.none(), st.integers(1, 9999)),
)
def test_sizing_keeps_every_other_parameter(kept: list[tuple[str, str]], side: int | None) -> None:
    for query in ("", "w=9&fit=crop"):
        raw = "https://images.unsplash.com/photo-1" + ("?" if kept or query else "")
        raw += "&".join(part for part in (urlencode(kept), query) if part)
        url = sized(raw, side)
        if side is None:
            assert url == raw
            continue
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        assert pairs[: len(kept)] == kept
        assert dict(pairs[len(kept) :]) == {"fm": "jpg", "q": "95", "w": str(side), "h": str(side), "fit": "max"}


def test_the_source_is_named_and_stops(web: FakeWeb, tmp_path: Path) -> None:
    source = unsplash_of(web, tmp_path, QUERIES)
    assert Unsplash.name == "unsplash"
    source.stop()
    web.script = lambda place, request: Reply(503)
    with pytest.raises(UnavailableError, match="stopped"):
        list_all(source)
    assert len(web.log) == 1
