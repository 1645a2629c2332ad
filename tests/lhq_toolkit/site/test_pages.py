"""What the pages name is there: commands that parse, options, settings, variables, files, numbers."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pytest
from pages import BESIDE_CODE, DOCS, PAGES, ROOT, blocks, commands, prose

from benchmarks.perf import _all
from lhq_toolkit import cli
from lhq_toolkit.site.architecture import PACKAGES
from lhq_toolkit.site.commands import commands as every_command
from manifests.queries import read_queries
from manifests.tags import BLACKLIST, read_list
from pipelines.filters import OURS
from pipelines.sources import metadata

EVERY = every_command(cli.app, "lhq")
OPTIONS = {option for one in EVERY.values() for given in one.params for option in (*given.opts, *given.secondary_opts)}
OF_OTHERS = {  # of every program, of benchmarks.perf, of Ray, of pip
    *("--help", "--json", "--full", "--peer"),
    *("--head", "--address"),
    "--no-build-isolation",
}
OF_TESTS = {"LHQ_FAULT", "LHQ_ALLOW_PRIVATE_HOSTS", "LHQ_FLICKR_URL", "LHQ_UNSPLASH_URL"}

pages = pytest.mark.parametrize("page", [*PAGES, *BESIDE_CODE], ids=lambda page: str(page.relative_to(ROOT)))


def test_most_pages_show_commands():
    shown = {page: sum(1 for block in blocks(page) for _ in commands(block)) for page in PAGES}
    assert sum(shown.values()) > 60
    assert sum(1 for many in shown.values() if many) > len(PAGES) / 2


@pages
def test_every_command_in_a_block_parses(page):
    makefile = (ROOT / "Makefile").read_text()
    for block in blocks(page):
        for program, *words in commands(block):
            if program == "lhq":
                name = max((one for one in EVERY if f"{' '.join(['lhq', *words])} ".startswith(f"{one} ")), key=len)
                assert not hasattr(EVERY[name], "commands"), f"lhq {' '.join(words)}"
                EVERY[name].make_context(name, words[name.count(" ") :])  # raises where anything does not fit
            elif program == "make":
                target, *given = words
                assert re.search(rf"^{target}:", makefile, re.M), target
                assert all(f"$({one.partition('=')[0]})" in makefile for one in given), given
            elif program == "python" and words[0] == "-c":
                compile(words[1], str(page), "exec")
            elif program == "python":
                assert words[0] == "-m"
                script = find_spec(words[1])
                assert script is not None, words[1]
                assert all(one in OF_OTHERS for one in words[2:] if one.startswith("--")), words
            else:
                assert program in ("export", "source", "ray"), program


@pages
def test_every_command_option_and_setting_that_is_named_exists(page):
    text = re.sub(r"\s+", " ", page.read_text())
    for first, second in re.findall(r"`lhq ([a-z]+)(?: ([a-z]+)\b)?", text):
        assert f"lhq {first}" in EVERY, first
        if hasattr(EVERY[f"lhq {first}"], "commands") and second:
            assert f"lhq {first} {second}" in EVERY, second
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)):
        assert option in OPTIONS | OF_OTHERS, option
    for stage, name in re.findall(rf"\b({'|'.join(OURS)})\.([a-z_]+)=", text):
        assert name in OURS[stage].settings_type.model_fields, f"{stage}.{name}"


@pages
def test_every_measurement_that_is_named_takes_the_options_that_stand_with_it(page):
    for name, given in re.findall(r"python -m benchmarks\.perf\.([a-z]\w*)([^`#\n]*)", page.read_text()):
        script = (ROOT / "benchmarks" / "perf" / f"{name}.py").read_text()
        taken = {"--json", "--full"} | ({"--peer"} if re.search(r"parse_options\([^)]*\bpeer=", script) else set())
        assert set(re.findall(r"--[a-z]+", given)) <= taken, (name, given)


def test_every_figure_of_performance_has_its_command_and_machine():
    text = (DOCS / "performance.md").read_text().partition("## What we measured")[2]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    figures = [row for row in rows if row[0] != "what" and not set("".join(row)) <= set("-|")]
    assert len(figures) > 20
    for *_, command, machine in figures:
        assert re.fullmatch(r"`(python -m benchmarks\.perf\.|make |lhq ).+`", command), command
        assert machine in ("quiet", "busy", "AVX-512"), machine


@pages
def test_every_source_file_that_is_named_exists(page):
    for name in re.findall(
        r"`((?:lhq_toolkit|pipelines|benchmarks|models|manifests|tests|samples)/[\w/.]*)`", prose(page)
    ):
        assert (ROOT / name).exists() or ROOT / name == _all.RECORD, name


def test_the_environment_is_told_whole():
    text = (DOCS / "commands.md").read_text()
    table = text.split("## Environment")[1].split("<!--")[0]
    told = set(re.findall(r"\b(?:LHQ|FLICKR|UNSPLASH)_[A-Z_]+\b", table))
    name = re.compile(r"[\"'](LHQ_[A-Z_]+|[A-Z]+_(?:API|ACCESS)_KEY)[\"']")
    read = {
        found
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for found in name.findall(path.read_text())
    }
    assert told == read - OF_TESTS


def test_every_column_of_a_metadata_file_is_told():
    told = (DOCS / "curate.md").read_text().partition("## The metadata file")[2].partition("## ")[0]
    names = {name for row in re.findall(r"^\| (`.+?) \|", told, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert names == {*metadata.PATH_COLUMNS, *metadata.COLUMNS}


def test_the_numbers_that_the_pages_name_are_those_of_the_code():
    filters, crawl = ((DOCS / f"{name}.md").read_text() for name in ("filters", "crawl"))
    assert f"list of {len(read_list(BLACKLIST))}" in filters
    assert f"{len(read_queries())} queries of ours" in crawl
    assert f"{OURS['resolution'].settings_type().min_side:,}, as in LHQ" in filters  # type: ignore[attr-defined]
    assert f"score at or above {OURS['invariance'].settings_type().threshold}" in filters  # type: ignore[attr-defined]
