"""Tags in the one form they are compared in, and lists of such tags kept as text files."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from manifests import lists

BLACKLIST = Path(__file__).parent / "tag_blacklist.txt"  # the shipped list of tags that reject a photo


@lru_cache(maxsize=1 << 16)  # a crawl meets the same few thousand tags millions of times
def normalise_tag(text: str) -> str:
    """The tag as Flickr compares tags: NFKC, case folded, only letters and digits of any script.

    "Hot-Air Balloon" becomes "hotairballoon". Vowel signs and accents written as marks of their own stay
    with their letter (many scripts cannot be read without them); emoji and punctuation go. The result may
    be empty, and normalising it again changes nothing.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    kept: list[str] = []
    in_letter = False  # a mark counts only directly after the letter it belongs to
    for character in folded:
        category = unicodedata.category(character)
        in_letter = category[0] == "L" or (in_letter and category in ("Mn", "Mc") and not _is_selector(character))
        if in_letter or category[0] == "N":
            kept.append(character)
    return unicodedata.normalize("NFKC", "".join(kept))


def _is_selector(character: str) -> bool:
    """Whether it is a variation selector: a mark that only picks a glyph, as emoji have."""
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


def normalise_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Each tag normalised; empty ones and repetitions dropped, the order kept."""
    return tuple(tag for tag in dict.fromkeys(map(normalise_tag, texts)) if tag)


def read_list(path: Path) -> frozenset[str]:
    """The entries of a list file: one a line, in normalised form; blank lines and lines from `#` on are skipped.

    An entry is a whole tag, or the beginning of tags followed by `*`. Raises SetupError, naming file and line,
    for a file that cannot be read, a line not in normalised form, or an entry that stands twice.
    """
    first_line: dict[str, int] = {}
    errors: list[str] = []
    for number, tag in lists.entries(path, "tag list"):
        star = "*" if tag.endswith("*") else ""
        if (normalised := normalise_tag(tag)) + star != tag or not normalised:
            advice = f"write {normalised + star!r}" if normalised else "it has no letter or digit"
            errors.append(f"line {number}: {tag!r} is not in normalised form, {advice}")
        elif tag in first_line:
            errors.append(f"line {number}: {tag!r} already stands in line {first_line[tag]}")
        else:
            first_line[tag] = number
    lists.refuse(path, errors)
    return frozenset(first_line)
