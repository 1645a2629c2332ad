"""What terms forbid is refused with the list; what is unknown is told, counted, and refused where that is asked."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from exporting import export
from PIL import Image

from pipelines.export import rights
from pipelines.export.format import Member
from pipelines.export.wanted import Wanted

pytestmark = pytest.mark.slow


def member(photo_id: str = "p", width: int = 90, height: int = 60, crops: int = 1, **row: str) -> Member:
    known = {"photo_id": photo_id, "source": "folder", "license": "CC0-1.0", "file_width": width, "file_height": height}
    return Member({**known, **row}, tuple(f"{at}.png" for at in range(crops)))


def refused(*members: Member, own_use: bool = False, require_licence: bool = False) -> dict[str, list[str]]:
    return rights.refused(members, own_use, require_licence)


def test_rows_of_the_unsplash_dataset_are_not_handed_on():
    theirs = member("unsplash:a", source="unsplash-dataset", license="LicenseRef-Unsplash")
    api = member("unsplash:b", source="unsplash", license="LicenseRef-Unsplash")
    assert refused(theirs, api) == {rights.DATASET_TERMS: ["unsplash:a"]}
    assert refused(theirs, own_use=True) == {}


def test_crops_of_photos_without_derivatives_are_not_handed_on():
    for licence in ("CC-BY-ND-4.0", "CC-BY-NC-ND-2.0", "CC-BY-NC-ND-3.0-IGO"):
        assert refused(member(license=licence)) == {rights.NO_DERIVATIVES: ["p"]}
        assert refused(member(width=60, license=licence)) == {}, "a square photo is only resized"
        assert refused(member(width=60, crops=2, license=licence)) == {rights.NO_DERIVATIVES: ["p"]}
        assert refused(member(license=licence), own_use=True) == {}
    assert refused(member(license="CC-BY-SA-4.0")) == {}


def test_unknown_licences_are_refused_where_one_is_required():
    assert refused(member(license="LicenseRef-unknown")) == {}
    unknown = {rights.NO_LICENCE: ["p"]}
    assert refused(member(license="LicenseRef-unknown"), require_licence=True, own_use=True) == unknown


@pytest.fixture(scope="module")
def mixed(lhq, tmp_path_factory):
    """A dataset of 14 photos: twelve CC BY-ND, one of unknown licence, one CC0."""
    folder, place = tmp_path_factory.mktemp("mixed"), tmp_path_factory.mktemp("set") / "d"
    with (folder / "meta.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "license"])
        for at in range(14):
            noise = np.random.default_rng(at).integers(0, 255, (20, 30, 3)).astype(np.uint8)
            Image.fromarray(noise).save(folder / f"{at:02d}.png")
            writer.writerow([f"{at:02d}.png", "CC BY-ND 4.0" if at < 12 else "" if at == 12 else "CC0"])
    source = ("--source", "folder", "--path", folder, "--metadata", folder / "meta.csv")
    assert lhq("crawl", place, *source, "--workers", "0").code == 0
    return place


def test_the_command_lists_what_is_refused_and_makes_nothing(lhq, mixed, tmp_path):
    ran = lhq(*export(mixed, tmp_path / "out", "--require-licence"))
    assert ran.code == 1
    assert "12 photos under a licence without derivatives" in ran.err
    assert "and 2 more" in ran.err
    assert "1 photo of unknown licence" in ran.err
    assert "--own-use" in ran.err
    assert not (tmp_path / "out").exists()


def test_an_export_for_own_use_says_so_and_warns_of_unknown_licences(lhq, mixed, tmp_path):
    ran = lhq(*export(mixed, tmp_path / "out", "--own-use"))
    assert ran.code == 0, ran.err
    assert "the licence of 1 photo is unknown" in ran.out
    card = (tmp_path / "out" / "README.md").read_text()
    assert "do not hand it on" in card
    assert "The terms of 12 of its photos" in card
    assert "The licence of 1 photo is unknown" in card
    assert json.loads((tmp_path / "out" / "export.json").read_text())["own_use"] is True


def test_a_split_is_by_file_and_a_larger_share_takes_in_the_smaller():
    names = [f"{at:064x}" for at in range(2000)]
    small, large = (
        {name for name in names if Wanted("folder", 8, validation=share).part(name) == "validation"}
        for share in (0.1, 0.3)
    )
    assert small < large
    assert 140 < len(small) < 260
    assert 520 < len(large) < 680
    other = {name for name in names if Wanted("folder", 8, validation=0.1, seed=1).part(name) == "validation"}
    assert other != small
