"""`lhq remove` shows what goes, asks, and tells what it did, to a person and to a program."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from running import lhq_command

pytestmark = pytest.mark.slow  # each runs the program several times

ONE = "folder:p/one.png"


@pytest.fixture
def dataset(tmp_path: Path, lhq) -> Path:
    (tmp_path / "p").mkdir()
    for value, name in enumerate(("one.png", "two.png")):
        Image.new("RGB", (8, 8), (value, 0, 0)).save(tmp_path / "p" / name)
    assert crawl(lhq, tmp_path / "d").json["fetched"] == 2
    return tmp_path / "d"


def crawl(lhq, dataset: Path):
    return lhq("crawl", dataset, "--source", "folder", "--path", dataset.parent / "p", "--workers", "0", "--json")


def answer(dataset: Path, text: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = lhq_command("remove", dataset, "--id", ONE, *more)
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False)


def photos(lhq, dataset: Path) -> int:
    return lhq("status", dataset, "--json").json["photos"]


@pytest.mark.parametrize("text", ["n\n", "\n", "", "never\n"])
def test_only_a_yes_is_a_yes(lhq, dataset, text):
    ran = answer(dataset, text)
    assert ran.returncode == 1
    assert "1 photo would be removed" in ran.stdout
    assert ONE in ran.stdout
    assert "nothing was removed" in ran.stdout
    assert photos(lhq, dataset) == 2


def test_after_a_yes_the_photo_is_gone_and_the_same_command_again_is_content(lhq, dataset):
    ran = answer(dataset, "y\n")
    assert ran.returncode == 0, ran.stderr
    assert "1 photo removed" in ran.stdout
    assert photos(lhq, dataset) == 1
    again = answer(dataset, "")
    assert again.returncode == 0, again.stderr
    assert "had been removed before" in again.stdout


def test_a_program_gets_a_preview_and_with_yes_the_deed(lhq, dataset):
    preview = lhq("remove", dataset, "--id", ONE, "--json").json
    assert preview["removed"] is False
    assert photos(lhq, dataset) == 2
    done = lhq("remove", dataset, "--id", ONE, "--json", "--yes").json
    assert done == {**preview, "removed": True}
    assert done["photos"] == [ONE]
    assert done["rows"] == {"photos": 1, "sightings": 1, "files": 1}
    assert len(done["files"]) == 1
    assert not (dataset / done["files"][0]).exists()
    assert photos(lhq, dataset) == 1


def test_every_picture_of_it_that_was_handed_on_is_told(lhq, dataset):
    out = dataset.parent / "out"
    out.mkdir()
    names = [f"images/{at:07}.png" for at in range(12)]  # the crops of one photo
    (out / "ATTRIBUTION.csv").write_text("file,photo_id\n" + "".join(f"{name},{ONE}\n" for name in names))
    (dataset / "exports.jsonl").write_text(json.dumps({"out": str(out)}) + "\n")
    assert f"holds {', '.join(names[:10])}, and 2 more (--json names all)" in answer(dataset, "n\n").stdout
    (export,) = lhq("remove", dataset, "--id", ONE, "--json").json["exports"]
    assert export["holds"] == {ONE: names}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "say what to remove"),
        (("--id", "one.png"), "ids are written"),
        (("--id", "folder:p/three.png"), "fits no photo"),
        (("--url", "one"), "https://"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(lhq, dataset, arguments, says):
    ran = lhq("remove", dataset, *arguments, "--yes")
    assert ran.code == 2
    assert says in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_what_strangers_wrote_is_shown_and_not_obeyed(lhq, dataset):
    (dataset / "exports.jsonl").write_text('{"out": "s3://x/\\u001b]0;taken\\u0007;$(id)"}\n')
    shown = lhq("remove", dataset, "--id", ONE).out
    assert shown.replace("\n", "").isprintable()
    assert "not asked; to ask it: --look-into 's3://x/\\x1b]0;taken\\x07;$(id)'" in shown


def test_no_dataset_is_made_where_there_is_none(lhq, tmp_path):
    ran = lhq("remove", tmp_path / "none", "--id", ONE, "--yes")
    assert ran.code == 2
    assert "is not a dataset" in ran.err
    assert not (tmp_path / "none").exists()
