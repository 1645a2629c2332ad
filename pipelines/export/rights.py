"""What travels with every export: who made each picture, under which licence, and that it was changed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = ("file", "photo_id", "title", "author", "license", "license_url", "page_url", "attribution", "changes")
CHANGES = "cropped to a square and resized"


def attribution_csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """One line per picture; cells that a spreadsheet would run as a formula get a leading apostrophe."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_harmless(CHANGES if name == "changes" else row[name]) for name in COLUMNS])
    return buffer.getvalue().encode()


def card(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], enlarged: int, left_out: int) -> bytes:
    """README.md of the export: what it is, from what, and the licences it holds by count."""
    licences: dict[str, int] = {}
    for row in rows:
        licences[row["license"]] = licences.get(row["license"], 0) + 1
    lines = [
        f"# {facts['dataset']}: subset `{facts['subset']}`",
        "",
        f"{len(rows):,} pictures of {facts['resolution']}x{facts['resolution']} pixels (PNG, sRGB, 8 bit), made by "
        f"LHQ Toolkit {facts['toolkit']}: {CHANGES} (Lanczos).",
        "",
        f"Subset hash: `{facts['subset_hash']}`. Every picture's author, licence and source are in `ATTRIBUTION.csv`;",
        "`SHA256SUMS` holds the sums (check with `sha256sum -c SHA256SUMS`).",
        "",
        "| licence | pictures |",
        "|---|---|",
        *(f"| {_plain(name)} | {count:,} |" for name, count in sorted(licences.items())),
        "",
    ]
    if enlarged:
        lines += [f"{enlarged:,} of them were enlarged: their photos are smaller than the pictures.", ""]
    if left_out:
        lines += [f"{left_out:,} photos of the subset could not be decoded and are not here.", ""]
    if unknown := licences.get("LicenseRef-unknown"):
        lines += [f"**{unknown:,} pictures have no known licence: do not redistribute them before you know it.**", ""]
    return "\n".join(lines).encode()


def _harmless(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _plain(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum() or letter in "-. ")
