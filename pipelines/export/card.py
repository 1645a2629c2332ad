"""README.md of an export: its card, with the front matter that Hugging Face reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifests.counts import plural
from manifests.licenses import FLICKR_NOTICE, UNKNOWN
from pipelines.export import rights
from pipelines.export.format import PARTS, Member, Part

# Identifiers of https://huggingface.co/docs/hub/repositories-licenses that are SPDX identifiers in lower case.
HUB_LICENSES = {
    *("cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
    *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"),
    *("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
}
_SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))


@dataclass(frozen=True)
class Content:
    """What a finished export holds."""

    facts: Mapping[str, Any]  # export.json
    where: str  # the pictures are
    members: Sequence[Member]
    holders: Mapping[str, Part] = field(default_factory=dict)  # files with pictures, and the part of each
    enlarged: int = 0  # photos smaller than the pictures
    left_out: int = 0  # photos that could not be decoded

    @property
    def pictures(self) -> int:
        return len(self.members) * int(self.facts["crops"])

    def part(self, part: Part) -> list[Member]:
        """The photos of a part."""
        return [member for member in self.members if member.part == part]

    def licences(self) -> dict[str, int]:
        """How many photos stand under each licence, by name."""
        return dict(sorted(Counter(str(member.row["license"]) for member in self.members).items()))


def card(content: Content) -> bytes:
    """What the export is, from what, and the licences it holds by count."""
    facts, licences = content.facts, content.licences()
    crops, size = facts["crops"], facts["resolution"]
    kind = "PNG" if facts["picture"] == "png" else f"JPEG of quality {facts['picture'].split()[1]}"
    lines = [
        *_front_matter(content),
        f"# {rights.markdown(facts['dataset'])}: subset `{facts['subset']}`",
        "",
        f"{plural(content.pictures, 'picture')} of {size}x{size} pixels ({kind}, sRGB, 8 bit) "
        f"from {plural(len(content.members), 'photo')}, in {content.where}.",
        "",
        f"Made by LHQ Toolkit {facts['toolkit']}: {_made(crops)}, resized (Lanczos). {_decoded(facts)}",
        "",
        *_split(content),
        f"Subset hash: `{facts['subset_hash']}`. Every picture's author, licence and source are in `ATTRIBUTION.csv`,",
        "to be read in `ATTRIBUTION.md`; `croissant.json` describes the files for programs; `export.json` has the",
        "settings and the versions of the libraries that the bytes depend on; `SHA256SUMS` holds the sums (check with",
        "`sha256sum -c SHA256SUMS`).",
        "",
        "| licence | photos | pictures |",
        "|---|---|---|",
        *(f"| {rights.plain(name)} | {count:,} | {count * crops:,} |" for name, count in licences.items()),
        "",
        "The licences hold for the pictures too: those with NC allow no commercial use, those with SA ask that what is",
        "made of a picture stands under the same licence, those with BY that the author is named.",
        "",
    ]
    if content.enlarged:
        lines += [f"Enlarged, because smaller than the pictures: {plural(content.enlarged, 'photo')}.", ""]
    if content.left_out:
        lines += [f"Left out, because they cannot be decoded: {plural(content.left_out, 'photo')} of the subset.", ""]
    if any(member.row["source"] == "flickr" for member in content.members):
        lines += [FLICKR_NOTICE, ""]
    if unknown := licences.get(UNKNOWN.spdx):
        lines += [
            f"**The licence of {plural(unknown, 'photo')} is unknown: hand nothing of it on before you know it.**",
            "",
        ]
    if facts["own_use"]:
        lines += [
            f"**Made for own use: do not hand it on.** The terms of {rights.not_to_hand_on(content.members):,} of its "
            "photos forbid it.",
            "",
        ]
    return "\n".join(lines).encode()


def _front_matter(content: Content) -> list[str]:
    """YAML; every text from outside is a JSON string, which is YAML too."""
    facts, licences = content.facts, content.licences()
    (only,) = licences if len(licences) == 1 else ("",)
    licence = ["license: other", "license_name: as-in-attribution", "license_link: ATTRIBUTION.md"]
    size = next((name for limit, name in _SIZES if content.pictures < limit), "n>10M")
    return [
        "---",
        f"pretty_name: {json.dumps(facts['dataset'] + ': ' + facts['subset'])}",
        *([f"license: {only.lower()}"] if only.lower() in HUB_LICENSES else licence),
        "task_categories:",
        "- unconditional-image-generation",
        "size_categories:",
        f"- {size}",
        "tags:",
        "- landscapes",
        "- croissant",
        *([f"- {facts['format']}"] if facts["format"] == "webdataset" else []),
        *_configs(content),
        "---",
        "",
    ]


def _configs(content: Content) -> list[str]:
    """Which files hold which part; a zip of StyleGAN's layout is read as a folder of pictures."""
    lines = ["configs:", "- config_name: default", "  data_files:"]
    for part in PARTS:
        if content.part(part):
            lines += [f"  - split: {part}", f"    path: {json.dumps(pattern_of(content, part))}"]
    return lines


def pattern_of(content: Content, part: Part) -> str:
    """A pattern that fits the files of a part and no others."""
    first = next(name for name, its in content.holders.items() if its == part)
    if content.facts["format"] == "zip":
        return first
    if "/" in first:
        return f"{first.partition('/')[0]}/*.{first.rpartition('.')[2]}"
    return f"{first.partition('-')[0]}-*.{first.rpartition('.')[2]}"


def _made(crops: int) -> str:
    if crops == 1:
        return "the centre square of each photo"
    drawn = "1 more square" if crops == 2 else f"{crops - 1:,} more squares"
    return f"of each photo the centre square and {drawn} of random place and size"


def _decoded(facts: Mapping[str, Any]) -> str:
    if facts["lhq"]:
        return "As in LHQ, photos were decoded in full and brought to a short side of 1,024 pixels first."
    if facts["exact"]:
        return "Photos were decoded in full."
    return "JPEGs were decoded at the smallest scale that has twice the pixels of a picture."


def _split(content: Content) -> list[str]:
    if not content.facts["validation"]:
        return []
    counts = " and ".join(f"{len(content.part(part)):,} in `{part}`" for part in PARTS)
    return [f"Split by photo, so that no photo has pictures on both sides: {counts}.", ""]
