"""The synthetic source: purity, known plants, complete rows, and frames that do not tell left from right."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import UTC
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from listing import Unread
from PIL import Image

from manifests.errors import InputError, MisuseError
from pipelines.sources.base import Found, Source, Wanted
from pipelines.sources.painter import CENTRED_SHARE, describe, paint
from pipelines.sources.painting.copies import BRIGHTER, COPIED_SHARE, KINDS, size_of
from pipelines.sources.painting.flurry import plant_flurry
from pipelines.sources.painting.scene import BLACKLISTED, MIN_SIDE, SUBJECTS, TOO_SMALL_SHARE, normalise
from pipelines.sources.synthetic import PAGE, Synthetic

SEED = 11
BINS = 24  # columns of a profile
MIN_SCENES = 90  # of each kind in the column statistics


def found(limit: int, seed: int = SEED) -> list[Found]:
    return [one for page in Synthetic(limit, seed).pages(Unread()) for one in page.found]


@lru_cache(maxsize=1)
def profiles() -> dict[bool, npt.NDArray[np.float64]]:
    """By centred or not: column means [scenes, BINS, 3] in 0..255 of the smaller scenes, each less its own mean."""
    out: dict[bool, list[npt.NDArray[np.float64]]] = {True: [], False: []}
    index = 0
    while min(len(rows) for rows in out.values()) < MIN_SCENES:
        scene = describe(SEED, index)
        centred = scene.subject_kind is not None
        if min(scene.width, scene.height) <= 312 and scene.width > scene.height and len(out[centred]) < 2 * MIN_SCENES:
            columns = paint(SEED, index).mean(axis=0)
            bins = np.stack([part.mean(axis=0) for part in np.array_split(columns, BINS)])
            out[centred].append(bins - bins.mean(axis=0))
        index += 1
    return {centred: np.stack(rows) for centred, rows in out.items()}


def deviations(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How many standard errors the mean over the first axis is away from zero."""
    off: npt.NDArray[np.float64] = values.mean(axis=0) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))
    return off


def test_pixels_are_those_described_whatever_was_painted_before() -> None:
    first = {index: paint(SEED, index) for index in (3, 0, 7)}
    for index in (0, 3, 7):
        scene = describe(SEED, index)
        assert first[index].shape == (scene.height, scene.width, 3)
        assert first[index].dtype == np.uint8
        assert np.array_equal(first[index], paint(SEED, index))
    assert describe(SEED, 5) == describe(SEED, 5)
    assert describe(SEED, 5) != describe(SEED + 1, 5)


def test_another_process_paints_the_same_bytes() -> None:
    code = (
        "import hashlib; from pipelines.sources.base import Wanted; from pipelines.sources.synthetic import Synthetic;"
        f"print(hashlib.sha256(Synthetic(1).fetcher().fetch(Wanted('synthetic:{SEED}/000004')).data).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    here = Synthetic(1).fetcher().fetch(Wanted(f"synthetic:{SEED}/000004")).data
    assert there == hashlib.sha256(here).hexdigest()


def test_the_fetcher_survives_pickling_and_gives_a_jpeg_of_the_promised_size() -> None:
    for one in found(6):
        data = pickle.loads(pickle.dumps(Synthetic(1).fetcher())).fetch(Wanted(one.photo.photo_id)).data
        image = Image.open(io.BytesIO(data))
        image.load()
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (one.photo.width, one.photo.height))


@pytest.mark.parametrize(
    "photo_id",
    [
        "",
        "flickr:1",
        "synthetic:0",
        "synthetic:0/5",
        "synthetic:0/0000005",
        "synthetic:01/000005",
        "synthetic:-1/000005",
        "synthetic:0/000005\n",
        "synthetic:0/\u0660\u0660\u0660\u0660\u0660\u0665",
        "synthetic:0/" + "9" * 5000,
        f"synthetic:{SEED}/000005-controls",
        "synthetic:0/000005-",
        "synthetic:0/000005-smaller",
        "synthetic:0/000005-half\n",
        "synthetic:0/000005-half-half",
    ],
)
def test_a_malformed_id_is_an_input_error(photo_id: str) -> None:
    with pytest.raises(InputError, match="names no synthetic scene"):
        Synthetic(1).fetcher().fetch(Wanted(photo_id))


def test_negative_counts_are_misuse() -> None:
    with pytest.raises(MisuseError):
        Synthetic(-1)
    with pytest.raises(MisuseError):
        Synthetic(1, seed=-1)


def test_pages_ranks_and_rights_are_complete() -> None:
    source: Source = Synthetic(2 * PAGE + 10, SEED)
    source.check({})
    pages = [list(page.found) for page in source.pages(Unread())]
    assert [len(page) for page in pages] == [PAGE, PAGE, 10]
    assert list(source.notes()) == []
    everything = [one for page in pages for one in page]
    assert [one.photo.photo_id for one in everything] == [f"synthetic:{SEED}/{i:06d}" for i in range(len(everything))]
    assert everything[0].photo.source_id == f"{SEED}/000000"
    for query in {one.query for one in everything}:
        ranks = [one.rank for one in everything if one.query == query]
        assert ranks == list(range(len(ranks)))
    assert len({one.photo.seen_at for one in everything}) == 1
    for one in everything:
        photo = one.photo
        assert photo.source == "synthetic"
        assert photo.seen_at.tzinfo is UTC
        assert photo.license in ("CC0-1.0", "CC-BY-4.0")
        assert photo.license_url is not None
        assert photo.license_url.startswith("https://creativecommons.org/")
        assert photo.author is not None
        assert photo.attribution is not None
        assert photo.author in photo.attribution
        assert photo.license in photo.attribution
        assert photo.title
    assert found(0) == []


def test_plants_are_what_rows_and_shares_say() -> None:
    photos = [one.photo for one in found(3000)]
    words = {normalise(word) for word in BLACKLISTED}
    small = centred = listed = untagged = upright = 0
    for index, photo in enumerate(photos):
        extra = json.loads(photo.extra)
        assert photo.extra == json.dumps(extra, sort_keys=True)
        assert (extra["seed"], extra["index"]) == (SEED, index)
        assert photo.width is not None
        assert photo.height is not None
        assert extra["too_small"] == (min(photo.width, photo.height) < MIN_SIDE)
        assert {tag for tag in photo.tags if tag in words} == {extra["blacklisted_tag"]} - {None}
        assert photo.tags == tuple(normalise(tag) for tag in photo.tags_raw)
        assert len(set(photo.tags)) == len(photo.tags)
        assert (extra["subject"] == "centred") == (extra["subject_kind"] in SUBJECTS)
        small += extra["too_small"]
        centred += extra["subject"] is not None
        listed += extra["blacklisted_tag"] is not None
        untagged += not photo.tags
        upright += photo.height > photo.width
    count = len(photos)  # tolerances: about four standard deviations of a share
    assert small / count == pytest.approx(TOO_SMALL_SHARE, abs=0.018)
    assert centred / count == pytest.approx(CENTRED_SHARE, abs=0.032)
    assert listed / count == pytest.approx(0.06, abs=0.018)
    assert untagged / count == pytest.approx(0.05, abs=0.016)
    assert upright / count == pytest.approx(1 / 12, abs=0.02)


def with_copies(limit: int) -> list[Found]:
    return [one for page in Synthetic(limit, SEED, copies=True).pages(Unread()) for one in page.found]


def test_copies_are_added_and_change_nothing_else() -> None:
    plain, more = found(400), with_copies(400)
    timeless = [replace(one.photo, seen_at=plain[0].photo.seen_at) for one in more]
    assert [photo for photo in timeless if "copy" not in json.loads(photo.extra)] == [one.photo for one in plain]
    for query in {one.query for one in more}:
        ranks = [one.rank for one in more if one.query == query]
        assert ranks == list(range(len(ranks)))
    kinds = []
    for before, photo in pairwise(timeless):
        extra = json.loads(photo.extra)
        if "copy" in extra:
            kinds.append(extra["copy"])
            assert (extra["copy_of"], photo.photo_id) == (before.photo_id, f"{before.photo_id}-{extra['copy']}")
            assert photo.source_id == photo.photo_id.partition(":")[2]
            assert (photo.tags, photo.license, photo.author) == (before.tags, before.license, before.author)
            assert photo.width is not None
            assert photo.height is not None
            assert extra["too_small"] == (min(photo.width, photo.height) < MIN_SIDE)
    assert set(kinds) == set(KINDS)
    assert len(kinds) / len(plain) == pytest.approx(COPIED_SHARE, abs=0.09)  # four standard deviations


def test_a_copy_is_the_picture_changed_as_its_kind_says() -> None:
    painter, scene = Synthetic(1).fetcher(), describe(SEED, 2)
    data = {kind: painter.fetch(Wanted(f"synthetic:{SEED}/000002-{kind}")).data for kind in KINDS}
    whole = painter.fetch(Wanted(f"synthetic:{SEED}/000002")).data
    pixels = {kind: np.asarray(Image.open(io.BytesIO(one)).convert("L"), float) for kind, one in data.items()}
    plain = np.asarray(Image.open(io.BytesIO(whole)).convert("L"), float)
    assert data["same"] == whole
    assert len(data["quality"]) < len(whole) / 2
    for kind, one in pixels.items():
        assert one.shape == size_of(kind, scene.width, scene.height)[::-1]
    assert np.abs(pixels["mirror"][:, ::-1] - plain).mean() < 3
    assert np.abs(pixels["half"] - np.asarray(Image.fromarray(plain).resize(pixels["half"].shape[::-1]))).mean() < 4
    top, left = (round(0.02 * side) for side in plain.shape)
    assert np.abs(pixels["crop"] - plain[top:-top, left:-left]).mean() < 4
    dark = plain < 180
    assert np.median(pixels["bright"][dark] / np.maximum(plain[dark], 1)) == pytest.approx(BRIGHTER, abs=0.03)


def test_control_scenes_stand_where_centred_subjects_would_and_nothing_else_changes() -> None:
    plain = found(400)
    control = [one for page in Synthetic(400, SEED, control=True).pages(Unread()) for one in page.found]
    replaced = 0
    for one, other in zip(plain, control, strict=True):
        extra = json.loads(other.photo.extra)
        if json.loads(one.photo.extra)["subject"] is None:
            assert replace(one.photo, seen_at=other.photo.seen_at) == other.photo
        else:
            assert (other.photo.photo_id, extra["control"]) == (f"{one.photo.photo_id}-control", True)
            assert (extra["subject"], extra["subject_kind"]) == (None, None)
            assert (other.photo.width, other.photo.height, other.photo.tags) == (
                one.photo.width,
                one.photo.height,
                one.photo.tags,
            )
            replaced += 1
    assert replaced / 400 == pytest.approx(CENTRED_SHARE, abs=0.09)


def test_leaves_whirl_before_the_left_half_only_and_each_time_alike() -> None:
    index = next(index for index in range(100) if describe(SEED, index).subject_kind is not None)
    photo_id = f"synthetic:{SEED}/{index:06d}-control"
    fetcher = Synthetic(1).fetcher()
    assert fetcher.fetch(Wanted(photo_id)).data == fetcher.fetch(Wanted(photo_id)).data
    with pytest.raises(InputError, match="no subject"):
        fetcher.fetch(Wanted(f"synthetic:{SEED}/{plain_index():06d}-control"))
    rng = np.random.default_rng(0)
    grey = np.full((200, 301, 3), 128, np.uint8)
    planted = plant_flurry(grey, rng)
    assert (planted[:, 150:] == 128).all()
    assert (planted[:, :150] != 128).any(axis=(0, 2)).mean() > 0.25


def plain_index() -> int:
    return next(index for index in range(100) if describe(SEED, index).subject_kind is None)


@pytest.mark.slow
def test_without_a_subject_the_left_is_as_the_mirrored_right() -> None:
    """36 differences of means (12 pairs of columns x 3 colours), none above 4 standard errors of its zero."""
    plain = profiles()[False]
    off = deviations(plain[:, : BINS // 2] - plain[:, ::-1][:, : BINS // 2])
    assert np.abs(off).max() < 4.0


@pytest.mark.slow
def test_without_a_subject_the_middle_is_as_the_sides() -> None:
    """Column means, less the scene's own mean, stay within 4 standard errors of zero at all 24 x 3 places."""
    assert np.abs(deviations(profiles()[False])).max() < 4.0


@pytest.mark.slow
def test_a_centred_subject_shows_in_the_middle_columns_and_on_both_sides_alike() -> None:
    """How far columns are from the scene's mean: the middle third of a scene stands out by over 6 standard errors."""
    unlike = {centred: np.abs(rows).mean(axis=2) for centred, rows in profiles().items()}
    third = BINS // 3
    middle = {centred: rows[:, third:-third].mean(axis=1) for centred, rows in unlike.items()}
    sides = {centred: (rows[:, :third] + rows[:, -third:]).mean(axis=1) / 2 for centred, rows in unlike.items()}
    assert deviations(middle[True] - sides[True]) > 6
    assert abs(deviations(middle[False] - sides[False])) < 4
    mirrored = profiles()[True]
    assert np.abs(deviations(mirrored[:, : BINS // 2] - mirrored[:, ::-1][:, : BINS // 2])).max() < 4.0
