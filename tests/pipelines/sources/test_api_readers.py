"""Whatever an API sends, its reader ends with rows that the tables can hold, or with an error that is foreseen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from apis import flickr_of, rows_of, unsplash_of
from fakes import FakeWeb, World
from fakes.faults import UNSPLASH_API
from fakes.messages import Reply, Request
from fakes.world import FLICKR, UNSPLASH, scatter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listing import Unread

from manifests import schema
from manifests.errors import InputError, SetupError, TransientError
from manifests.records import Photo
from pipelines.sources.base import Page, Source
from pipelines.web import fields

FORESEEN = (TransientError, InputError)
MOST_PAGES = 4  # of a listing that a fuzzed reply keeps alive

texts = st.text(max_size=12) | st.text("a4é\ud800\0 <&", max_size=4)  # halves of characters among them
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-5, 5),
    st.just(10**400),
    st.floats(),
    texts,
    st.sampled_from(
        ["", "0", "-1", "4", "9" * 40, "2024-13-99T99:99:99Z", "9999-12-31T23:59:59-12:00", "http://[::1", "\ud800"]
    ),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
fuzzed = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def web() -> Iterator[FakeWeb]:
    world = World()
    world.add(scatter(UNSPLASH, 4, ["lake"]))
    world.add(scatter(FLICKR, 24, ["lake"]))
    with FakeWeb(world) as web:
        yield web


def _places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [here, *(place for name, one in inner for place in _places(one, (*here, name)))]


@st.composite
def changes(draw: st.DrawFn) -> Callable[[Any], Any]:
    """A function that puts other values, or none, at some places of a reply, at any depth equally often."""
    where = st.floats(0, 1, exclude_max=True)
    wanted = draw(st.lists(st.tuples(where, where, anything, st.booleans()), min_size=1, max_size=8))

    def change(reply: Any) -> Any:
        reply = json.loads(json.dumps(reply))
        for deep, where, value, remove in wanted:
            places = _places(reply)
            depths = sorted({len(place) for place in places} - ({0} if len(wanted) > 1 else set())) or [0]
            places = [place for place in places if len(place) == depths[int(deep * len(depths))]]
            place = places[int(where * len(places))]
            if not place:
                return value
            holder = reply
            for name in place[:-1]:
                holder = holder[name]
            if remove and isinstance(holder, dict):
                del holder[place[-1]]
            else:
                holder[place[-1]] = value
        return reply

    return change


def _spoil(web: FakeWeb, about: Callable[[Request], bool], change: Callable[[Any], Any]) -> None:
    """Change the honest JSON of the requests that `about` is true for."""

    def script(place: Any, request: Request) -> Reply | None:
        if not about(request):
            return None
        site = web.unsplash if place == UNSPLASH_API else web.flickr
        return Reply(200, json.dumps(change(json.loads(site.answer(request, None).body))).encode())

    web.script = script


def _listed(pages: Iterator[Page], *foreseen: type[Exception]) -> list[Photo]:
    """The photos of a listing, up to its end, a foreseen error, or enough of it."""
    listing, photos = Unread(), []
    try:
        for number, page in enumerate(pages):
            listing.commit(page)
            photos += [one.photo for one in page.found]
            if number == MOST_PAGES:
                break
    except (*FORESEEN, *foreseen) as error:
        str(error).encode()
    return photos


def _hold(photos: list[Photo], source: Source) -> None:
    """The tables can hold them, and each has an id of the source and a licence."""
    table = rows_of(photos)
    table.validate(full=True)
    assert table.schema == schema.PHOTOS
    for photo in photos:
        assert photo.photo_id == f"{source.name}:{photo.source_id}"
        assert photo.license
        assert photo.attribution
        assert "/" not in photo.source_id
        assert isinstance(json.loads(photo.extra), dict)
        for value in dataclasses.astuple(photo):
            str(value).encode()


@pytest.mark.slow
@fuzzed
@given(change=changes())
def test_any_reply_to_a_search_of_unsplash(web: FakeWeb, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    _spoil(web, lambda request: True, change)
    source = unsplash_of(web, tmp_path, ["lake"])
    _hold(_listed(source.pages(Unread())), source)
    source.notes()


@pytest.mark.slow
@fuzzed
@given(change=changes())
def test_any_reply_to_details_of_unsplash(web: FakeWeb, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    web.script = None
    photos = _listed(unsplash_of(web, tmp_path, ["lake"]).pages(Unread()))
    assert len(photos) == 4
    _spoil(web, lambda request: request.path.startswith("/photos/"), change)
    source = unsplash_of(web, tmp_path, ["lake"], full_tags=True)
    _hold(_listed(source.pages(Unread(finished={"search lake"}, rows=rows_of(photos)))), source)


@pytest.mark.slow
@fuzzed
@given(change=changes(), extra=st.one_of(anything.map(json.dumps), texts, st.none()))
def test_any_reply_to_a_download_ping(
    web: FakeWeb, tmp_path: Path, change: Callable[[Any], Any], extra: str | None
) -> None:
    web.script = None
    source = unsplash_of(web, tmp_path, ["lake"])
    photo = _listed(source.pages(Unread()))[0]
    _spoil(web, lambda request: True, change)
    for told in (photo.extra, extra):
        try:
            url = source.prepare({"photo_id": photo.photo_id, "image_url": photo.image_url, "extra": told})
        except FORESEEN:
            continue
        assert url == photo.image_url


@pytest.mark.slow
@fuzzed
@given(change=changes())
def test_any_reply_to_a_search_of_flickr(web: FakeWeb, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    _spoil(web, lambda request: request.form.get("method") == "flickr.photos.search", change)
    source = flickr_of(web, tmp_path, ["lake"])
    _hold(_listed(source.pages(Unread())), source)
    source.notes()


@pytest.mark.slow
@fuzzed
@given(change=changes())
def test_any_list_of_licences(web: FakeWeb, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    """A list without the licences asked for is the one case that is the user's to mend."""
    _spoil(web, lambda request: request.form.get("method") != "flickr.photos.search", change)
    source = flickr_of(web, tmp_path, ["lake"])
    photos = _listed(source.pages(Unread()), SetupError)
    _hold(photos, source)
    assert all(photo.license_url for photo in photos)


@pytest.mark.slow
@fuzzed
@given(change=changes())
def test_any_reply_to_a_recheck_of_flickr(web: FakeWeb, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    web.script = None
    photos = _listed(flickr_of(web, tmp_path, ["lake"]).pages(Unread()))
    assert len(photos) > 10
    _spoil(web, lambda request: request.form.get("method") == "flickr.photos.getInfo", change)
    source = flickr_of(web, tmp_path, ["lake"])
    _hold(_listed(source.recheck(Unread(rows=rows_of(photos)))), source)


@pytest.mark.slow
@fuzzed
@given(
    status=st.one_of(st.just(200), st.integers(200, 599)),
    body=st.one_of(st.binary(max_size=200), st.just(b"[" * 100_000), st.just(b'{"stat":' * 50_000)),
    kind=st.sampled_from(["application/json", "text/html; charset=utf-16", ""]),
)
def test_any_bytes_under_any_status(web: FakeWeb, tmp_path: Path, status: int, body: bytes, kind: str) -> None:
    """Some statuses tell that the key or the address is wrong: those stop the run."""
    web.script = lambda place, request: Reply(status, body, kind)
    for source in (unsplash_of(web, tmp_path, ["lake"]), flickr_of(web, tmp_path, ["lake"])):
        assert _listed(source.pages(Unread()), SetupError) == []


# The same without chance: every value of a row, and everything around the rows, made nasty one at a time.

NASTY = (None, "", "\ud800\0x", "9" * 40, "-1", True, -1, 10**30, 1.5, float("nan"), [], [None], {}, {"a": "b"})


def _variants(value: Any, deepest: int) -> Iterator[Any]:
    """The value with one place changed or removed, for each place down to a depth."""
    for place in _places(value):
        if not 0 < len(place) <= deepest:
            continue
        for nasty in (*NASTY, KeyError):
            copy = json.loads(json.dumps(value))
            holder = copy
            for name in place[:-1]:
                holder = holder[name]
            if nasty is not KeyError:
                holder[place[-1]] = nasty
            elif isinstance(holder, dict):
                del holder[place[-1]]
            yield copy


def _honest(web: FakeWeb, source: Source) -> Any:
    """The reply to a search that finds something."""
    web.script = None
    list(source.pages(Unread()))
    rows = [one for one in web.log if one.item.startswith("search") and one.status == 200]
    place = rows[-1].place
    site = web.unsplash if place == UNSPLASH_API else web.flickr
    for one in rows:
        query = {"query": "lake", "page": "1", "per_page": "30"}
        request = Request(one.method, one.target, "/search/photos", query, one.form, one.headers)
        reply = json.loads(site.answer(request, None).body)
        if reply.get("results") or reply.get("photos", {}).get("photo"):
            return reply
    raise AssertionError("the search found nothing")


@pytest.mark.slow
@pytest.mark.parametrize("make", [unsplash_of, flickr_of])
def test_every_value_of_a_row_may_be_nasty(web: FakeWeb, make: Callable[..., Source], tmp_path: Path) -> None:
    reply = _honest(web, make(web, tmp_path, ["lake"]))
    rows = reply.get("results") or reply["photos"]["photo"]
    variants = list(_variants(rows[0], 4))
    for number, row in enumerate(variants):
        if row.get("id") == rows[0]["id"]:
            row["id"] = str(number)
    rows[:] = variants
    assert len(rows) > 400
    _spoil(web, lambda request: not request.form.get("method", "").endswith("getInfo"), lambda _: reply)
    source = make(web, tmp_path, ["lake"])
    photos = _listed(source.pages(Unread()))
    assert len({photo.photo_id for photo in photos}) > 0.8 * len(rows)
    _hold(photos, source)


@pytest.mark.slow
@pytest.mark.parametrize("make", [unsplash_of, flickr_of])
def test_everything_around_the_rows_may_be_nasty(web: FakeWeb, make: Callable[..., Source], tmp_path: Path) -> None:
    reply = _honest(web, make(web, tmp_path, ["lake"]))
    for variant in _variants(reply, 2):
        _spoil(web, lambda request: not request.form.get("method", "").endswith("getInfo"), lambda _, v=variant: v)
        source = make(web, tmp_path, ["lake"])
        _hold(_listed(source.pages(Unread())), source)


# The readers of single values.


@given(value=anything)
def test_a_reader_of_anything_gives_its_kind_or_none(value: Any) -> None:
    assert isinstance(fields.mapping(value), dict)
    assert isinstance(fields.sequence(value), list)
    text, whole, pixels = fields.text(value), fields.whole(value), fields.pixels(value)
    assert text is None or (text == text.strip() != "" and text.encode())
    assert whole is None or 0 <= whole < 2**31
    assert pixels is None or pixels > 0
    for moment in (fields.moment(value), fields.unix_moment(value)):
        if moment is not None:
            assert pa.scalar(moment, schema.PHOTOS.field("taken_at").type).as_py() == moment


def test_numbers_may_come_as_text_and_nothing_else_passes_for_one() -> None:
    assert [fields.whole(one) for one in (0, "0", 17, "017", "3907", 2**31 - 1)] == [0, 0, 17, 17, 3907, 2**31 - 1]
    wrong = (True, -1, 1.0, "", "-1", "1.0", " 1", "\uff11", "99999999999", 2**31, None, [])
    assert [fields.whole(one) for one in wrong] == [None] * len(wrong)


def test_times_of_all_dialects_are_utc() -> None:
    told = ("2023-06-21T15:14:49Z", "2023-06-21T11:14:49-04:00", "2023-06-21 15:14:49")
    assert {str(fields.moment(one)) for one in told} == {"2023-06-21 15:14:49+00:00"}
    wrong = ("2019-00-01 00:00:00", "0000-00-00 00:00:00", "yesterday", 5, "0001-01-01T00:00:00+14:00")
    assert [fields.moment(one) for one in wrong] == [None] * len(wrong)
    assert str(fields.unix_moment("1571326372")) == "2019-10-17 15:32:52+00:00"
    assert fields.unix_moment(0) is None
