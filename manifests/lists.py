"""Lists that people write as text files, one entry a line; every mistake in one is told at once, with its line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from manifests.errors import SetupError
from manifests.texts import read_lines

_SHOWN = 5  # of the mistakes


def entries(path: Path, what: str) -> list[tuple[int, str]]:
    """Number and text of each line; blank lines and those from `#` on are skipped. SetupError calls the file `what`."""
    texts = ((number, line.strip()) for number, line in enumerate(read_lines(path, f"the {what}"), start=1))
    return [(number, text) for number, text in texts if text and not text.startswith("#")]


def refuse(path: Path, mistakes: Sequence[str]) -> None:
    """SetupError that tells the first of the mistakes, if there is one."""
    if mistakes:
        more = f"; and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        raise SetupError(f"{path}: {'; '.join(mistakes[:_SHOWN])}{more}")
