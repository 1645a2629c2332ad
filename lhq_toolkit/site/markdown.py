"""Markdown as the generated parts of the site write it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown in one line, and may hold a `|`."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """Text that is shown as it is; it holds no backtick."""
    return f"`{text}`"


def plain(text: str) -> str:
    """Text from the program's help: shown as it stands there, but for options, and what is between backticks."""
    pieces = text.split("`")
    pieces[::2] = [_options_as_code(re.sub(r"([\\*_<>\[\]])", r"\\\1", piece)) for piece in pieces[::2]]
    return "`".join(pieces)


def _options_as_code(text: str) -> str:
    return re.sub(r"(?<![\w-])(--[a-z][a-z0-9-]*)", r"`\1`", text)
