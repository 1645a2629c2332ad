"""One rule says which code a failure ends with: 2 where the command has to be changed, 1 where something else has to.

The rule stands in docs/commands.md; here are its cases by command, so that like ends alike.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from lhq_toolkit import cli

CRAWL = "crawl D --source folder --path pictures --workers 0"

MISUSE = [
    # A value that does not fit, or options that exclude each other.
    ("crawl D --source nope", "no source is called 'nope'"),
    ("crawl D --source synthetic --limit 0", "at least 1"),
    ("crawl D --source folder --path pictures --recheck --retry-failed", "--recheck"),
    ("filter D --set resolution.min_side=0 --resolution", "at least 1"),
    ("train nope pictures -o RUN", "no model is called 'nope'"),
    ("weights fetch nope", "no weights are called 'nope'"),
    ("heatmap D -o picture.jpg", "ends in .png"),
    # A name of nothing.
    ("status none", "none is not a dataset"),
    ("status board.csv", "board.csv is a file and not a dataset"),
    ("status pictures", "pictures is not a dataset"),
    ("filter none --tags", "none is not a dataset"),
    ("review none", "none is not a dataset"),
    ("manifest none -o m.parquet", "none is not a dataset"),
    ("report none -o r.html", "none is not a dataset"),
    ("heatmap none -o h.png", "none is not a dataset"),
    ("export none OUT --format folder --resolution 8", "none is not a dataset"),
    ("verify none", "none is not a dataset"),
    ("remove none --id a:b --yes", "none is not a dataset"),
    ("train alis none -o RUN", "none does not exist"),
    ("evaluate none pictures", "none is not a run"),
    ("generate none -o x --frames 1", "none is not a run"),
    ("convert none -o x.onnx", "none is not a run"),
    ("serve none", "none is not a run"),
    ("import none.pkl --model alis -o RUN", "none.pkl is not there"),
    ("import none.ckpt --model taming -o RUN", "none.ckpt"),
    ("import none.pkl --model alis -o RUN --sizes none.json", "none.json"),
    ("benchmark --dataset tower --data none", "none does not exist"),
    ("leaderboard show none.csv", "no leaderboard none.csv"),
    ("leaderboard check none.csv", "no leaderboard none.csv"),
    ("leaderboard merge none.csv board.csv", "no leaderboard none.csv"),
    ("leaderboard show pictures/0.jpg", "pictures/0.jpg is not a leaderboard"),
    ("leaderboard check pictures", "pictures is not a leaderboard"),
    ("crawl D --source folder --path none", "--path none: there is no such folder"),
    ("crawl D --source folder --path texts", "no image files under texts"),
    ("crawl D --source folder --path pictures --metadata none.csv", "--metadata none.csv: there is no such file"),
    ("crawl D --source lsun --path none", "--path none: there is no such folder"),
    ("crawl D --source lsun --path pictures", "pictures is no LMDB"),
    ("crawl D --source flickr --queries none.txt", "the list of queries none.txt: there is no such file"),
    ("crawl D --source flickr --flickr-quota nan/s", "--flickr-quota nan/s: write a number"),
    ("status D --subset none", "no subset is called 'none'"),
    ("manifest D -o m.parquet --subset none", "no subset is called 'none'"),
    ("remove D --id folder:none --yes", "fits no photo"),
    ("manifest D -o none/m.parquet", "there is no folder none"),
    # A place that is taken.
    ("crawl texts --source folder --path pictures", "texts holds other files"),
    ("crawl board.csv --source folder --path pictures", "board.csv is a file"),
    ("export D texts --format folder --resolution 8 --workers 0", "texts is not empty"),
    ("train alis squares -o texts", "texts is not empty and no run"),
    ("import net.pkl --model alis -o texts", "texts is there already"),
]
FAILED = [
    ("status newer", "upgrade the toolkit"),
    ("status damaged", "restore it from a backup"),
    ("export empty OUT --format folder --resolution 8", "nothing to export"),
    ("crawl D --source folder --path pictures --metadata empty.csv", "empty.csv is empty"),
    ("crawl E --source unsplash --source flickr", "UNSPLASH_ACCESS_KEY, FLICKR_API_KEY, LHQ_CONTACT"),
    ("crawl D --source flickr --queries empty.csv --offline --plan", "empty.csv holds no query"),
    ("leaderboard show board.csv", "board.csv, line 1"),
    ("leaderboard check board.csv", ""),
    ("import net.pkl --model alis -o RUN", "nothing of it was run"),
    ("filter D --objects --workers 0", "lhq weights fetch"),
]

Said = tuple[int, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, own_cache: Path) -> Path:
    place = tmp_path_factory.mktemp("place")
    for name in ("pictures", "texts", "squares", "newer", "damaged"):
        (place / name).mkdir()
    for at in range(3):
        Image.effect_noise((80, 60), 40 + at).convert("RGB").save(place / "pictures" / f"{at}.jpg")
        Image.effect_noise((32, 32), 40 + at).convert("RGB").save(place / "squares" / f"{at}.png")
    (place / "texts" / "a.txt").write_text("a")
    (place / "board.csv").write_text("nothing,like,it\n")
    (place / "empty.csv").write_text("")
    (place / "net.pkl").write_bytes(b"no pickle")
    (place / "newer" / "dataset.json").write_text(json.dumps({"format": 99, "toolkit": "9.9", "generations": {}}))
    (place / "damaged" / "dataset.json").write_text("{")
    return place


@pytest.fixture
def lhq(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[str], Said]]:
    """Run `lhq` in this process and in `place`; the exit code and what stands on standard error."""
    monkeypatch.chdir(place)
    for name in ("UNSPLASH_ACCESS_KEY", "FLICKR_API_KEY", "LHQ_CONTACT", "LHQ_DATA"):
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield lambda line: (cli.run(line.split()), capsys.readouterr().err)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def datasets(place: Path, lhq: Callable[[str], Said]) -> None:
    if not (place / "D").exists():
        assert lhq(CRAWL) == (0, "")
        assert lhq("crawl empty --source synthetic --limit 1 --metadata-only --workers 0")[0] == 0


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [(line, 2, says) for line, says in MISUSE] + [(line, 1, says) for line, says in FAILED],
)
def test_like_ends_alike_with_one_line(lhq, place, line, code, says):
    before = sorted(path for path in place.rglob("*") if "locks" not in str(path))
    ended, said = lhq(line)
    assert says in said
    assert ended == code, said
    assert said.count("\n") == said.count("lhq: ") <= 1
    assert "Traceback" not in said
    assert sorted(path for path in place.rglob("*") if "locks" not in str(path)) == before


def test_the_documentation_tells_the_codes_that_the_program_has():
    page = (Path(cli.__file__).parents[1] / "docs" / "commands.md").read_text()
    told = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ") and "|" in line[2:]]
    codes = [one for one in told if one.isdigit()]
    assert codes == [str(one) for one in (cli.DONE, cli.FAILED, cli.MISUSE, cli.INTERRUPTED)]


def test_the_keys_of_the_environment_are_gone_from_it_afterwards(lhq, monkeypatch):
    monkeypatch.setenv("FLICKR_API_KEY", "k" * 32)
    assert lhq("crawl E --source flickr")[0] == 1
    assert "FLICKR_API_KEY" not in os.environ
