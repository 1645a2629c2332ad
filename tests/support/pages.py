"""The Markdown pages of the project, and the shell commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from lhq_toolkit.site.architecture import PACKAGES

ROOT = Path(__file__).parents[2]
README, DOCS = ROOT / "README.md", ROOT / "docs"
SITE = sorted(DOCS.glob("*.md"))
PAGES = [README, ROOT / "CONTRIBUTING.md", *SITE]
BESIDE_CODE = sorted(path for folder in (*PACKAGES, "examples") for path in (ROOT / folder).rglob("README.md"))


def blocks(page: Path, language: str = "") -> list[str]:
    """The fenced blocks in one language; those in none are for a shell."""
    fenced = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for kind, text in fenced if kind == language]


def block_with(page: Path, text: str, language: str = "") -> str:
    """The only block of the page in a language that holds `text`."""
    (found,) = (block for block in blocks(page, language) if text in block)
    return found


def commands(block: str) -> Iterator[list[str]]:
    """The words of each line, without its comment; a program in .venv goes by its name."""
    for line in block.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def prose(page: Path) -> str:
    """What stands outside fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """What a link into a Markdown file may name: its headings, as code hosts write them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
