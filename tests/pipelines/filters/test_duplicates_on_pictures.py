"""Changed copies of scenes and photographs are found, and different pictures stay apart."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from grouping import File, keepers, look_at, score
from PIL import Image

from pipelines.sources.painter import paint
from pipelines.sources.painting.copies import KINDS
from pipelines.sources.synthetic import encoded

UNSEEN = (90_001, 90_002)  # seeds that nothing was tuned on
SCENES = 60  # of each


def scenes(seed: int, count: int) -> list[File]:
    """Each scene and all its changed copies, as the source gives them."""
    files = []
    for index in range(count):
        pixels = paint(seed, index)
        for kind in (None, *KINDS[1:]):
            name = f"synthetic:{seed}/{index:06d}" + (f"-{kind}" if kind else "")
            files.append(File(name, encoded(pixels, kind)))
    return files


@pytest.fixture(scope="module")
def looked_at() -> pa.Table:
    return look_at([file for seed in UNSEEN for file in scenes(seed, SCENES)])


@pytest.mark.slow
def test_copies_of_unseen_scenes_are_found_and_nothing_else(looked_at):
    """Half size, JPEG quality 30, 2 % off each side, mirrored, a fifth brighter."""
    of = {name: name.partition("-")[0] for name in looked_at["photo_id"].to_pylist()}
    assert looked_at.num_rows == len(UNSEEN) * SCENES * 6
    found = score(looked_at, of, keepers(looked_at))
    assert found.wrong == ()
    assert found.precision == 1.0
    assert found.recall >= 0.98, Counter(name.partition("-")[2] for name in found.missed)


@pytest.mark.slow
def test_each_kind_of_copy_is_found_on_its_own(looked_at):
    """Of a scene and one copy, so that no other copy stands between them: 95 % and more of every kind."""
    names = looked_at["photo_id"].to_pylist()
    for kind in KINDS[1:]:
        alone = looked_at.filter(pa.array([name.partition("-")[2] in ("", kind) for name in names]))
        gone = keepers(alone)
        assert {name.partition("-")[0] for name in gone} == {keeper.partition("-")[0] for keeper in gone.values()}
        assert len(gone) >= 0.95 * len(UNSEEN) * SCENES, kind


@pytest.mark.slow
def test_mirror_images_are_found_only_where_they_are_looked_for(looked_at):
    mirrored = [name for name in looked_at["photo_id"].to_pylist() if name.endswith("-mirror")]
    assert len(set(mirrored) & set(keepers(looked_at))) >= 0.98 * len(mirrored)
    assert not set(mirrored) & set(keepers(looked_at, mirrored=False))


def test_frames_around_pictures_of_a_single_grey_do_not_make_them_one():
    """What has no content of its own: skies without a cloud, black frames."""
    files = []
    for name, colour in (("blue", (90, 140, 220)), ("grey", (128, 128, 128)), ("black", (0, 0, 0))):
        out = io.BytesIO()
        Image.new("RGB", (300, 200), colour).save(out, "PNG")
        files.append(File(name, out.getvalue()))
    assert keepers(look_at(files)) == {}


# Photographs, where they are at hand.


def read(folder: Path) -> list[File]:
    return [File(f"{folder.name}/{path.name}", path.read_bytes()) for path in sorted(folder.glob("*.jpg"))]


@pytest.mark.slow
def test_no_two_different_photographs_are_one(photographs):
    files = [file for name in ("landscapes", "others", "coco100") for file in read(photographs / name)]
    assert len(files) > 150
    assert keepers(look_at(files)) == {}


@pytest.mark.slow
def test_copies_of_photographs_are_found_but_for_those_that_lost_a_tenth(photographs):
    originals, copies = read(photographs / "landscapes"), read(photographs / "duplicates")
    of = {file.name: file.name for file in originals}
    for copy in copies:
        stem = copy.name.partition("/")[2].partition("__")[0]
        (of[copy.name],) = [file.name for file in originals if file.name.partition("/")[2].startswith(stem)]
    for kind in sorted({copy.name.partition("__")[2] for copy in copies}):
        these = [copy for copy in copies if copy.name.endswith(f"__{kind}")]
        gone = keepers(view := look_at([*originals, *these]))
        found = score(view, of, gone)
        assert found.wrong == (), kind
        if kind != "crop10.jpg":
            assert found.missed == (), kind
