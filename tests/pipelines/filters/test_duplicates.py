"""Of photos that show the same picture one stays: which, and what is said of the others."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.engine.fingerprint import fingerprint
from pipelines.engine.stage import Verdicts
from pipelines.filters.duplicates import MIRRORED, SAME_BYTES, SAME_PICTURE, Duplicates, DuplicatesSettings

FAR = 0xFFFF_0000_FFFF_0000  # a hash far from every small number


@dataclass(frozen=True)
class Row:
    """One photo: its hashes, the seed of its thumbnail, its file, its rights."""

    hash: int = 0
    look: int = 0
    mirror: int = FAR
    turned: bool = False
    size: tuple[int, int] = (100, 100)
    license: str = "CC0-1.0"
    sha256: str | None = None
    others: bool = True


def thumbnail(row: Row) -> bytes:
    greys = np.random.default_rng(row.look).integers(0, 256, (16, 16), dtype=np.uint8)
    return (greys[:, ::-1] if row.turned else greys).tobytes()


def view(rows: list[Row]) -> pa.Table:
    """As the funnel hands it over: chunked, and typed whether there are rows or not."""
    columns: dict[str, tuple[list, pa.DataType]] = {
        "photo_id": ([f"t:{at}" for at in range(len(rows))], pa.string()),
        "sha256": ([row.sha256 or f"{at:064x}" for at, row in enumerate(rows)], pa.string()),
        "license": ([row.license for row in rows], pa.string()),
        "file_width": ([row.size[0] for row in rows], pa.int32()),
        "file_height": ([row.size[1] for row in rows], pa.int32()),
        "others": ([row.others for row in rows], pa.bool_()),
        "hash": ([row.hash for row in rows], pa.uint64()),
        "mirror_hash": ([row.mirror for row in rows], pa.uint64()),
        "thumbnail": ([thumbnail(row) for row in rows], pa.binary(256)),
    }
    half = len(rows) // 2
    return pa.table(
        {
            name: pa.chunked_array([pa.array(values[:half], kind), pa.array(values[half:], kind)], kind)
            for name, (values, kind) in columns.items()
        }
    )


def decide(*rows: Row, **settings: object) -> Verdicts:
    return Duplicates(DuplicatesSettings.model_validate(settings)).decide(view(list(rows)))


def keepers(verdicts: Verdicts) -> list[int]:
    """Of each photo the one that stands for it, which is itself where it is kept."""
    assert verdicts.about is not None
    return [at if about is None else int(about[2:]) for at, about in enumerate(verdicts.about)]


def test_an_empty_view_and_a_view_of_one_have_no_duplicates() -> None:
    assert list(decide()) == []
    assert list(decide(Row())) == [(True, None, None)]


def test_the_same_picture_is_found_and_the_verdict_names_the_keeper_and_the_distance() -> None:
    verdicts = decide(Row(hash=0, look=1), Row(hash=0b111, look=1), Row(hash=0, look=2))
    assert list(verdicts) == [(True, None, None), (False, SAME_PICTURE, 3.0), (True, None, None)]
    assert verdicts.about == [None, "t:0", None]
    assert verdicts.notes == []


def test_the_same_bytes_are_told_from_the_same_picture() -> None:
    verdicts = decide(Row(sha256="a" * 64), Row(), Row(sha256="a" * 64))
    assert verdicts.reason == [None, SAME_PICTURE, SAME_BYTES]


def test_the_same_bytes_of_a_single_grey_are_the_same_and_other_greys_are_not() -> None:
    stage, table = Duplicates(DuplicatesSettings()), view([Row()] * 3)
    plain = pa.array([bytes([grey] * 256) for grey in (9, 9, 10)], pa.binary(256))
    table = table.set_column(8, "thumbnail", plain)
    assert stage.decide(table).keep == [True, False, True]


def test_a_mirror_image_is_the_same_picture_unless_it_is_asked_not_to_be() -> None:
    rows = Row(hash=5, mirror=FAR), Row(hash=FAR, mirror=5, turned=True)
    assert decide(*rows).reason == [None, MIRRORED]
    assert decide(*rows).value == [None, 0.0]
    assert decide(*rows, mirrored=False).keep == [True, True]


def test_the_radius_and_the_correlation_are_thresholds() -> None:
    rows = Row(hash=0), Row(hash=0b111111)
    assert decide(*rows).keep == [True, False]
    assert decide(*rows, radius=5).keep == [True, True]
    greys = np.random.default_rng(0).integers(40, 200, (2, 256))
    noisy = np.stack([greys[0], greys[0] + (greys[1] - 120) // 3]).astype(np.uint8)
    found = np.corrcoef(noisy)[0, 1]
    assert 0.93 < found < 0.96
    table = view([Row(), Row()])
    table = table.set_column(8, "thumbnail", pa.array([one.tobytes() for one in noisy], pa.binary(256)))
    for least, keep in ((found - 1e-9, False), (found + 1e-9, True)):
        assert Duplicates(DuplicatesSettings(correlation=least)).decide(table).keep == [True, keep]
    for wrong in ({"radius": 17}, {"radius": -1}, {"correlation": 0}, {"correlation": 1.01}, {"side": 4}):
        with pytest.raises(ValidationError):
            DuplicatesSettings.model_validate(wrong)


def test_no_threshold_changes_what_is_measured() -> None:
    marks = {
        fingerprint(Duplicates(DuplicatesSettings.model_validate(given)), None)
        for given in ({}, {"radius": 2}, {"correlation": 0.99}, {"mirrored": False})
    }
    assert len(marks) == 1


BEST_FIRST = [  # largest, then best rights, then first seen
    Row(size=(200, 101), license="LicenseRef-unknown"),
    Row(size=(101, 200), license="LicenseRef-unknown"),
    Row(size=(200, 100), license="CC0-1.0"),
    Row(size=(100, 200), license="LicenseRef-US-Gov"),
    Row(size=(100, 200), license="CC-BY-2.0"),
    Row(size=(200, 100), license="LicenseRef-Unsplash"),
    Row(size=(200, 100), license="CC-BY-SA-4.0"),
    Row(size=(200, 100), license="CC-BY-NC-2.0"),
    Row(size=(200, 100), license="LicenseRef-unknown"),
    Row(size=(60_000, 50_000), license="CC0-1.0", others=False),
]


@given(st.permutations(BEST_FIRST))
def test_the_keeper_is_the_largest_then_the_freest_then_the_first_seen_of_what_everything_else_keeps(
    rows: list[Row],
) -> None:
    def worth(at: int) -> tuple[object, ...]:
        row = rows[at]
        free = ["CC0-1.0 LicenseRef-US-Gov", "CC-BY-2.0 LicenseRef-Unsplash", "-SA-", "-NC-", "unknown"]
        place = next(step for step, names in enumerate(free) if row.license in names.split() or names in row.license)
        return not row.others, -row.size[0] * row.size[1], place, at

    best = min(range(len(rows)), key=worth)
    assert keepers(decide(*rows)) == [best] * len(rows)


def test_a_photo_that_something_else_rejects_is_nobodys_keeper() -> None:
    rows = Row(size=(500, 500), others=False), Row(size=(100, 100)), Row(size=(90, 90))
    assert keepers(decide(*rows)) == [1, 1, 1]
    alone = [dataclasses.replace(row, others=False) for row in rows]
    assert decide(*alone).keep == [True, True, True]


def chain(*bits: int) -> list[Row]:
    """Pictures whose hashes have so many ones: neighbours differ in what lies between."""
    return [Row(hash=(1 << ones) - 1, size=(1000 - at, 100)) for at, ones in enumerate(bits)]


def test_a_chain_within_twice_the_radius_stays_whole() -> None:
    verdicts = decide(*chain(0, 6, 12))
    assert keepers(verdicts) == [0, 0, 0]
    assert verdicts.value == [None, 6.0, 12.0]
    assert verdicts.notes == []


def test_a_wider_chain_is_split_around_its_keeper_and_a_note_says_so() -> None:
    verdicts = decide(*chain(0, 6, 12, 18, 24))
    assert keepers(verdicts) == [0, 0, 2, 2, 4]
    assert verdicts.keep == [True, False, True, False, True]
    (note,) = verdicts.notes
    assert note.startswith("1 group (5 photos) was wider than 12 bits")


def test_a_chain_is_split_around_its_best_wherever_that_stands() -> None:
    rows = [dataclasses.replace(row, size=size) for row, size in zip(chain(0, 6, 12, 18), [(9, 9)] * 4, strict=True)]
    rows[1] = dataclasses.replace(rows[1], size=(50, 50))
    assert keepers(decide(*rows)) == [1, 1, 1, 3]


def test_several_groups_are_split_each_on_its_own() -> None:
    elsewhere = [dataclasses.replace(row, hash=row.hash ^ 0xAAAA_AAAA << 32, look=5) for row in chain(0, 5, 10, 15)]
    verdicts = decide(*chain(0, 6, 12, 18), *elsewhere, Row(hash=0, look=9))
    assert keepers(verdicts) == [0, 0, 2, 2, 4, 4, 6, 6, 8]
    assert verdicts.notes[0].startswith("2 groups (8 photos) were")


ROWS = st.lists(
    st.builds(
        Row,
        hash=st.sets(st.integers(0, 20), max_size=7).map(lambda bits: sum(1 << bit for bit in bits)),
        look=st.integers(0, 2),
        mirror=st.sampled_from([FAR, 0, 0b11, 0x7F]),
        turned=st.booleans(),
        size=st.sampled_from([(100, 100), (100, 50), (50, 100)]),
        license=st.sampled_from(["CC0-1.0", "CC-BY-2.0", "CC-BY-NC-2.0"]),
        others=st.sampled_from([True, True, False]),
    ),
    max_size=14,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(ROWS, st.integers(0, 8), st.booleans())
def test_whatever_the_photos_each_that_goes_has_a_keeper_that_stays(
    rows: list[Row], radius: int, mirrored: bool
) -> None:
    verdicts = decide(*rows, radius=radius, mirrored=mirrored)
    of = keepers(verdicts)
    for at, (keep, reason, value) in enumerate(verdicts):
        keeper = of[at]
        assert keep == (reason is None) == (value is None) == (keeper == at)
        assert keep or (verdicts.keep[keeper] and rows[keeper].others)
        if not keep and rows[at].others:
            area, best = (one.size[0] * one.size[1] for one in (rows[at], rows[keeper]))
            assert best >= area
        if not keep:
            assert rows[at].look == rows[keeper].look, "thumbnails of different looks never agree"
    assert decide(*rows, radius=radius, mirrored=mirrored) == verdicts


@settings(deadline=None, max_examples=60)
@given(ROWS)
def test_a_larger_radius_keeps_no_more(rows: list[Row]) -> None:
    narrow = [row for row in rows if row.hash < 1 << 6]  # no group can be wide at 6
    assert sum(decide(*narrow, radius=6).keep) <= sum(decide(*narrow, radius=0).keep)
