"""From a template and what it shows to one HTML file that loads nothing, and runs nothing but a script of ours."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from lhq_toolkit.report.drawing import Drawing


def render(
    template: Path, css: str, *, figure: Mapping[str, Drawing], script: str | None = None, **values: object
) -> str:
    """The page's text. The template gets `css`, `script`, `policy`, `figure` (SVG by name) and the values.

    All but these is escaped. The policy allows this style, this script, pictures that lie in the page, nothing more.
    """
    runs = f"script-src '{_digest(script)}'; " if script is not None else ""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    environment.filters["size"] = _size
    return environment.get_template(template.name).render(
        **values,
        figure={name: Markup(drawing.svg()) for name, drawing in figure.items()},  # noqa: S704 (escaped there)
        css=Markup(css),  # noqa: S704 (ours)
        script=Markup(script or ""),  # noqa: S704 (ours)
        policy=f"default-src 'none'; img-src data:; style-src '{_digest(css)}'; {runs}base-uri 'none'; "
        "form-action 'none'",
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _size(count: int) -> str:
    """So many bytes in their largest fitting unit."""
    unit, power = next(
        ((unit, power) for unit, power in (("TB", 12), ("GB", 9), ("MB", 6)) if count >= 10**power), ("kB", 3)
    )
    return f"{count / 10**power:.3g} {unit}"
