"""The funnel adds up whatever the tables say, and a subset's hash is of its members alone."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from flattening import flat_table
from hypothesis import given, settings
from hypothesis import strategies as st

from lhq_toolkit import show
from manifests import schema
from manifests.dataset import Dataset
from manifests.recipes import Recipe, Step
from pipelines import funnel as funnels
from pipelines.engine.stage import Stage, StageSettings, Verdicts
from pipelines.funnel import ERROR, KEPT, NOT_REACHED, PENDING, REJECTED, Funnel, walk

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FINGERPRINT, OTHER = "f" * 64, "0" * 64


class Titled(Stage[StageSettings]):
    """A metadata stage: keeps what has a title."""

    name, version = "titled", 1
    settings_type = StageSettings

    def decide(self, view: pa.Table) -> Verdicts:
        keep = [title is not None for title in view["title"].to_pylist()]
        return Verdicts(keep, [None if kept else "no title" for kept in keep], [None] * len(keep))


class Bright(Stage[StageSettings]):
    """An image stage: keeps what was measured above a half."""

    name, version = "bright", 1
    settings_type = StageSettings
    min_side = 8
    columns = {"light": pa.float64()}  # noqa: RUF012

    def decide(self, view: pa.Table) -> Verdicts:
        light = view["light"].to_pylist()
        assert None not in light, "what has no measurement must not arrive here"
        assert set(view["file_status"].to_pylist()) <= {schema.OK}
        keep = [one > 0.5 for one in light]
        return Verdicts(keep, [None if kept else "dark" for kept in keep], light)


class Sharp(Bright):
    """Another image stage with measurements of its own."""

    name = "sharp"


TITLED, BRIGHT, SHARP = (stage(StageSettings()) for stage in (Titled, Bright, Sharp))


@dataclass(frozen=True)
class Made:
    """One photo: its title, what became of its file (None: not tried), and which bytes it has."""

    title: str | None
    status: str | None
    image: int


@dataclass(frozen=True)
class Measured:
    """One measurement row: of which bytes, under which fingerprint, with which outcome."""

    image: int
    fingerprint: str
    light: float | None  # None: an error


def sha256(image: int) -> str:
    return f"{image:064x}"


def photo(photo_id: str, title: str | None) -> dict:
    lists = {"tags": [], "tags_raw": []}
    return {
        **lists,
        "photo_id": photo_id,
        "source": "t",
        "source_id": photo_id,
        "title": title,
        "license": "CC0-1.0",
        "seen_at": NOW,
        "extra": "{}",
    }


def file(photo_id: str, status: str, image: int) -> dict:
    row = {"photo_id": photo_id, "fetched_at": NOW, "status": status}
    if status != schema.OK:
        return {**row, "error": "cut short"}
    facts = {"bytes": 9, "format": "png", "width": 10 + image, "height": 10}
    return {**row, **facts, "sha256": sha256(image), "path": f"images/00/{sha256(image)}.png"}


def measurement(row: Measured) -> dict:
    error = "damaged" if row.light is None else None
    return {"sha256": sha256(row.image), "fingerprint": row.fingerprint, "error": error, "light": row.light}


def fill(
    dataset: Dataset, photos: Mapping[str, Made], measured: Mapping[Stage, Sequence[Measured]], part: int = 3
) -> None:
    """Write the rows, a few to a part."""
    files = [file(photo_id, one.status, one.image) for photo_id, one in photos.items() if one.status is not None]
    tables = [
        (dataset.photos_table, [photo(photo_id, one.title) for photo_id, one in photos.items()]),
        (dataset.files_table, files),
    ]
    for stage, rows in measured.items():
        tables.append((dataset.measurements_table(stage.name, stage.columns), [measurement(row) for row in rows]))
    for table, rows in tables:
        for start in range(0, len(rows), part):
            table.append(pa.Table.from_pylist(rows[start : start + part], schema=table.schema))


@contextmanager
def new_dataset() -> Iterator[Dataset]:
    with TemporaryDirectory() as place:
        yield Dataset.open_or_create(Path(place) / "d", "test")


def counts(outcome: funnels.Outcome) -> dict[int, int]:
    return {state: outcome.count(state) for state in (KEPT, REJECTED, ERROR, PENDING)}


IMAGES = st.integers(0, 4)
PHOTOS = st.lists(
    st.builds(
        Made,
        st.sampled_from([None, "Hill"]),
        st.sampled_from([None, schema.OK, schema.OK, schema.FAILED, schema.GIVEN_UP]),
        IMAGES,
    ),
    max_size=12,
)
MEASUREMENTS = st.lists(
    st.builds(Measured, IMAGES, st.sampled_from([FINGERPRINT, FINGERPRINT, OTHER]), st.sampled_from([None, 0.2, 0.8])),
    max_size=10,
)
ORDERS = st.permutations([(TITLED, None), (BRIGHT, FINGERPRINT), (SHARP, FINGERPRINT)])


def expected_state(stage: Stage, made: Made, rows: Sequence[Measured]) -> int:
    """What the stage must say of a photo that may reach it, written the slow way."""
    if stage is TITLED:
        return KEPT if made.title is not None else REJECTED
    if made.status != schema.OK:
        return NOT_REACHED
    mine = [row for row in rows if (row.image, row.fingerprint) == (made.image, FINGERPRINT)]
    if not mine:
        return PENDING
    if mine[-1].light is None:
        return ERROR
    return KEPT if mine[-1].light > 0.5 else REJECTED


@settings(deadline=None, max_examples=60)
@given(PHOTOS, MEASUREMENTS, MEASUREMENTS, ORDERS)
@pytest.mark.slow
def test_every_stage_adds_up_and_says_of_each_photo_what_the_tables_say(made, bright, sharp, order):
    photos = {f"t:{at}": one for at, one in enumerate(made)}
    rows = {BRIGHT: bright, SHARP: sharp}
    with new_dataset() as dataset:
        fill(dataset, photos, rows)
        funnel = Funnel(dataset)
        flowing = dict.fromkeys(photos, True)
        for stage, fingerprint in order:
            reaching = int(funnel.reaching(stage).sum())
            outcome = funnel.decide(stage, fingerprint)
            assert sum(counts(outcome).values()) == reaching
            assert reaching == int((outcome.state != NOT_REACHED).sum())
            assert sum(outcome.reasons().values()) == reaching - outcome.count(KEPT), "each has a reason"
            said = dict(zip(funnel.photos["photo_id"].to_pylist(), outcome.state.tolist(), strict=True))
            for photo_id, one in photos.items():
                wanted = expected_state(stage, one, rows.get(stage, [])) if flowing[photo_id] else NOT_REACHED
                assert said[photo_id] == wanted, (stage.name, one)
                flowing[photo_id] = wanted == KEPT
        assert int(funnel.members.sum()) == sum(flowing.values())
        assert not (funnel.members & ~funnel.ok_file).any()
        status = show.status(funnel)
        assert status["photos"] == len(photos)
        assert status["files"]["ok"] == sum(one.status == schema.OK for one in made)
        assert status["files"]["failed"] == sum(one.status in (schema.FAILED, schema.GIVEN_UP) for one in made)
        assert status["curated"] == int(funnel.members.sum())
        flat = flat_table(funnel).to_pylist()
        assert [row["photo_id"] for row in flat] == sorted(photos)
        assert all((row["reason"] is None) == row["keep"] for row in flat), "whoever is out has a reason"
        assert {row["photo_id"] for row in flat if row["keep"]} == {key for key, alive in flowing.items() if alive}


def test_photos_without_an_ok_file_do_not_reach_an_image_stage_and_are_never_members():
    photos = {
        "t:ok": Made("a", schema.OK, 1),
        "t:failed": Made("a", schema.FAILED, 1),
        "t:given_up": Made("a", schema.GIVEN_UP, 1),
        "t:untried": Made("a", None, 1),
    }
    with new_dataset() as dataset:
        fill(dataset, photos, {BRIGHT: [Measured(1, FINGERPRINT, 0.9)]})
        funnel = Funnel(dataset)
        assert int(funnel.members.sum()) == 1
        assert counts(funnel.decide(TITLED, None)) == {KEPT: 4, REJECTED: 0, ERROR: 0, PENDING: 0}
        assert int(funnel.members.sum()) == 1, "a metadata stage keeps photos, but no one is in without a file"
        assert counts(funnel.decide(BRIGHT, FINGERPRINT)) == {KEPT: 1, REJECTED: 0, ERROR: 0, PENDING: 0}
        members = funnel.photos.filter(pa.array(funnel.members))
        assert members["photo_id"].to_pylist() == ["t:ok"]
        reasons = {row["photo_id"]: row["reason"] for row in flat_table(funnel).to_pylist()}
        assert reasons["t:failed"] == reasons["t:given_up"] == "file: cut short"
        assert reasons["t:untried"] == "file: not fetched yet"


def test_a_later_row_of_a_file_or_a_measurement_supersedes_the_earlier_one():
    with new_dataset() as dataset:
        fill(dataset, {"t:a": Made("a", schema.FAILED, 1)}, {BRIGHT: [Measured(1, FINGERPRINT, None)]})
        fill(dataset, {"t:a": Made(None, schema.OK, 1)}, {BRIGHT: [Measured(1, FINGERPRINT, 0.9)]})
        funnel = Funnel(dataset)
        assert funnel.photos.num_rows == 1
        assert funnel.decide(BRIGHT, FINGERPRINT).count(KEPT) == 1
        assert funnel.decide(TITLED, None).count(REJECTED) == 1


def test_nothing_is_measured_before_its_fingerprint_is_known():
    with new_dataset() as dataset:
        fill(dataset, {"t:a": Made("a", schema.OK, 1)}, {BRIGHT: [Measured(1, FINGERPRINT, 0.9)]})
        outcome = Funnel(dataset).decide(BRIGHT, None)
        assert outcome.count(PENDING) == 1
        assert outcome.reasons() == {"not measured yet": 1}
        assert np.isnan(outcome.value).all()


# The hash of a subset.


def subset_hash(photos: Mapping[str, Made], part: int = 3) -> str:
    with new_dataset() as dataset:
        fill(dataset, photos, {}, part)
        funnel = Funnel(dataset)
        funnel.decide(TITLED, None)
        return funnel.subset_hash()


IDS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6),
    st.builds(Made, st.just("a"), st.just(schema.OK), IMAGES),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=25)
@given(IDS, st.randoms(use_true_random=False), st.integers(1, 4))
@pytest.mark.slow
def test_the_subset_hash_does_not_depend_on_the_order_of_rows_or_parts(photos, dice: random.Random, part):
    other = list(photos.items())
    dice.shuffle(other)
    assert subset_hash(dict(other), part) == subset_hash(photos)


def test_the_subset_hash_changes_with_who_is_in_and_with_their_bytes_alone():
    photos = {f"t:{at}": Made("a", schema.OK, at) for at in range(3)}
    first = subset_hash(photos)
    assert subset_hash({**photos, "t:out": Made(None, schema.OK, 9)}) == first, "rejected: not a member"
    assert subset_hash({**photos, "t:gone": Made("a", schema.GIVEN_UP, 9)}) == first, "no file: not a member"
    others = [
        {**photos, "t:3": Made("a", schema.OK, 3)},
        {key: photos[key] for key in ("t:0", "t:1")},
        {**photos, "t:2": Made("a", schema.OK, 7)},
        {"t:0": photos["t:0"], "t:1": photos["t:1"], "u:2": photos["t:2"]},
        {},
    ]
    hashes = [subset_hash(one) for one in others]
    assert subset_hash({**photos, "t:2": Made(None, schema.OK, 2)}) == hashes[1], "rejected is as good as gone"
    assert len({first, *hashes}) == len(others) + 1


# A dataset with nothing in it.


@pytest.fixture
def empty(tmp_path: Path) -> Dataset:
    return Dataset.open_or_create(tmp_path / "d", "test")


def test_an_empty_dataset_has_an_empty_funnel(empty):
    steps = (Step("tags", {}), Step("resolution", {}), Step("invariance", {}))
    funnel = walk(empty, Recipe("curated", steps))
    for outcome in funnel.outcomes:
        assert sum(counts(outcome).values()) == 0
        assert outcome.reasons() == {}
    status = show.status(funnel)
    assert (status["photos"], status["files"], status["curated"]) == (0, {"ok": 0, "failed": 0}, 0)
    assert list(status["stages"]) == ["tags", "resolution", "invariance"]
    assert flat_table(funnel).num_rows == 0
    assert "curated" in show.funnel(funnel, "curated", Recipe("curated", steps))


@pytest.mark.slow
def test_an_empty_dataset_is_filtered_and_written_and_has_nothing_to_export(lhq, empty, tmp_path):
    here = ("--workers", "0", "--json")
    small = ("--set", "objects.detector=small", "--set", "likelihood.features=small")
    ran = lhq("filter", empty.root, "--all", *small, *here)
    assert ran.code == 0, ran.err
    assert ran.json["curated"] == 0
    assert lhq("status", empty.root, "--json").json["stages"] == ran.json["stages"]
    manifest = lhq("manifest", empty.root, "-o", tmp_path / "m.parquet", "--json")
    assert (manifest.code, manifest.json["photos"]) == (0, 0)
    export = lhq("export", empty.root, tmp_path / "out", "--format", "folder", "--resolution", 8, *here)
    assert export.code == 1
    assert "nothing to export" in export.err
    assert not (tmp_path / "out").exists()
