"""What the README says is true: its commands run in its order, its queries answer, the demo ends well."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import duckdb
import pytest
from endless import untrained_run
from PIL import Image

from benchmarks import leaderboard
from lhq_toolkit import cli, demo
from manifests.queries import read_queries
from manifests.tags import BLACKLIST, read_list

pytestmark = pytest.mark.usefixtures("own_cache")
README = (Path(__file__).parents[2] / "README.md").read_text()


def block_with(text: str) -> str:
    """The fenced block of the README that holds `text`."""
    (found,) = [block for block in re.findall(r"```\w*\n(.*?)```", README, re.DOTALL) if text in block]
    return found


@pytest.fixture(scope="module")
def curated(painted, lhq, tmp_path_factory) -> Path:
    """The folder in which the README's four commands ran, on 40 pictures."""
    place = tmp_path_factory.mktemp("readme")
    (place / "PICTURES").mkdir()
    for path in [*sorted(painted.glob("*.jpg"))[:40], painted / "metadata.csv"]:
        (place / "PICTURES" / path.name).write_bytes(path.read_bytes())
    (place / "PICTURES" / "large.jpg").write_bytes(b"not a picture")
    commands = block_with("--source folder").strip().splitlines()
    assert len(commands) == 4
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program.endswith("/lhq")
        small = ["--set", "resolution.min_side=90"] if "--resolution" in arguments and arguments[0] == "filter" else []
        workers = ["--workers", "0"] if arguments[0] != "status" else []
        ran = lhq(*arguments, *small, *workers, cwd=place)
        assert ran.code == 0, ran.err
    return place


@pytest.mark.slow
def test_the_four_commands_curate_a_folder_of_pictures(curated):
    pictures = list((curated / "OUT" / "images").glob("*.png"))
    assert pictures
    for path in pictures:
        with Image.open(path) as image:
            assert image.size == (256, 256)
    for name in ("ATTRIBUTION.csv", "README.md", "SHA256SUMS"):
        assert (curated / "OUT" / name).is_file()


@pytest.mark.long  # the demo and test_benchmark_commands.py run the same ones, smaller
def test_the_commands_of_the_benchmark_end_with_a_row_each_and_a_panorama(curated, lhq):
    quick = ["--set", "images=32", "--set", "channel_base=128", "--set", "channel_max=8", "--threads", "1"]
    for text in ("lhq benchmark", "lhq train "):
        for line in block_with(text).strip().splitlines():
            command = shlex.split(line)[1:]
            more = quick if command[0] in ("benchmark", "train") else []
            ran = lhq(*command, *more, *(["--workers", "0"] if command[0] == "export" else []), cwd=curated)
            assert ran.code == 0, ran.err
    assert [row.model for row in leaderboard.read(curated / "leaderboards" / "NAME.csv")] == ["stylegan2", "alis"]
    with Image.open(curated / "panorama.png") as panorama:
        assert panorama.size == (8 * 64, 64)


@pytest.mark.slow
def test_the_commands_that_draw_make_what_they_say(tmp_path, monkeypatch, capsys):
    """Shorter, and as WebP where there is perhaps no ffmpeg."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # what the commands set is put back
    untrained_run(tmp_path / "RUN", "alis", resolution=64, patches=4, input_resolution=4)
    commands = block_with("--pan 0.5").replace("2000", "12").replace(" 60 ", " 4 ").replace(".mp4", ".webp").strip()
    for line in commands.splitlines():
        program, *words = shlex.split(line, comments=True)
        assert program.endswith("/lhq")
        assert cli.run([*words, "--threads", "1"]) == 0, capsys.readouterr().err
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"RUN", "frames", "long.png", "long.dzi", "long_files", "walk.webp", "edited.png", "joined.png"}


@pytest.mark.slow
def test_the_queries_answer_without_our_code(curated, lhq):
    assert lhq("manifest", "DATASET", "-o", "all.parquet", cwd=curated).code == 0
    queries = [line.split(";")[0] for line in block_with("SELECT").splitlines() if line.startswith("SELECT")]
    by_licence, out = (
        duckdb.sql(query.replace("'DATASET", f"'{curated}/DATASET").replace("'all", f"'{curated}/all")).fetchall()
        for query in queries
    )
    assert sum(count for _, count in by_licence) == 41
    assert out


def test_every_option_and_file_the_readme_names_exists(lhq):
    root = Path(__file__).parents[2]
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README):
        assert link.startswith("https://") or (root / link).exists(), link
    commands = (
        "crawl",
        "filter",
        "export",
        "manifest",
        "remove",
        "report",
        "review",
        "status",
        "train",
        "verify",
        "evaluate",
        "generate",
        "import",
        "convert",
        "serve",
        "benchmark",
    )
    of_leaderboards = [("leaderboard", one) for one in ("show", "check", "merge", "publish")]
    every = "\n".join(lhq(*command, "--help").out for command in [*((one,) for one in commands), *of_leaderboards])
    for option in set(re.findall(r"--[a-z][a-z0-9-]+", README)):
        assert option in every, option
    for setting in re.findall(r"--set ([a-z]+\.[a-z_]+)=", README):
        from pipelines.filters import OURS

        stage, name = setting.split(".")
        assert name in OURS[stage].settings_type.model_fields


def test_the_numbers_the_readme_names_are_those_of_the_code():
    from pipelines.filters import OURS

    assert f"list of {len(read_list(BLACKLIST))}" in README
    assert f"{len(read_queries())} queries of ours" in README
    assert f"{OURS['resolution'].settings_type().min_side:,}, as in LHQ" in README  # type: ignore[attr-defined]
    assert f"score at or above {OURS['invariance'].settings_type().threshold}" in README  # type: ignore[attr-defined]


def test_make_test_runs_every_folder_of_tests():
    root = Path(__file__).parents[2]
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["testpaths"]
    there = {path.relative_to(root).parts[1] for path in root.glob("tests/**/test_*.py")}
    assert {f"tests/{name}" for name in there} == set(listed)


@pytest.mark.slow
def test_the_demo_ends_with_a_contact_sheet_two_rows_and_a_panorama(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(demo, "RESOLUTION", 32)
    quick = ["images=32", "channel_base=128", "channel_max=8"]
    assert demo.main(tmp_path / "demo", scenes=30, settings=quick) == 0
    said = capfd.readouterr().out
    assert "invariance" in said
    assert "rejected" in said
    with Image.open(tmp_path / "demo" / "contact_sheet.png") as sheet:
        assert sheet.width > 1000
        assert len(sheet.convert("RGB").getcolors(2**24) or []) > 1000, "an empty sheet"
    assert len(list((tmp_path / "demo" / "pictures-32" / "images").iterdir())) > 60
    assert [row.model for row in leaderboard.read(tmp_path / "demo" / "leaderboard.csv")] == ["stylegan2", "alis"]
    with Image.open(tmp_path / "demo" / "panorama.png") as panorama:
        assert panorama.size == (8 * 32, 32)
        assert len(panorama.convert("RGB").getcolors(2**16) or []) > 500, "an empty panorama"
