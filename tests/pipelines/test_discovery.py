"""What sources list goes into the tables once; who supersedes whom does not depend on who comes last."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests import schema
from manifests.dataset import CRAWL_LOCK, Dataset
from manifests.errors import InputError
from manifests.records import Photo
from pipelines import crawl
from pipelines.discovery import Discovery
from pipelines.engine.pool import InProcess
from pipelines.frontier import Frontier, path_of
from pipelines.sources.base import Fetched, Found, HostDownError, Listing, Page, Source, UnavailableError, Wanted

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def photo(one: str, source: str = "unsplash", tags: Sequence[str] = (), **more: object) -> Photo:
    return Photo(f"unsplash:{one}", source, one, NOW, tags=tuple(tags), **more)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return Dataset.open_or_create(tmp_path / "d", "test")


def add(dataset: Dataset, *pages: tuple[str, Page], most: int | None = None) -> list[list[str]]:
    """A run that commits these pages of these sources."""
    with dataset.lock(CRAWL_LOCK) as lock, Frontier(path_of(dataset.root)) as frontier:
        discovery = Discovery(dataset, frontier, lock)
        taken = [discovery.add(source, page, most) for source, page in pages]
        discovery.commit()
        return taken


def current(dataset: Dataset) -> dict[str, dict]:
    return {row["photo_id"]: row for row in dataset.photos().to_pylist()}


def page(*photos: Photo, query: str | None = "lake", brief: bool = False, **more: object) -> Page:
    return Page([Found(one, query, rank, brief) for rank, one in enumerate(photos)], **more)


def test_a_page_is_in_the_tables_before_its_cursor_is_noted(dataset):
    add(dataset, ("unsplash", page(photo("a"), task="lake", cursor="2")))
    with Frontier(path_of(dataset.root)) as frontier:
        assert frontier.cursor("unsplash", "lake") == "2"
        assert not frontier.is_done("unsplash", "lake")
        assert frontier.cursor("flickr", "lake") is None
    assert current(dataset)["unsplash:a"]["queries"] == ["lake"]


def test_the_same_source_supersedes_when_it_tells_something_else_and_only_then(dataset):
    add(dataset, ("unsplash", page(photo("a", title="one"))))
    add(dataset, ("unsplash", page(replace(photo("a", title="one"), seen_at=datetime.now(UTC)))))
    assert dataset.photos_table.row_count() == 1
    add(dataset, ("unsplash", page(photo("a", title="two"), query="hill")))
    assert current(dataset)["unsplash:a"]["title"] == "two"
    assert current(dataset)["unsplash:a"]["queries"] == ["hill", "lake"]


def test_a_brief_row_is_written_for_a_new_photo_and_supersedes_none(dataset):
    add(dataset, ("unsplash", page(photo("a", tags=["x"]), brief=True)))
    add(dataset, ("unsplash", page(photo("a", tags=["x", "y"], title="full"), query=None)))
    add(dataset, ("unsplash", page(photo("a", tags=["x"], title="brief"), query="hill", brief=True)))
    row = current(dataset)["unsplash:a"]
    assert (row["title"], row["tags"], row["queries"]) == ("full", ["x", "y"], ["hill", "lake"])


TELLINGS = st.lists(
    st.tuples(st.sampled_from(["unsplash", "unsplash-dataset"]), st.integers(0, 3)), min_size=2, max_size=8
)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tellings=TELLINGS, dice=st.randoms())
def test_of_two_sources_the_one_that_knows_more_tags_wins_and_the_row_stays_put(tmp_path, tellings, dice):
    dataset = Dataset.open_or_create(tmp_path / secrets.token_hex(8), "test")
    facts = {source: ["t"] * tags for source, tags in tellings}  # what each tells, always the same
    order = [source for source, _ in tellings]
    dice.shuffle(order)
    pages = [(source, page(photo("a", source, facts[source]), query=source)) for source in order]
    for one in pages:
        add(dataset, one)
    best = max(len(tags) for tags in facts.values())
    rows = dataset.photos_table.row_count()
    row = current(dataset)["unsplash:a"]
    assert len(row["tags"]) == best
    assert sorted(row["queries"]) == sorted(set(order))
    for one in pages + pages:
        add(dataset, one)
    assert dataset.photos_table.row_count() == rows, "nobody flips it back"


def test_a_limit_cuts_a_page_whose_cursor_is_then_not_noted(dataset):
    pages = [("unsplash", page(photo("a"), photo("b"), task="lake", cursor="2"))]
    pages += [("unsplash", page(photo("b"), photo("c"), photo("d"), task="lake", cursor="3"))]
    assert add(dataset, *pages, most=3) == [["unsplash:a", "unsplash:b"], ["unsplash:b", "unsplash:c"]]
    assert sorted(current(dataset)) == ["unsplash:a", "unsplash:b", "unsplash:c"]
    with Frontier(path_of(dataset.root)) as frontier:
        assert frontier.cursor("unsplash", "lake") == "2"


def test_a_damaged_database_is_put_aside(dataset):
    add(dataset, ("unsplash", page(photo("a"), task="lake", cursor="2", done=True)))
    path_of(dataset.root).write_bytes(b"no database at all, but longer than a header" * 100)
    with Frontier(path_of(dataset.root)) as frontier:
        assert frontier.cursor("unsplash", "lake") is None
        frontier.record("unsplash", "recheck 1", "x", False)
        frontier.record("unsplash", "lake", "2", True)
        frontier.forget("unsplash", "recheck")
        assert frontier.cursor("unsplash", "recheck 1") is None
        assert frontier.is_done("unsplash", "lake")
    assert path_of(dataset.root).with_name("crawl.sqlite.damaged").exists()


# How the driver reads a source.


@dataclass
class Searched(Source):
    """Three pages of one photo for each query; `fails` raises instead of a page, `refuses` before a download."""

    name: str
    queries: Sequence[str] = ("lake", "hill")
    fails: Exception | None = None
    refuses: Exception | None = None

    def __post_init__(self) -> None:
        self.asked: list[str] = []
        self.prepared: list[str] = []

    def pages(self, listing: Listing) -> Iterator[Page]:
        for query in self.queries:
            while not listing.is_done(query):
                number = int(listing.cursor(query) or "0")
                self.asked.append(f"{query} {number}")
                if self.fails is not None and number == 1:
                    raise self.fails
                one = Photo(f"{self.name}:{query}{number}", self.name, f"{query}{number}", NOW, image_url="there")
                assert len(listing.photos(["photo_id"])) >= number, "the page before is committed"
                yield Page([Found(one, query, number)], query, str(number + 1), done=number == 2)

    def prepare(self, photo: object) -> str:
        self.prepared.append(photo["photo_id"])
        if self.refuses is not None:
            raise self.refuses
        return f"{photo['image_url']}/{photo['photo_id']}"

    def fetcher(self) -> Named:
        return Named()


@dataclass(frozen=True)
class Named:
    """A picture whose URL was prepared."""

    parallel: int = 4
    most_workers: int | None = None

    def open(self, share: object) -> Named:
        return self

    def fetch(self, wanted: Wanted) -> Fetched:
        assert wanted.url == f"there/{wanted.photo_id}"
        return Fetched(PICTURE)


PICTURE = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


def run(dataset: Dataset, *sources: Source, **wish: object) -> crawl.Crawled:
    with InProcess() as pool:
        return crawl.run(dataset, sources, pool, crawl.Wish(**wish))


def test_two_sources_are_read_to_their_end_and_then_nothing_is_asked_again(dataset):
    done = run(dataset, Searched("one"), Searched("two"))
    assert (done.found, done.new, done.fetched, done.is_complete) == (12, 12, 12, True)
    again = [Searched("one"), Searched("two")]
    done = run(dataset, *again)
    assert (done.found, done.fetched, done.is_complete) == (0, 0, True)
    assert [(source.asked, source.prepared) for source in again] == [([], []), ([], [])]


def test_a_source_that_fails_is_left_where_it_is_and_the_other_goes_on(dataset):
    broken = Searched("one", fails=UnavailableError("the API is down"))
    done = run(dataset, broken, Searched("two"))
    assert (done.unread, done.is_complete) == (["one"], False)
    assert any("the API is down" in note for note in done.notes)
    assert done.fetched == 7, "what was listed is fetched"
    mended = Searched("one")
    assert run(dataset, mended).is_complete
    assert mended.asked == ["lake 1", "lake 2", "hill 0", "hill 1", "hill 2"]


def test_a_bug_in_a_source_ends_the_run(dataset):
    with pytest.raises(ZeroDivisionError):
        run(dataset, Searched("one", fails=ZeroDivisionError()))


def test_metadata_only_fetches_nothing_and_a_reason_not_to_download_is_told(dataset):
    source = Searched("one")
    done = run(dataset, source, metadata_only=True)
    assert (done.new, done.fetched, source.prepared, done.is_complete) == (6, 0, [], True)
    source = Searched("one")
    source.no_download = "they do not want it"
    done = run(dataset, source)
    assert (done.fetched, source.prepared) == (0, [])
    assert any("they do not want it" in note for note in done.notes)
    assert run(dataset, Searched("one")).fetched == 6


def test_a_photo_that_its_source_does_not_give_has_a_row(dataset):
    done = run(dataset, Searched("one", refuses=InputError("withdrawn")))
    assert (done.given_up, done.is_complete) == ({"withdrawn": 6}, True)
    assert dataset.files()["status"].to_pylist() == [schema.GIVEN_UP] * 6
    done = run(dataset, Searched("two", refuses=UnavailableError("busy", 503)))
    assert (done.failed, done.is_complete) == (6, False)
    assert dataset.files()["http_status"].to_pylist()[-1] == 503


def test_a_host_that_is_down_leaves_photos_without_a_row(dataset):
    done = run(dataset, Searched("one", refuses=HostDownError("down")))
    assert (done.failed, done.is_complete) == (0, False)
    assert dataset.files().num_rows == 0
    assert run(dataset, Searched("one")).fetched == 6


def test_a_limit_counts_what_is_there_already(dataset):
    assert run(dataset, Searched("one"), limit=2).new == 2
    source = Searched("one")
    assert (run(dataset, source, limit=2).new, source.asked) == (0, [])
    assert run(dataset, Searched("one"), limit=4).new == 2
    assert run(dataset, Searched("one")).new == 2
