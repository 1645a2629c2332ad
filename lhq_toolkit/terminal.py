"""What a terminal is shown: strangers' titles, tags and names of files without letters that it would obey."""

from __future__ import annotations

import unicodedata


def say(text: str) -> None:
    """Print lines to standard output."""
    print(lines(text))


def lines(text: str) -> str:
    """Lines as they are, each of them printable."""
    return "\n".join(printable(line) for line in text.split("\n"))


def printable(text: str) -> str:
    """With letters that are not shown, which a terminal might obey, written out; line ends become spaces."""
    return "".join(
        " " if letter in "\r\n\t" else letter if _is_shown(letter) else ascii(letter)[1:-1] for letter in text
    )


def _is_shown(letter: str) -> bool:
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
