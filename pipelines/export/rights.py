"""What travels with every export: who made each picture, under which licence, and that it was changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.export.format import Member

COLUMNS = ("file", "photo_id", "title", "author", "license", "license_url", "page_url", "attribution", "changes")


def changes(crop: int) -> str:
    """What was done to a photo to make its picture number `crop`."""
    return "cropped to the centre square and resized" if crop == 0 else "cropped to a square and resized"


def attribution_csv(members: Sequence[Member]) -> bytes:
    """One line per picture; cells that a spreadsheet would run as a formula get a leading apostrophe."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for member in members:
        for crop, file in enumerate(member.files):
            cells = {**member.row, "file": file, "changes": changes(crop)}
            writer.writerow([_harmless(cells[name]) for name in COLUMNS])
    return buffer.getvalue().encode()


def card(facts: Mapping[str, Any], where: str, members: Sequence[Member], enlarged: int, left_out: int) -> bytes:
    """README.md of the export: what it is, from what, and the licences it holds by count."""
    crops = facts["crops"]
    licences: dict[str, int] = {}
    for member in members:
        licences[member.row["license"]] = licences.get(member.row["license"], 0) + 1
    lines = [
        f"# {facts['dataset']}: subset `{facts['subset']}`",
        "",
        f"{len(members) * crops:,} pictures of {facts['resolution']}x{facts['resolution']} pixels (PNG, sRGB, 8 bit) "
        f"from {len(members):,} photos, in {where}.",
        "",
        f"Made by LHQ Toolkit {facts['toolkit']}: {_made(crops)}, resized (Lanczos).",
        "",
        f"Subset hash: `{facts['subset_hash']}`. Every picture's author, licence and source are in `ATTRIBUTION.csv`;",
        "`SHA256SUMS` holds the sums (check with `sha256sum -c SHA256SUMS`).",
        "",
        "| licence | photos | pictures |",
        "|---|---|---|",
        *(f"| {_plain(name)} | {count:,} | {count * crops:,} |" for name, count in sorted(licences.items())),
        "",
    ]
    if enlarged:
        lines += [f"{enlarged:,} of the photos are smaller than the pictures and were enlarged.", ""]
    if left_out:
        lines += [f"{left_out:,} photos of the subset could not be decoded and are not here.", ""]
    if unknown := licences.get("LicenseRef-unknown"):
        lines += [
            f"**{unknown:,} photos have no known licence: do not redistribute their pictures before you know it.**",
            "",
        ]
    return "\n".join(lines).encode()


def _made(crops: int) -> str:
    if crops == 1:
        return "the centre square of each photo"
    drawn = "1 more square" if crops == 2 else f"{crops - 1:,} more squares"
    return f"of each photo the centre square and {drawn} of random place and size"


def _harmless(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum() or letter in "-. ")
