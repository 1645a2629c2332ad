"""What docs/conf.py loads into Sphinx: pages ask for a generated part by a comment, `<!-- generated: NAME -->`.

Markdown files of the repository that are no pages of the site are handed out with it, as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_ASKED = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+\.md)\)")


def setup(app: Sphinx) -> Mapping[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", _fill_in)
    return {"parallel_read_safe": True}


def makers() -> Mapping[str, Callable[[], str]]:
    """Who makes which part, as Markdown."""
    from lhq_toolkit import cli
    from lhq_toolkit.site import architecture, commands, speeds, tables, weights

    return {
        "commands": lambda: commands.reference(cli.app),
        "tables": tables.crawl_tables,
        "measurements": tables.measurement_tables,
        "flat": tables.flat_manifest,
        "settings": tables.stage_settings,
        "architecture": architecture.diagram,
        "parts": architecture.parts_table,
        "weights": weights.registry,
        "speeds": speeds.measurements,
    }


def filled_in(text: str) -> str:
    """A page with what it asks for; KeyError where it asks for what nobody makes."""
    known = makers()
    text = _ASKED.sub(lambda found: known[found[1]](), text)
    return _OUTSIDE.sub(r"{download}`\1 <\2>`", text)


def _fill_in(_: Sphinx, __: str, content: list[str]) -> None:
    content[0] = filled_in(content[0])
