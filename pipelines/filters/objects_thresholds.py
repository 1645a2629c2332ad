"""From when on a thing that was found counts: a list of classes with the least score and area of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import SetupError
from manifests.settings import shown
from manifests.texts import read_lines

DEFAULTS = Path(__file__).with_name("objects_classes.txt")
NEVER = "never"


@dataclass(frozen=True)
class Threshold:
    """A thing counts with at least this score and covering at least this share of the picture."""

    score: float
    area: float


def read(path: Path) -> dict[str, Threshold]:
    """The classes of a file, one a line: `name score area`, `#` begins a comment. SetupError names what is wrong."""
    lines = read_lines(path, "the list of classes")
    found: dict[str, Threshold] = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            name, threshold = parse(text)
        except ValueError as error:
            raise SetupError(f"{path}, line {number}: {error}") from error
        if threshold is None or name in found:
            wrong = f"{shown(name)} stands here twice" if name in found else f"{NEVER}: leave the line out"
            raise SetupError(f"{path}, line {number}: {wrong}")
        found[name] = threshold
    if not found:
        raise SetupError(f"{path} names no class: write lines such as: person 0.7 0.002")
    return found


def parse(text: str) -> tuple[str, Threshold | None]:
    """`name score area`, or `name never` (None). Raises ValueError."""
    words = text.split()
    if len(words) > 1 and words[-1] == NEVER:
        return " ".join(words[:-1]), None
    try:
        score, area = map(float, words[-2:])
        if len(words) < 3 or not (0 <= score <= 1 and 0 <= area <= 1):
            raise ValueError(text)
    except ValueError:
        raise ValueError(f"{text!r}: write a class with its least score and area, such as: person 0.7 0.002") from None
    return " ".join(words[:-2]), Threshold(score, area)


def parse_all(text: str) -> list[tuple[str, Threshold | None]]:
    """Entries with commas between them. Raises ValueError."""
    return [parse(one) for one in text.split(",") if one.strip()]


def changed(listed: Mapping[str, Threshold], entries: Iterable[tuple[str, Threshold | None]]) -> dict[str, Threshold]:
    """The list with some of its entries replaced or taken out; SetupError for a class that is not on it."""
    now = dict(listed)
    for name, threshold in entries:
        if name not in listed:
            raise SetupError(
                f"objects.thresholds names {name!r}, which is not in the list of classes: put a line for it into a "
                f"copy of {DEFAULTS.name} and give that with --set objects.classes=FILE"
            )
        if threshold is None:
            now.pop(name, None)
        else:
            now[name] = threshold
    return now
