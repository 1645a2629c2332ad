"""What travels with every export: who made each picture, under which licence, and that it was changed.

Everything here was written by strangers. Cells that a spreadsheet would run as a formula get a leading apostrophe,
Markdown is escaped, and no address is passed on that is not http(s).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.counts import plural
from manifests.licenses import UNKNOWN, one_line
from pipelines.export.format import Member

TABLE = "ATTRIBUTION.csv"  # in the export
FACTS = ("photo_id", "crop", "title", "author", "license", "license_url", "page_url", "attribution", "changes")
COLUMNS = ("file", "photo_id", "title", "author", "license", "license_url", "page_url", "attribution", "changes")
READ = ("source", "title", "author", "author_url", "license", "license_url", "page_url", "attribution")  # of `photos`

DATASET_TERMS = "from the Unsplash Dataset, whose terms allow no redistribution of any portion"
NO_DERIVATIVES = "under a licence without derivatives (ND), which crops are"
NO_LICENCE = "of unknown licence"
UNSPLASH_DATASET = "unsplash-dataset"

_ADDRESS = re.compile(r"https?://[^\s<>\"'`\\]+", re.IGNORECASE)


def refused(members: Sequence[Member], own_use: bool, require_licence: bool) -> dict[str, list[str]]:
    """Photos whose terms forbid what is asked: their ids by reason."""
    found: dict[str, list[str]] = {}
    for member in members:
        row = member.row
        reasons = []
        if not own_use and row["source"] == UNSPLASH_DATASET:
            reasons.append(DATASET_TERMS)
        if not own_use and _forbids_derivatives(row["license"]) and _is_cropped(member):
            reasons.append(NO_DERIVATIVES)
        if require_licence and row["license"] == UNKNOWN.spdx:
            reasons.append(NO_LICENCE)
        for reason in reasons:
            found.setdefault(reason, []).append(row["photo_id"])
    return found


def not_to_hand_on(members: Sequence[Member]) -> int:
    """Photos of an export for own use that may not be handed on."""
    return sum(
        one.row["source"] == UNSPLASH_DATASET or (_forbids_derivatives(one.row["license"]) and _is_cropped(one))
        for one in members
    )


def _forbids_derivatives(licence: str) -> bool:
    return licence.startswith("CC-BY-") and "ND" in licence.split("-")


def _is_cropped(member: Member) -> bool:
    return len(member.files) > 1 or member.row["file_width"] != member.row["file_height"]


def changes(crop: int) -> str:
    """What was done to a photo to make its picture number `crop`."""
    return "cropped to the centre square and resized" if crop == 0 else "cropped to a square and resized"


def facts_of(member: Member, crop: int) -> dict[str, Any]:
    """What is told of a picture: the columns of FACTS."""
    row = member.row
    return {
        "photo_id": row["photo_id"],
        "crop": crop,
        **{name: row[name] for name in ("title", "author", "license")},
        "license_url": link(row["license_url"]),
        "page_url": link(row["page_url"]),
        "attribution": row["attribution"],
        "changes": changes(crop),
    }


def link(url: str | None) -> str | None:
    """The address, if it is one of the web."""
    return url if url is not None and _ADDRESS.fullmatch(url) else None


def attribution_csv(members: Sequence[Member]) -> bytes:
    """One line per picture."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, "split"])
    for member in members:
        for crop, file in enumerate(member.files):
            cells: Mapping[str, Any] = {**facts_of(member, crop), "file": file}
            writer.writerow([*(_harmless(cells[name]) for name in COLUMNS), member.part])
    return buffer.getvalue().encode()


def attribution_md(members: Sequence[Member]) -> bytes:
    """One line per photo, to be read."""
    lines = ["# Attribution", "", f"{plural(len(members), 'photograph')}, each cropped to squares and resized.", ""]
    for member in members:
        row = member.row
        title = _linked(row["title"] or "Untitled", row["page_url"])
        author = _linked(row["author"], row["author_url"]) if row["author"] else "author unknown"
        licence = _linked(row["license"], row["license_url"])
        first, last = plain(member.files[0]), plain(member.files[-1])
        files = f"`{first}`" if first == last else f"`{first}` to `{last}`"
        lines.append(f"- {title} by {author}, {licence}: {files}")
    return ("\n".join(lines) + "\n").encode()


def markdown(text: str) -> str:
    """A stranger's text as itself: one line, nothing of it is markup, HTML or a link."""
    markup = r"[\\`*_{}\[\]()<>#!|~&:@]|(?<=www)\."
    return re.sub(markup, lambda found: f"&#{ord(found[0])};", one_line(text), flags=re.IGNORECASE)


def plain(text: str) -> str:
    """Letters, digits and few signs of a text: for names of our own making."""
    return "".join(letter for letter in text if letter.isalnum() or letter in "-._/ ")


def _linked(text: str, url: str | None) -> str:
    address = link(url)
    return f"[{markdown(text)}](<{address}>)" if address else markdown(text)


def _harmless(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
