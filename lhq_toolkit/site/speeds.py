"""The table of the measurements of speed that there are, from the scripts themselves."""

from __future__ import annotations

import ast
from pathlib import Path

from benchmarks.perf import _all
from lhq_toolkit.site.markdown import code, table


def measurements() -> str:
    """What each script measures, and the command that runs it."""
    scripts = _all.scripts(Path(_all.__file__).parent)
    return table(
        ("what is measured", "command"),
        ((_first_sentence(one), code(f"python -m benchmarks.perf.{one.stem}")) for one in scripts),
    )


def _first_sentence(script: Path) -> str:
    text = ast.get_docstring(ast.parse(script.read_text())) or ""
    return text.partition("\n\n")[0].replace("\n", " ")
