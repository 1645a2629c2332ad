"""The Flickr source finds all that is under the licences asked for, whatever the search's quirks."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from apis import flickr_of, rows_of
from fakes import FakeWeb, Plan, World
from fakes.faults import FLICKR_API, everything
from fakes.flickr import KEY, LICENSES, SECRET, sizes
from fakes.images import bytes_of
from fakes.messages import Reply, as_json
from fakes.world import FLICKR, LHQ_LICENSES, Shot, burst, queries, scatter
from listing import Unread, list_all, photos_by_id, queries_by_id

from manifests.errors import InputError, MisuseError, SetupError, TransientError
from manifests.licenses import FLICKR_NOTICE
from manifests.probe import probe
from pipelines.sources.base import UnavailableError
from pipelines.sources.flickr import LICENSES as ASKED
from pipelines.sources.flickr import Flickr

QUERIES = queries(6)
SPDX = {"2": "CC-BY-NC-2.0", "4": "CC-BY-2.0", "8": "LicenseRef-US-Gov", "9": "CC0-1.0", "10": "LicenseRef-PDM"}


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.add(scatter(FLICKR, 300, QUERIES))
    return world


def _searches(web: FakeWeb) -> list[str]:
    return [one.item for one in web.log if one.item.startswith("search")]


# Listing.


def test_all_that_the_queries_find_under_the_licences_is_listed_and_nothing_else(web: FakeWeb, tmp_path: Path) -> None:
    source = flickr_of(web, tmp_path, QUERIES)
    assert queries_by_id(list_all(source)) == web.world.wanted(QUERIES)
    assert len(_searches(web)) == len(QUERIES) * len(LHQ_LICENSES) == len(web.log) - 1  # one asks for the licences
    assert source.notes() == [FLICKR_NOTICE]
    for one in web.log[1:]:
        assert one.method == "POST"
        assert one.target == "/services/rest/"
        assert (one.form["sort"], one.form["media"], one.form["per_page"]) == ("date-posted-asc", "photos", "500")
        assert "," not in one.form["license"]
        assert one.form["api_key"] == KEY
    assert not [one for one in web.log if KEY in one.target or SECRET in str((one.headers, one.form))]


def test_with_every_fault_on_the_same_is_found(world: World, tmp_path: Path) -> None:
    with FakeWeb(world, everything(5, passing=0.15, seconds=0.2)) as web:
        assert queries_by_id(list_all(flickr_of(web, tmp_path, QUERIES))) == world.wanted(QUERIES)
        assert set(web.faults()) >= {"unavailable", "malformed", "total_low", "total_empty", "total_text", "too_many"}


@pytest.mark.parametrize("kind", ["total_low", "total_empty", "total_text"])
def test_a_doubtful_total_loses_nothing(kind: str, tmp_path: Path) -> None:
    world = World()
    world.add(burst(1300, "dune", "4"))
    plan = Plan([one for one in everything(passing=1.0).faults if one.kind == kind], most=99)
    with FakeWeb(world, plan) as web:
        assert queries_by_id(list_all(flickr_of(web, tmp_path, ["dune"]))) == world.wanted(["dune"])
        assert web.faults()[kind] >= 3


@pytest.mark.slow
def test_11000_results_under_one_licence_most_of_them_within_two_hours_are_found_complete(tmp_path: Path) -> None:
    world = World()
    world.add(burst(11_000, "aurora", "9", share=0.7, hours=2))
    uploads = [shot.uploaded for shot in world.shots.values()]
    assert sum(1_577_880_000 <= at < 1_577_887_200 for at in uploads) >= 0.7 * 11_000
    with FakeWeb(world) as web:
        source = flickr_of(web, tmp_path, ["aurora"])
        assert queries_by_id(list_all(source)) == world.wanted(["aurora"])
        assert source.notes() == [FLICKR_NOTICE]
        assert len(_searches(web)) == len(set(_searches(web)))
        assert len(_searches(web)) < 80
        assert not web.faults(FLICKR_API)["repeated_page"]
        assert max(int(one.form.get("page", "1")) for one in web.log) <= 8


@pytest.mark.slow
@pytest.mark.parametrize("read", [0, 1, 2, 9, 31])
def test_a_crawl_that_was_killed_goes_on_where_it_stopped(read: int, tmp_path: Path) -> None:
    """In the middle of a burst, too; the page in flight is the only one that is asked again."""
    world = World()
    world.add(burst(4200, "storm", "4"))
    world.add(scatter(FLICKR, 50, ["storm", "hail"]))
    with FakeWeb(world) as web:
        listing, before = Unread(), []
        for page in islice(flickr_of(web, tmp_path, ["storm", "hail"]).pages(listing), read):
            listing.commit(page)
            before.append(page)
        after = list_all(flickr_of(web, tmp_path, ["storm", "hail"]), listing)
        assert queries_by_id(before + after) == world.wanted(["storm", "hail"])
        items = [one.item for one in web.log]
        assert len(items) == len(set(items))
        assert list_all(flickr_of(web, tmp_path, ["storm", "hail"]), listing) == []
        assert len(web.log) == len(items)


def test_ranks_rise_within_a_query_and_licence(web: FakeWeb, tmp_path: Path) -> None:
    pages = list_all(flickr_of(web, tmp_path, QUERIES[:1], licenses=["4"]))
    assert [one.rank for page in pages for one in page.found] == list(range(len(photos_by_id(pages))))
    uploads = [one.photo.uploaded_at for page in pages for one in page.found]
    assert uploads == sorted(uploads)  # type: ignore[type-var]


@pytest.mark.parametrize("code", [1, 2, 5, 11, 17, 18])
def test_a_query_that_flickr_refuses_is_recorded_told_and_never_asked_again(
    web: FakeWeb, code: int, tmp_path: Path
) -> None:
    web.script = lambda place, request: (
        as_json({"stat": "fail", "code": code, "message": "Too many tags in ALL query"})
        if request.form.get("text") == QUERIES[0]
        else None
    )
    listing = Unread()
    first, second = (flickr_of(web, tmp_path, QUERIES[:2]) for _ in range(2))
    assert queries_by_id(list_all(first, listing)) == web.world.wanted([QUERIES[1]])
    assert list_all(second, listing) == []
    for source in (first, second):
        assert f"query {QUERIES[0]!r} is refused by Flickr: Too many tags in ALL query (code {code})" in source.notes()
    assert len(_searches(web)) == len(ASKED) * 2


@pytest.mark.parametrize("code", [96, 97, 98, 99, 100])
def test_a_wrong_key_stops_with_a_word_that_names_its_variable(web: FakeWeb, code: int, tmp_path: Path) -> None:
    web.script = lambda place, request: as_json({"stat": "fail", "code": code, "message": f"Invalid API Key {KEY}"})
    with pytest.raises(SetupError, match="FLICKR_API_KEY") as caught:
        list_all(flickr_of(web, tmp_path, QUERIES))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("reply", [as_json({"stat": "fail", "code": 112, "message": "x"}), Reply(404), Reply(301)])
def test_a_server_that_is_not_the_api_stops_the_run(web: FakeWeb, reply: Reply, tmp_path: Path) -> None:
    web.script = lambda place, request: Reply(reply.status, reply.body)
    with pytest.raises(SetupError):
        list_all(flickr_of(web, tmp_path, QUERIES))


def test_a_down_api_ends_the_listing_for_this_run(web: FakeWeb, tmp_path: Path) -> None:
    web.script = lambda place, request: as_json({"stat": "fail", "code": 105, "message": "Service unavailable"})
    with pytest.raises(TransientError, match="6 attempts"):
        list_all(flickr_of(web, tmp_path, QUERIES))


# Licences.


@pytest.mark.parametrize("licenses", [[], ["0"], ["x"], ["4", ""], ["-4"], ["04"]])
def test_licence_numbers_that_cannot_be_are_misuse(web: FakeWeb, licenses: list[str], tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="--flickr-licenses"):
        flickr_of(web, tmp_path, QUERIES, licenses=licenses)


@pytest.mark.parametrize("number", ["7", "17", "99"])
def test_a_licence_that_flickr_has_not_or_that_is_none_is_misuse(web: FakeWeb, number: str, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match=f"{number} is no free licence"):
        list_all(flickr_of(web, tmp_path, QUERIES, licenses=["4", number]))


def test_other_licences_may_be_asked_for(tmp_path: Path) -> None:
    world = World()
    world.add(Shot(FLICKR, str(number), ("peak",), license=str(number)) for number in range(17))
    with FakeWeb(world) as web:
        pages = list_all(flickr_of(web, tmp_path, ["peak"], licenses=["11", "14", "5"]))
        assert {one.license for one in photos_by_id(pages).values()} == {"CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-SA-2.0"}
        default = list_all(flickr_of(web, tmp_path, ["peak"]))
        assert {one.source_id: one.license for one in photos_by_id(default).values()} == SPDX


def test_what_counts_is_the_licence_that_the_row_tells(web: FakeWeb, tmp_path: Path) -> None:
    """The search's index may be older than the photo's licence."""
    found = web.world.wanted(QUERIES[:1])
    closed, freed = [one for one in found if web.world.shots[one].license == "4"][:2]
    web.world.licenses.update({closed: "0", freed: "9"})
    try:
        source = flickr_of(web, tmp_path, QUERIES[:1])
        photos = photos_by_id(list_all(source))
    finally:
        web.world.licenses.clear()
    assert set(photos) == set(found) - {closed}
    assert photos[freed].license == "CC0-1.0"
    assert "left out: photos under another licence than asked for (1)" in source.notes()


def test_flickrs_licences_are_asked_for_once_per_dataset(web: FakeWeb, tmp_path: Path) -> None:
    listing = Unread()
    list_all(flickr_of(web, tmp_path, QUERIES[:1]), listing)
    list_all(flickr_of(web, tmp_path, QUERIES[:2]), listing)
    assert [one.item for one in web.log].count("flickr.photos.licenses.getInfo") == 1
    assert json.loads(listing.cursors["licenses"]).keys() == LICENSES.keys()


# Rows.


def test_every_row_has_its_rights_and_the_largest_size(web: FakeWeb, tmp_path: Path) -> None:
    for photo in photos_by_id(list_all(flickr_of(web, tmp_path, QUERIES))).values():
        shot = web.world.shots[photo.photo_id]
        extra = json.loads(photo.extra)
        assert photo.license == SPDX[shot.license]
        assert photo.license_url
        assert photo.license_url in (photo.attribution or "")
        assert photo.author == shot.author
        assert shot.author in (photo.attribution or "")
        assert photo.page_url == f"https://www.flickr.com/photos/{extra['owner'].replace('@', '%40')}/{shot.id}/"
        assert photo.page_url in (photo.attribution or "")
        assert extra["size"] == sizes(shot)[0]
        assert (photo.image_url or "").endswith({"l": "_b.jpg"}.get(extra["size"], f"_{extra['size']}.jpg"))
        assert photo.uploaded_at == datetime.fromtimestamp(shot.uploaded, UTC)
        assert photo.taken_at in (None, datetime(2019, 9, 7, 16, 26, 44, tzinfo=UTC))
        assert photo.description in (None, "Seen on a walk & liked")
        assert photo.tags == tuple(tag for tag in photo.tags_raw)
        if shot.tags and "Hot-Air Balloon" in shot.tags:
            assert "hotairballoon" in photo.tags


def test_the_promised_shape_is_the_files_in_either_orientation(web: FakeWeb, tmp_path: Path) -> None:
    turned = 0
    for photo in photos_by_id(list_all(flickr_of(web, tmp_path, QUERIES))).values():
        shot = web.world.shots[photo.photo_id]
        header = probe(bytes_of(shot))
        assert photo.width
        assert photo.height
        told, real = photo.width / photo.height, header.width / header.height
        assert min(abs(told / real - 1), abs(told * real - 1)) < 0.02
        turned += abs(told / real - 1) >= 0.02
    assert turned, "the test must have met an original that lies on its side"


def _with_row(web: FakeWeb, row: Mapping[str, Any]) -> None:
    def script(place: str, request: Any) -> Reply | None:
        if request.form.get("method") != "flickr.photos.search":
            return None
        return as_json({"photos": {"page": 1, "pages": 1, "total": "1", "photo": [row]}, "stat": "ok"})

    web.script = script


def test_a_bare_row_is_a_photo_that_cannot_be_downloaded(web: FakeWeb, tmp_path: Path) -> None:
    _with_row(web, {"id": "77", "license": 4, "url_m": "https://live.staticflickr.com/1/77_a_m.jpg", "owner": None})
    source = flickr_of(web, tmp_path, ["lake"], licenses=["4"])
    (photo,) = photos_by_id(list_all(source)).values()
    assert (photo.photo_id, photo.image_url, photo.page_url, photo.width) == ("flickr:77", None, None, None)
    assert photo.attribution == "Untitled, author unknown, CC BY 2.0 (https://creativecommons.org/licenses/by/2.0/)"
    with pytest.raises(InputError, match="no size"):
        source.prepare({"photo_id": photo.photo_id, "image_url": photo.image_url, "extra": photo.extra})
    with_image = {"photo_id": "flickr:1", "image_url": "https://live.staticflickr.com/x.jpg", "extra": "{}"}
    assert source.prepare(with_image) == "https://live.staticflickr.com/x.jpg"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"id": "1", "license": "4", "media": "video"}, "rows that are no public photo"),
        ({"id": "1", "license": "4", "ispublic": 0}, "rows that are no public photo"),
        ({"id": "1", "license": "17"}, "photos under another licence than asked for"),
        ({"id": "1"}, "photos under another licence than asked for"),
        ({"id": "../1", "license": "4"}, "rows without an id"),
        ({"license": "4"}, "rows without an id"),
    ],
)
def test_rows_that_are_not_for_us_are_counted(web: FakeWeb, row: Any, why: str, tmp_path: Path) -> None:
    _with_row(web, row)
    source = flickr_of(web, tmp_path, ["lake"], licenses=["4"])
    assert photos_by_id(list_all(source)) == {}
    assert f"left out: {why} (1)" in source.notes()


@pytest.mark.parametrize(
    ("row", "size", "shape"),
    [
        ({"url_o": "O", "width_o": "600", "height_o": 400, "url_l": "L"}, "o", (600, 400)),
        ({"url_o": "O", "o_width": "600", "o_height": "400"}, "o", (600, 400)),
        ({"url_o": "", "url_3k": None, "url_k": "K", "width_k": "x", "url_h": "H"}, "k", (None, None)),
        ({"url_l": "L", "width_l": 1024, "height_l": "683", "o_width": "9", "o_height": "9"}, "l", (1024, 683)),
    ],
)
def test_the_largest_size_offered_is_taken(
    web: FakeWeb, row: Any, size: str, shape: tuple[int | None, int | None], tmp_path: Path
) -> None:
    _with_row(web, {"id": "1", "license": "4", **row})
    (photo,) = photos_by_id(list_all(flickr_of(web, tmp_path, ["lake"], licenses=["4"]))).values()
    assert photo.image_url == size.upper()
    assert (photo.width, photo.height) == shape


# Rechecks.


def test_recheck_marks_what_is_gone_or_relicensed_and_survives_a_kill(web: FakeWeb, tmp_path: Path) -> None:
    found = photos_by_id(list_all(flickr_of(web, tmp_path, QUERIES[:1])))
    gone, closed, freed = sorted(found)[:3]
    web.world.gone.add(gone)
    web.world.licenses.update({closed: "0", freed: "11"})
    listing = Unread(rows=rows_of(found.values()))
    asked = len(web.log)
    try:
        pages = []
        for page in islice(flickr_of(web, tmp_path, []).recheck(listing), 4):
            listing.commit(page)
            pages.append(page)
        for page in flickr_of(web, tmp_path, []).recheck(listing):
            listing.commit(page)
            pages.append(page)
    finally:
        web.world.gone.clear()
        web.world.licenses.clear()
    rows = photos_by_id(pages)
    assert rows.keys() == found.keys()
    assert set(listing.cursors) == {"recheck licenses", "recheck"}
    assert len(web.log) - asked == len(found) + 1
    assert json.loads(rows[gone].extra)["gone"] is True
    assert (rows[closed].license, rows[closed].license_url) == ("LicenseRef-unknown", None)
    assert (rows[freed].license, json.loads(rows[freed].extra)["license_id"]) == ("CC-BY-4.0", "11")
    assert json.loads(rows[freed].extra)["license_before"] == found[freed].license
    assert "CC BY 4.0" in str(rows[freed].attribution)
    for one in set(found) - {gone, closed, freed}:
        assert (rows[one].license, json.loads(rows[one].extra)) == (found[one].license, json.loads(found[one].extra))


def test_what_flickrapi_sends_is_a_form_without_a_signature(web: FakeWeb, tmp_path: Path) -> None:
    list_all(flickr_of(web, tmp_path, []))
    (one,) = web.log
    assert one.form == {
        "method": "flickr.photos.licenses.getInfo", "format": "json", "nojsoncallback": "1", "api_key": KEY,
    }  # fmt: skip
    assert "Authorization" not in one.headers
    assert not list(Path.home().glob(".flickr/*"))


@pytest.mark.parametrize(
    "body", [b'{"stat": "fail"}', b'{"stat": "fail", "code": 5}', b'{"stat": "ok"}', b'{"stat": 7}']
)
def test_a_list_of_licences_that_says_nothing_ends_the_listing(web: FakeWeb, body: bytes, tmp_path: Path) -> None:
    web.script = lambda place, request: Reply(200, body)
    with pytest.raises((UnavailableError, InputError)):
        list_all(flickr_of(web, tmp_path, QUERIES))


def test_the_fetcher_holds_no_key(web: FakeWeb, tmp_path: Path) -> None:
    source = flickr_of(web, tmp_path, QUERIES)
    assert Flickr.name == "flickr"
    assert KEY.encode() not in pickle.dumps(source.fetcher())
    with pytest.raises(TypeError):
        pickle.dumps(source)
