"""`make docs` builds without a warning; every link of the site leads somewhere, and nothing comes from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from pages import BESIDE_CODE, DOCS, PAGES, ROOT, SITE, anchors, prose

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "embed": "src",
    "object": "data",
    "form": "action",
}


@dataclass
class Page(HTMLParser):
    """What a built page holds: names that a link may end at, links, and what a browser fetches to show it."""

    names: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.names.append(given["id"])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link":  # icons, styles, and the pages before and after
            self.loads.append(given["href"])
        if LOADS.get(tag, "") in given:
            self.loads.append(given[LOADS[tag]])
        if "srcset" in given:
            self.loads += [one.split()[0] for one in given["srcset"].split(",")]
        self.loads += styled(given.get("style", ""))


def styled(css: str) -> list[str]:
    """The addresses that a style sheet loads, but for those that are the data themselves."""
    found = re.findall(r"url\(\s*[\"']?([^\"')]+)", css) + re.findall(r"@import\s+[\"']([^\"']+)", css)
    return [one for one in found if not one.startswith("data:")]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the built site; built as `make docs` builds it, where a warning is an error."""
    line = re.search(
        r"^docs: setup\n\t@\$\(BIN\)/sphinx-build (.+) docs out/docs$", (ROOT / "Makefile").read_text(), re.M
    )
    assert line
    options = line[1].split()
    assert "--fail-on-warning" in options
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", *options, "--doctree-dir", out / "doctrees", DOCS, out / "html"]
    built = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    assert not built.stderr
    return Path(out / "html")


@pytest.fixture(scope="module")
def read(site) -> Mapping[Path, Page]:
    """Every page of the site, read."""
    found = {}
    for path in sorted(site.rglob("*.html")):
        found[path] = Page()
        found[path].feed(path.read_text())
    assert {path.stem for path in found} >= {page.stem for page in SITE}
    return found


def inside(read: Mapping[Path, Page]) -> Iterator[tuple[Path, str, Path, str]]:
    """Every link to a place of the site: its page, as it is written, the file it leads to, the name in that."""
    for path, page in read.items():
        for link in [*page.links, *page.loads]:
            to = urlsplit(link)
            if not to.scheme and not to.netloc:
                target = (path.parent / unquote(to.path)).resolve() if to.path else path
                yield path, link, target, unquote(to.fragment)


@pytest.mark.slow
def test_every_link_inside_the_site_leads_to_a_file_and_to_a_name_in_it(site, read):
    seen = 0
    for path, link, target, name in inside(read):
        assert target.is_relative_to(site.resolve()), f"{path.name}: {link} leads out of the site"
        assert target.is_file(), f"{path.name}: {link}"
        if name and target.suffix == ".html":
            assert name in read[target].names, f"{path.name}: {link}"
        seen += 1
    assert seen > 20 * len(SITE)


@pytest.mark.slow
def test_no_name_stands_twice_in_a_page(read):
    for path, page in read.items():
        assert not [name for name, times in Counter(page.names).items() if times > 1], path.name


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site, read):
    for path, page in read.items():
        style = "".join(re.findall(r"<style.*?</style>", path.read_text(), re.S))
        for address in [*page.loads, *styled(style)]:
            to = urlsplit(address)
            assert not to.scheme, f"{path.name}: {address}"
            assert not to.netloc, f"{path.name}: {address}"
    for path in site.rglob("*.css"):
        for address in styled(path.read_text()):
            assert (path.parent / urlsplit(address).path).is_file(), f"{path.name}: {address}"


@pytest.mark.slow
def test_links_to_the_outside_are_https_and_whole(read):
    outside = {link for page in read.values() for link in page.links if urlsplit(link).scheme}
    for link in outside:
        assert re.fullmatch(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(/[^\s<>\"]*)?", link), link
    assert len(outside) > 20


@pytest.mark.slow
def test_the_files_that_pages_hand_out_are_those_of_the_repository(site):
    named = {link for page in SITE for link in re.findall(r"\]\((\.\./[^)#]+\.md)\)", prose(page))}
    handed = sorted(path.read_bytes() for path in (site / "_downloads").rglob("*.md"))
    assert handed == sorted((DOCS / name).read_bytes() for name in named)
    assert named


@pytest.mark.parametrize("page", [*PAGES, *BESIDE_CODE], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_markdown_file_leads_to_a_file_of_the_repository_and_a_heading_in_it(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, name = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if name and target.suffix == ".md":
            made = target.parent == DOCS and "<!-- generated:" in target.read_text()  # held in the built site
            assert name in anchors(target) or made, link
