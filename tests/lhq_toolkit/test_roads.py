"""The roads of the documentation can be walked: their commands run in their order and leave what they say."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from endless import untrained_run
from pages import DOCS, PAGES, README, ROOT, block_with, blocks, commands
from PIL import Image

from benchmarks import leaderboard
from lhq_toolkit import cli

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")
QUICK = ("--threads=1", "--set=images=32", "--set=channel_base=128", "--set=channel_max=8")
SHORTER: Mapping[str, Sequence[str]] = {
    "crawl": ("--limit=40", "--workers=0"),
    "filter": ("--workers=0",),
    "export": ("--workers=0",),
    "train": QUICK,
    "benchmark": QUICK,
}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """What commands set for the processes they start is put back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def walk(lines: Sequence[Sequence[str]], place: Path) -> list[str]:
    """Run commands of `lhq` in a folder, shorter than they stand there; returns which."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name, *words in lines:
            assert cli.run([name, *words, *SHORTER.get(name, ())]) == 0, (name, *words)
    return [name for name, *_ in lines]


def quick_start() -> list[list[str]]:
    """Its commands of `lhq`; how it begins, with `make setup` and `lhq doctor`, has tests of its own."""
    every = (line for block in blocks(DOCS / "quick-start.md") for line in commands(block))
    return [words for program, *words in every if program == "lhq" and words != ["doctor"]]


def lines_with(page: Path, text: str) -> list[list[str]]:
    """The commands of `lhq` in the block that holds `text`."""
    return [words for program, *words in commands(block_with(page, text)) if program == "lhq"]


@pytest.fixture(scope="module")
def curated(tmp_path_factory, own_cache, one_thread) -> Path:
    """The folder in which the quick start ran up to its training."""
    place = tmp_path_factory.mktemp("quick-start")
    shutil.copytree(ROOT / "samples", place / "samples")
    (place / "samples" / "torn.jpg").write_bytes(b"not a picture")
    lines = quick_start()
    first = [name for name, *_ in lines].index("train")
    ran = walk(lines[:first], place)
    assert ran == ["crawl", "filter", "status", "filter", "filter", "report", "manifest", "export"]
    return place


@pytest.mark.slow
def test_the_quick_start_curates_the_samples_and_hands_them_on(curated):
    pictures = list((curated / "PICTURES" / "images").glob("*.png"))
    assert len(pictures) > 20
    for path in pictures:
        with Image.open(path) as image:
            assert image.size == (64, 64)
    for name in ("ATTRIBUTION.csv", "README.md", "SHA256SUMS"):
        assert (curated / "PICTURES" / name).is_file()
    photos = pq.read_table(curated / "all.parquet")
    assert photos.num_rows == 9 + 1 + 40
    assert photos["keep"].to_pylist().count(True) * 4 == len(pictures)
    assert (curated / "report.html").stat().st_size > 10_000


@pytest.mark.long  # the demo trains, measures and draws in the same way
def test_the_quick_start_trains_measures_and_draws(curated):
    lines = quick_start()
    first = [name for name, *_ in lines].index("train")
    assert walk(lines[first:], curated) == ["train", "evaluate", "generate"]
    with Image.open(curated / "panorama.png") as panorama:
        assert panorama.size == (8 * 64, 64)


@pytest.mark.slow
def test_the_queries_answer_without_our_code(curated):
    for page in (README, DOCS / "dataset.md"):
        lines = block_with(page, "SELECT", "sql").splitlines()
        by_licence, out = (
            duckdb.sql(
                line.split(";")[0].replace("'DATASET", f"'{curated}/DATASET").replace("'all", f"'{curated}/all")
            ).fetchall()
            for line in lines
        )
        assert sum(count for _, count in by_licence) == 50
        assert out


@pytest.mark.slow
def test_the_python_on_the_pages_runs(curated, monkeypatch, capsys):
    """But for that of extending.md, which tests/examples holds to be the code of the examples."""
    (curated / "PICTURES-64").symlink_to(curated / "PICTURES")
    (curated / "THEIRS").symlink_to(curated / "PICTURES" / "images")
    monkeypatch.chdir(curated)
    ran = {}
    for page in PAGES:
        for block in blocks(page, "python") if page.name != "extending.md" else ():
            exec(compile(block, str(page), "exec"), {})
            ran[page.stem] = capsys.readouterr().out
    assert ran.keys() == {"benchmark", "dataset"}
    distance = re.fullmatch(r"(\S+) by small-conv\S*.*, (\d+) pictures against (\d+)\n", ran["benchmark"])
    assert distance
    assert float(distance[1]) == pytest.approx(0, abs=1e-6)
    assert distance[2] == distance[3] == str(len(list((curated / "PICTURES" / "images").iterdir())))
    told = dict(line.split(" ", 1) for line in ran["dataset"].splitlines())
    assert told.keys() == set(pq.read_schema(curated / "all.parquet").names)
    assert all(told.values())


@pytest.mark.long  # the demo and test_benchmark_commands.py run the same ones, smaller
def test_the_commands_of_the_benchmark_end_with_a_row_each_and_a_panorama(curated):
    walk(lines_with(DOCS / "benchmark.md", "lhq benchmark"), curated)
    assert [row.model for row in leaderboard.read(curated / "leaderboards" / "NAME.csv")] == ["stylegan2", "alis"]
    shutil.rmtree(curated / "RUN", ignore_errors=True)
    (curated / "panorama.png").unlink(missing_ok=True)
    assert walk(lines_with(DOCS / "training.md", "lhq train "), curated) == ["train", "evaluate", "generate"]
    with Image.open(curated / "panorama.png") as panorama:
        assert panorama.size == (8 * 64, 64)


@pytest.mark.slow
def test_the_commands_that_draw_make_what_they_say(tmp_path, monkeypatch, capsys):
    """Shorter, and as WebP where there is perhaps no ffmpeg."""
    monkeypatch.chdir(tmp_path)
    untrained_run(tmp_path / "RUN", "alis", resolution=64, patches=4, input_resolution=4)
    block = block_with(DOCS / "panoramas.md", "--pan 0.5")
    for program, *words in commands(block.replace("2000", "12").replace(" 60 ", " 4 ").replace(".mp4", ".webp")):
        assert program == "lhq"
        assert cli.run([*words, "--threads", "1"]) == 0, capsys.readouterr().err
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"RUN", "frames", "long.png", "long.dzi", "long_files", "walk.webp", "edited.png", "joined.png"}


def test_the_readme_gives_the_commands_of_the_pages_it_leads_to():
    curate, of_page = (block_with(page, "--source folder") for page in (README, DOCS / "curate.md"))
    assert list(commands(curate)) == list(commands(of_page))
    compare, of_page = (block_with(page, "lhq benchmark") for page in (README, DOCS / "benchmark.md"))
    assert list(commands(compare)) == list(commands(of_page))
    crawl, of_page = (block_with(page, "--metadata-only") for page in (README, DOCS / "crawl.md"))
    assert [line for line in commands(of_page) if line not in commands(crawl)] == []
