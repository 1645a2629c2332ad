"""A plan tells what the crawl then asks, spends no more of the quota than there is, and offline asks nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from apis import flickr_api, flickr_of, unsplash_api, unsplash_of
from fakes import FakeWeb, World
from fakes.faults import FLICKR_API, UNSPLASH_API
from fakes.flickr import KEY as FLICKR_KEY
from fakes.messages import Reply, Request, as_json
from fakes.unsplash import KEY as UNSPLASH_KEY
from fakes.world import FLICKR, LHQ_LICENSES, UNSPLASH, Shot, queries, scatter
from listing import list_all

from manifests.errors import SetupError
from pipelines import plan
from pipelines.plan import Choices
from pipelines.web.rate import Rate

QUERIES = queries(8)
HOURLY = Rate(100, 3600.0)


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    world.add(scatter(UNSPLASH, 500, QUERIES))
    world.add(scatter(FLICKR, 500, QUERIES))
    many = range(10_000, 13_700)  # one search with over 3,000, spread over the years
    start, step = 1_104_537_600, 150_000
    world.add(Shot(FLICKR, str(5_000_000_000 + n), (QUERIES[0],), "4", start + step * (n - 10_000)) for n in many)
    world.spam.add("buy followers")
    return world


def test_unsplash_is_asked_for_first_pages_and_the_crawl_then_asks_what_was_told(web: FakeWeb, tmp_path: Path) -> None:
    api = unsplash_api(web, tmp_path)
    told = plan.unsplash([*QUERIES, "buy followers"], HOURLY, Choices(permission=True, full_tags=True), api)
    assert [one.item for one in web.entries(UNSPLASH_API) if not one.item.endswith(" 1")] == []
    assert len(web.entries(UNSPLASH_API)) == 9
    pages = list_all(unsplash_of(web, tmp_path, [*QUERIES, "buy followers"]))
    listed = sum(len(page.found) for page in pages)
    searches = len(web.entries(UNSPLASH_API)) - 9
    assert told.photos == listed
    assert told.requests == searches + 2 * listed  # one ping and one request for details each
    assert told.hours == pytest.approx(told.requests / 100)
    assert told.files == listed


def test_flickr_is_asked_for_first_pages_and_the_crawl_then_asks_what_was_told(web: FakeWeb, tmp_path: Path) -> None:
    told = plan.flickr(QUERIES, LHQ_LICENSES, HOURLY, Choices(), flickr_api(web, tmp_path))
    asked = len(web.entries(FLICKR_API))
    assert asked == len(QUERIES) * len(LHQ_LICENSES)
    pages = list_all(flickr_of(web, tmp_path, QUERIES))
    found = {(one.photo.photo_id, one.query) for page in pages for one in page.found}
    assert told.photos == pytest.approx(len(found), rel=0.01)
    assert told.requests == pytest.approx(len(web.entries(FLICKR_API)) - asked, rel=0.1)
    assert told.files == pytest.approx(told.photos, rel=0.1)


def test_gigabytes_follow_from_the_sizes_told_and_the_side_asked_for(web: FakeWeb, tmp_path: Path) -> None:
    api = unsplash_api(web, tmp_path)
    shots = {shot for query in QUERIES for shot in web.world.find_unsplash(query)[:30]}
    area = sum(shot.promised[0] * shot.promised[1] for shot in shots) / len(shots)
    whole = plan.unsplash(QUERIES, HOURLY, Choices(permission=True), api)
    assert whole.gigabytes == pytest.approx(whole.files * area * plan.BYTES_PER_PIXEL / 1e9, rel=0.1)
    small = plan.unsplash(QUERIES, HOURLY, Choices(permission=True, max_side=1024), api)
    assert small.gigabytes is not None
    assert small.gigabytes <= small.files * 1024**2 * plan.BYTES_PER_PIXEL_MADE / 1e9


def test_only_what_the_quota_has_room_for_is_asked_and_the_rest_estimated(web: FakeWeb, tmp_path: Path) -> None:
    all_asked = plan.unsplash(QUERIES, HOURLY, Choices(), unsplash_api(web, tmp_path / "a"))
    before = len(web.log)
    api = unsplash_api(web, tmp_path / "b", rate=Rate(3, 3600.0))
    told = plan.unsplash(QUERIES, HOURLY, Choices(), api)
    assert len(web.log) - before == 3
    assert told.basis[0] == "first pages of 3 of 8 searches: the quota has no room for more now"
    assert told.photos == pytest.approx(all_asked.photos, rel=0.3)
    nothing = plan.unsplash(QUERIES, HOURLY, Choices(), api)
    assert len(web.log) - before == 3
    assert "estimated from LHQ's own crawl" in nothing.basis[0]


def test_a_limit_cuts_photos_requests_and_files(web: FakeWeb, tmp_path: Path) -> None:
    whole = plan.flickr(QUERIES, LHQ_LICENSES, HOURLY, Choices(), None)
    some = plan.flickr(QUERIES, LHQ_LICENSES, HOURLY, Choices(limit=100), None)
    assert (some.photos, some.files) == (100, 100)
    assert some.requests < whole.requests / 10
    assert plan.flickr(QUERIES, LHQ_LICENSES, HOURLY, Choices(metadata_only=True), None).files == 0


def test_offline_nothing_is_asked_and_the_estimate_says_what_it_rests_on(web: FakeWeb) -> None:
    one = plan.unsplash(["a"] * 400, HOURLY, Choices(permission=True, image_rate=Rate(10, 1.0)), None)
    two = plan.flickr(["a"] * 400, LHQ_LICENSES, HOURLY, Choices(), None)
    assert not web.log
    assert one.photos + two.photos == pytest.approx(450_000, rel=0.01)
    assert one.photos / two.photos == pytest.approx(64_669 / 25_331, rel=0.01)
    assert one.fetch_hours == pytest.approx(one.files / 36_000)
    for outlook in (one, two):
        assert outlook.basis[0].startswith("offline; estimated from LHQ's own crawl")
        assert any("assumed: 20 megapixels" in line for line in outlook.basis)


def test_a_key_that_is_not_accepted_stops_the_plan(web: FakeWeb, tmp_path: Path) -> None:
    def refuse(place: object, request: Request) -> Reply:
        return as_json({"errors": ["OAuth error"]}, 401)

    web.script = refuse
    with pytest.raises(SetupError, match="HTTP 401"):
        plan.unsplash(QUERIES, HOURLY, Choices(), unsplash_api(web, tmp_path))


@pytest.mark.parametrize(
    ("total", "requests"), [(0, 1), (1, 1), (250, 1), (251, 2), (500, 2), (501, 2), (2999, 7), (3000, 9)]
)
def test_pages_of_a_flickr_search(total: int, requests: int) -> None:
    assert plan.flickr_requests(total) == requests


# The command.


@pytest.mark.slow
def test_the_command_tells_the_plan_writes_nothing_and_holds_its_tongue_about_keys(lhq, web, tmp_path) -> None:
    (tmp_path / "q.txt").write_text("\n".join(QUERIES))
    keys = {"UNSPLASH_ACCESS_KEY": UNSPLASH_KEY, "FLICKR_API_KEY": FLICKR_KEY, "LHQ_STATE": str(tmp_path / "state")}
    both = ("crawl", tmp_path / "d", "--source", "unsplash", "--source", "flickr", "--queries", tmp_path / "q.txt")
    env = {**web.env, **keys}
    told = lhq(*both, "--plan", "--json", "--flickr-quota", "100/min", env=env)
    assert told.code == 0, told.err
    assert [one["source"] for one in told.json["sources"]] == ["unsplash", "flickr"]
    assert told.json["requests"] == sum(one["requests"] for one in told.json["sources"])
    assert told.json["hours"] == max(one["hours"] for one in told.json["sources"])
    text = lhq(*both, "--plan", "--offline", env={**env, "UNSPLASH_ACCESS_KEY": "", "FLICKR_API_KEY": ""})
    assert text.code == 0, text.err
    assert "nothing was written" in text.out
    assert not (tmp_path / "d").exists()
    for said in (told.out, told.err, text.out, text.err):
        assert UNSPLASH_KEY not in said
        assert FLICKR_KEY not in said


@pytest.mark.slow
def test_local_sources_are_counted(lhq, tmp_path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "a.jpg").write_bytes(b"x" * 5_000_000)
    ran = lhq("crawl", tmp_path / "d", "--source", "folder", "--path", tmp_path / "p", "--plan", "--json")
    (source,) = ran.json["sources"]
    assert (source["photos"], source["requests"], source["files"], source["gigabytes"]) == (1, 0, 1, 0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "says"), [(("--offline",), "is for --plan"), (("--plan", "--recheck"), "from the beginning")]
)
def test_options_that_do_not_fit_are_refused(lhq, tmp_path, more, says) -> None:
    ran = lhq("crawl", tmp_path / "d", "--source", "flickr", *more)
    assert ran.code == 2
    assert says in ran.err
