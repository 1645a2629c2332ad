"""What strangers wrote passes from crawl to report and export as text: no script, no link but http(s), no formula."""

from __future__ import annotations

import csv
import html.parser
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.slow  # a crawl, a filter, a report and exports

SCRIPT = "<script>document.title='taken'</script>"
IMAGE = '"><img src=x onerror="document.title=\'taken\'">'
FORMULA = "=cmd|' /C calc'!A0"
ROWS = [
    {"title": SCRIPT, "author": FORMULA, "page_url": "javascript:document.title='taken'", "tags": "<b>bold</b>;tag"},
    {"title": IMAGE, "author": "@SUM(1)", "page_url": "https://example.org/a?b='\"><script>", "tags": "{{7*7}};&amp;"},
    {"title": "+1", "author": "-1", "page_url": "data:text/html,<script>", "tags": "]]>;</style>;--"},
    {"title": "[a](javascript:b) `x`", "author": "\u202ereversed", "page_url": "https://example.org/fine", "tags": ""},
    {"title": "a\x0bb\ud7ff", "author": "</title></svg>", "page_url": "HTTPS://EXAMPLE.org/Caps", "tags": "\x01;car"},
]


@pytest.fixture(scope="module")
def dataset(lhq, tmp_path_factory) -> Path:
    pictures, place = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("set") / "d"
    with (pictures / "meta.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["file", "license", "description", "author_url", *ROWS[0]])
        writer.writeheader()
        for at, row in enumerate(ROWS):
            noise = np.random.default_rng(at).integers(0, 255, (40 + 8 * at, 60, 3)).astype(np.uint8)
            Image.fromarray(noise).save(pictures / f"{at}.png")
            more = {"license": "CC0", "description": SCRIPT, "author_url": "javascript:alert(1)"}
            writer.writerow({"file": f"{at}.png", **more, **row})
    source = ("--source", "folder", "--path", pictures, "--metadata", pictures / "meta.csv")
    ran = lhq("crawl", place, *source, "--workers", "0")
    assert ran.code == 0, ran.err
    ran = lhq("filter", place, "--tags", "--resolution", "--set", "resolution.min_side=50", "--workers", "0")
    assert ran.code == 0, ran.err
    return place


@pytest.fixture(scope="module")
def page(lhq, dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report") / "r.html"
    ran = lhq("report", dataset, "-o", out, "--figures", "svg")
    assert ran.code == 0, ran.err
    return out


class Seen(html.parser.HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_report_shows_it_as_text_and_links_to_the_web_only(page):
    seen = Seen(page.read_text())
    names = {name for name, _ in seen.elements}
    assert not names & {"script", "iframe", "object", "embed", "form", "base", "link", "b onerror"}
    attributes = {(name, value) for _, some in seen.elements for name, value in some.items()}
    assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]
    links = {value for name, value in attributes if name in ("href", "action", "xlink:href", "formaction")}
    assert links == {"https://example.org/fine", "HTTPS://EXAMPLE.org/Caps"}
    assert all(value.startswith("data:image/jpeg;base64,") for name, value in attributes if name == "src")
    assert SCRIPT in seen.text


def test_the_report_forbids_everything_but_its_own_style_and_pictures(page):
    policies = [a["content"] for name, a in Seen(page.read_text()).elements if a.get("http-equiv")]
    (policy,) = policies
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["style-src"].startswith("'sha256-")
    assert set(rules) == {"default-src", "img-src", "style-src", "base-uri", "form-action"}


def test_a_browser_runs_nothing_and_applies_the_style(page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium here")
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command = [*common, "--enable-logging=stderr", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert "taken" not in done.stdout.split("</title>")[0]
    assert "Content Security Policy" not in done.stderr, done.stderr
    shot = tmp_path / "shot.png"
    dark = ["--blink-settings=preferredColorScheme=0", f"--screenshot={shot}", "--window-size=600,400"]
    subprocess.run([*common, *dark, page.as_uri()], capture_output=True, check=True, timeout=120)
    with Image.open(shot) as image:
        assert max(image.convert("RGB").getpixel((2, 2))) < 60, "the page is not dark in dark mode"


def test_figures_are_svg_that_any_reader_of_xml_takes(page):
    from xml.etree import ElementTree

    figures = sorted((page.parent / "r-figures").glob("*.svg"))
    assert {"funnel.svg", "tags.svg", "stage-resolution.svg"} <= {path.name for path in figures}
    for path in figures:
        root = ElementTree.fromstring(path.read_text())
        assert {one.tag.partition("}")[2] for one in root.iter()} <= {"svg", "rect", "line", "text", "polygon", "title"}


@pytest.fixture(scope="module")
def exported(lhq, dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("exports") / "out"
    ran = lhq("export", dataset, out, "--format", "webdataset", "--resolution", 16, "--workers", "0")
    assert ran.code == 0, ran.err
    return out


def test_no_cell_of_the_table_runs_as_a_formula(exported):
    rows = list(csv.DictReader((exported / "ATTRIBUTION.csv").open(newline="", encoding="utf-8")))
    assert rows
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {"'+1", "'-1"} <= {cell for row in rows for cell in row.values()}
    assert {row["page_url"] for row in rows} <= {"", "https://example.org/fine", "HTTPS://EXAMPLE.org/Caps"}


def test_cards_hold_no_html_and_no_links_but_of_the_web(exported):
    text = (exported / "ATTRIBUTION.md").read_text()
    card = (exported / "README.md").read_text()
    assert "<script" not in text + card
    assert "\u202e" not in text
    targets = [part.partition(">")[0] for part in text.split("](<")[1:]]
    assert targets
    assert all(target.lower().startswith("https://") for target in targets)
    assert "](javascript" not in text
    assert isinstance(yaml.safe_load(card.split("---")[1]), dict)


def test_what_programs_read_holds_no_other_links(exported):
    json.loads((exported / "croissant.json").read_text())
    with tarfile.open(exported / "shard-00000.tar") as archive:
        facts = [json.load(archive.extractfile(one)) for one in archive if one.name.endswith(".json")]
    assert {one["page_url"] for one in facts} <= {None, "https://example.org/fine", "HTTPS://EXAMPLE.org/Caps"}
