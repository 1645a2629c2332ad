"""The table of pretrained files, from the registry."""

from __future__ import annotations

from lhq_toolkit.site.markdown import code, table
from models.weights import REGISTRY


def registry() -> str:
    """Each file: its name, who needs it, its size, its licence."""
    rows = (
        (
            code(one.name),
            one.needed_by,
            f"{one.mebibytes:.0f} MiB" if one.mebibytes else "not published",
            one.licence,
        )
        for one in REGISTRY.values()
    )
    return table(("file", "who needs it", "size", "licence"), rows)
