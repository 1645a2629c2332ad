"""The leaderboard's page: strangers' rows are text, what cannot be compared is apart, a real browser can use it."""

from __future__ import annotations

import dataclasses
import html.parser
import itertools
from pathlib import Path

import pytest
from boards import row
from reviewing import BROWSER, DESKTOP, PHONE, browsing, until

from benchmarks import presets
from lhq_toolkit.board import page, view
from lhq_toolkit.board.pictures import Drawn

SCRIPT = "<script>document.title='taken'</script>"
HOSTILE = {"model": SCRIPT, "dataset": '"><img src=x onerror="document.title=1">', "device": "]]></style><b>{{7*7}}"}
EVERY_COLUMN = {
    **{"panorama_ms_per_frame": 12.5, "images_per_s": 210.4, "gmac": 1.85, "kid": 0.0123, "precision": 0.612},
    **{"recall": 0.421, "repetition": 0.0312, "noise_use": 0.21, "total": 48_241_435},
}
ABLATION = [row(fd=0.3, d=1), row(fd=0.2, d=2), row(fd=0.25, d=4), row(fd=0.5, d=8)]


def html_of(*rows) -> str:
    return page.html("sample", view.groups(rows), {}, "0.1")


class Seen(html.parser.HTMLParser):
    """Elements with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.parts: list[str] = []  # classes and texts, in their order
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.parts.append(dict(attrs).get("class") or "")

    def handle_data(self, data):
        self.text += data
        self.parts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_what_strangers_wrote_is_shown_as_text_and_one_script_runs():
    seen = Seen(html_of(row(**HOSTILE, recipe_hash="e" * 64), row("locogan")))
    assert len(seen.all("script")) == 1
    assert not [name for _, some in seen.elements for name in some if name.startswith("on") or name == "style"]
    assert {name for name, _ in seen.elements}.isdisjoint({"iframe", "object", "form", "base", "link", "b"})
    assert SCRIPT in seen.text
    (policy,) = [some["content"] for some in seen.all("meta") if some.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["script-src"].startswith("'sha256-")
    assert "unsafe" not in policy


def test_rows_that_cannot_be_compared_stand_in_tables_of_their_own():
    groups = view.groups([row("alis"), row("locogan", 0.5), row("stylegan2", 0.1, n_real=99), row(seed=9, n_real=None)])
    assert [[entry.row.model for entry in group.entries] for group in groups] == [
        ["alis", "locogan"],
        ["stylegan2"],
        ["alis"],
    ]
    assert [group.comparable for group in groups] == [True, True, False]
    tables = [some for some in Seen(page.html("x", groups, {}, "1")).all("table") if some.get("class") == "board"]
    assert len(tables) == 3


def test_infinity_numbers_of_other_panoramas_give_no_order():
    together = html_of(row(), row("locogan", 0.5))
    apart = html_of(row(), row("locogan", 0.5, infinity_setup="500 panoramas of 100 frames, seeds 0-499"))
    assert ">infinity fd</button>" in together
    assert ">infinity fd</button>" not in apart
    assert "not comparable with each other" in apart


def test_seeds_are_one_entry_with_their_spread():
    (group,) = view.groups([row(fd=0.2), row(fd=0.4, seed=1), row("locogan", 0.35)])
    assert [view.label(entry, group.entries) for entry in group.entries] == ["alis (2 seeds)", "locogan"]
    distance, *_ = group.columns()
    assert view.text_of(distance.of(group.entries[0])) == "0.3 ± 0.14"
    assert view.text_of(distance.of(group.entries[1])) == "0.35 ± 0.01"


def test_entries_of_one_model_are_told_apart_by_what_differs():
    (group,) = view.groups([*ABLATION, row("locogan"), row("locogan", 0.9, device="H200")])
    labels = {view.label(entry, group.entries) for entry in group.entries}
    assert labels == {"alis, d=1", "alis, d=2", "alis, d=4", "alis, d=8", "locogan, cpu", "locogan, H200"}


def test_the_figures_tell_both_scores_against_d_and_quality_against_speed():
    seen = Seen(html_of(*ABLATION, row("stylegan2", 0.1, ms_per_image=3.0)))
    said = {some.get("aria-label", "").partition(".")[0]: some["aria-label"] for some in seen.all("svg")}
    assert set(said) == {"Quality against speed, on cpu, 2 threads", "Both scores against the distance of anchors"}
    told = said["Both scores against the distance of anchors"]
    assert "fd 0.2 at d = 2" in told
    assert "infinity fd 0.55 at d = 8" in told


def test_an_entry_has_one_colour_in_all_figures_and_tables():
    rows = [row(model, fd) for fd, model in enumerate(("stylegan2", "alis", "locogan", "alis-nocoords"), 1)]
    curves = {"alis": 3, "alis-nocoords": 3, "locogan": 1, "stylegan2": 0}  # one figure shows others than the next
    drawn = {
        one: Drawn(
            Path(),
            presets.preset(one.model, "sample", "smoke", 64),
            difficulty=tuple((x, 0.1 * x) for x in range(curves[one.model])),
            repetition=tuple((x, 0.1 * x) for x in range(1, 1 + 2 * bool(curves[one.model]))),
        )
        for one in rows
    }
    groups = view.groups([*rows, *(dataclasses.replace(one, n_real=9) for one in reversed(rows[1:]))])
    seen = Seen(page.html("sample", groups, drawn, "0.1"))
    colours: dict[str, set[str]] = {one.model: set() for one in rows}
    for before, after in itertools.pairwise(seen.parts):
        if before.startswith("key ") and after.strip() in colours:
            colours[after.strip()].add(before.removeprefix("key "))
    assert sorted(map(len, colours.values())) == [1] * len(rows)
    assert len(set.union(*colours.values())) == len(rows)


def test_the_papers_numbers_stand_beside_and_are_marked():
    seen = Seen(html_of(row(resolution=256, dataset="lhq"), row("stylegan2", resolution=256, dataset="lhq")))
    assert "Beside the paper" in seen.text
    assert "47.1" in seen.text
    assert seen.text.count("paper") > 10


def test_the_same_rows_make_the_same_page():
    assert html_of(*ABLATION) == html_of(*ABLATION)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html_of(*ABLATION, row("stylegan2", 0.1, ms_per_image=9.0), row(**HOSTILE, recipe_hash="e" * 64)))
    return path


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_table_with_every_column_fits_a_desktop_and_moves_on_a_phone(tmp_path):
    models = ("alis", "alis-nocoords", "locogan", "stylegan2")
    (tmp_path / "page.html").write_text(html_of(*(row(one, fd=0.2123, **EVERY_COLUMN) for one in models)))
    moves = "[...document.querySelectorAll('.board')].map((one) => one.scrollWidth > one.parentElement.clientWidth)"
    with browsing() as browser:
        tab = browser.new_page(viewport=DESKTOP)
        tab.goto((tmp_path / "page.html").as_uri())
        assert tab.evaluate(moves) == [False]
        tab.set_viewport_size(PHONE)
        assert tab.evaluate(moves) == [True]
        wide = "document.querySelector('.wide')"
        assert tab.evaluate(f"({wide}.scrollLeft = 9999, {wide}.scrollLeft)") > 300
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_without_a_network_sorts_the_table_runs_nothing_else_and_fits_a_phone(written):
    first = "document.querySelector('.board tbody th').textContent.trim()"
    with browsing() as browser:
        context = browser.new_context(viewport=DESKTOP, offline=True)
        tab = context.new_page()
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(written.as_uri())
        assert tab.title() == "Leaderboard sample"
        assert tab.evaluate(first) == "stylegan2"
        slowest_last = tab.locator(".board").first.get_by_role("button", name="ms/image")
        slowest_last.click()
        until(tab, f"{first} !== 'stylegan2'")
        assert tab.locator(".board").first.locator("th[aria-sort=ascending]").count() == 1
        slowest_last.click()
        until(tab, f"{first} === 'stylegan2'")
        endless = tab.locator(".board").first.get_by_role("button", name="infinity fd")
        endless.click()
        rows = tab.locator(".board").first.locator("tbody th").all_inner_texts()
        assert rows[0] == "alis, d=2"
        assert rows[-1] == "stylegan2", "what has no number stands last"
        tab.set_viewport_size(PHONE)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert said == []
        dark = browser.new_context(viewport=PHONE, color_scheme="dark", offline=True).new_page()
        dark.goto(written.as_uri())
        assert dark.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 31)"
