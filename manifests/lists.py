"""Lists that people write as text files, one entry a line; every mistake in one is told at once, with its line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from manifests.errors import SetupError

_SHOWN = 5  # of the mistakes


def entries(path: Path, what: str) -> list[tuple[int, str]]:
    """Number and text of each line; blank lines and those from `#` on are skipped. SetupError calls the file `what`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"the {what} {path} cannot be read: {error}") from error
    texts = ((number, line.strip()) for number, line in enumerate(lines, start=1))
    return [(number, text) for number, text in texts if text and not text.startswith("#")]


def refuse(path: Path, mistakes: Sequence[str]) -> None:
    """SetupError that tells the first of the mistakes, if there is one."""
    if mistakes:
        more = f"; and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        raise SetupError(f"{path}: {'; '.join(mistakes[:_SHOWN])}{more}")
