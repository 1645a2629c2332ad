"""Licences as sources write them, as one SPDX identifier each, and the credit line that goes with them.

Nothing is guessed: a text that names no licence, or no version of one, or two of them, is unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class License:
    """One licence: SPDX identifier or `LicenseRef-`, page with its text (None: not known), short name."""

    spdx: str
    url: str | None
    name: str


UNKNOWN = License("LicenseRef-unknown", None, "unknown license")
UNSPLASH = License("LicenseRef-Unsplash", "https://unsplash.com/license", "Unsplash License")
FLICKR_NOTICE = "This product uses the Flickr API but is not endorsed or certified by SmugMug, Inc."  # its terms ask
US_GOV = License("LicenseRef-US-Gov", "https://www.usa.gov/government-copyright", "United States Government Work")
PDM = License("LicenseRef-PDM", "https://creativecommons.org/publicdomain/mark/1.0/", "Public Domain Mark 1.0")
CC0 = License("CC0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", "CC0 1.0")

# What the compared text reads when it names one of these, word by word as `_words` leaves it.
_ALIASES = {
    **dict.fromkeys(["licenseref unsplash", "unsplash license", "https unsplash.com license"], UNSPLASH),
    **dict.fromkeys(["licenseref us gov", "pd usgov", "https www.usa.gov government copyright"], US_GOV),
    **dict.fromkeys(["http www.usa.gov copyright.shtml", "https www.usa.gov government works"], US_GOV),
    **dict.fromkeys(["licenseref pdm", "cc pdm 1.0"], PDM),
}

_SOFTWARE = {
    "Apache-2.0": ["apache 2.0", "apache license 2.0"],
    "MIT": ["mit", "mit license", "expat"],
    "BSD-2-Clause": ["bsd 2 clause"],
    "BSD-3-Clause": ["bsd 3 clause"],
    "LAL-1.2": ["lal 1.2", "free art license 1.2"],
    "LAL-1.3": ["lal 1.3", "free art license 1.3"],
}

_CC_ELEMENTS = ("by", "by-nc", "by-nc-nd", "by-nc-sa", "by-nd", "by-sa")
_CC_VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")
# The adaptations to one country's law that have an identifier of their own; they are other texts.
_CC_PORTS = {
    "by": ("2.5-au", "3.0-at", "3.0-au", "3.0-de", "3.0-igo", "3.0-nl", "3.0-us"),
    "by-nc": ("3.0-de",),
    "by-nc-nd": ("3.0-de", "3.0-igo"),
    "by-nc-sa": ("2.0-de", "2.0-fr", "2.0-uk", "3.0-de", "3.0-igo"),
    "by-nd": ("3.0-de",),
    "by-sa": ("2.0-uk", "2.1-jp", "3.0-at", "3.0-de", "3.0-igo"),
}
_CC_URL = re.compile(
    r"(?:https?:)?(?://)?(?:www\.)?creativecommons\.org/(?:licenses|publicdomain)/(?P<code>[a-z-]+)/(?P<version>\d\.\d)"
    r"(?:/(?P<port>[a-z]{2,3}))?(?:/(?:deed|legalcode)(?:[.-][a-z_-]+)?)?/?(?:[?#].*)?"
)
_CC_TEXT = re.compile(
    r"(?:cc )?(?P<code>by(?: nc| nd| sa)*) v?(?P<version>\d\.\d)(?: (?P<port>[a-z]{2,3}))?"
    r"(?: cc (?P=code) (?P=version))?"  # the titles of the deeds say it twice
)
_CC0_TEXT = re.compile(
    r"(?:public domain dedication )?(?:cc )?(?:cc0|cc 0|cc zero)(?: v?1\.0)?(?: cc0 1\.0)?"
    r"(?: public domain dedication)?"
)
_PDM_TEXT = re.compile(r"(?:cc )?(?:pdm|public domain mark)(?: v?1\.0)?(?: pdm(?: 1\.0)?)?")
_US_GOV_TEXT = re.compile(r"(?:united states|u\.?s\.?) gov(?:ernment|\.)? works?")
_CC_WORDS = (
    (re.compile(r"\bcreative ?commons\b"), "cc"),
    (re.compile(r"\battribution\b"), "by"),
    (re.compile(r"\bnon ?commercial\b"), "nc"),
    (re.compile(r"\bno ?deriv(?:s|atives|ative works)\b"), "nd"),
    (re.compile(r"\bshare ?alike\b"), "sa"),
    (re.compile(r"\b(?:license|international|unported|generic|universal)\b"), ""),
)

_GNU_VERSIONS = {
    "gpl": ("1.0", "2.0", "3.0"),
    "lgpl": ("2.0", "2.1", "3.0"),
    "agpl": ("3.0",),
    "gfdl": ("1.1", "1.2", "1.3"),
}
_GNU_TEXT = re.compile(
    r"(?P<kind>gpl|lgpl|agpl|gfdl) ?v?(?P<version>\d(?:\.\d)?)"
    r" ?(?P<later>\+|or (?:any )?later(?: version)?)?(?: ?only)?"
)
_GNU_WORDS = (
    (re.compile(r"\blesser general public license\b"), "lgpl"),
    (re.compile(r"\baffero general public license\b"), "agpl"),
    (re.compile(r"\bgeneral public license\b"), "gpl"),
    (re.compile(r"\bfree documentation license\b"), "gfdl"),
    (re.compile(r"\b(?:gnu|version)\b"), ""),
)

_SPDX_URL = re.compile(r"https?://spdx\.org/licenses/(?P<id>[\w.+-]+?)(?:\.(?:html|json|txt))?")
_LONGEST = 300  # characters: more is no name of a licence
_BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])  # would reorder what stands around a title


def normalise(text: str | None) -> License:
    """The licence that a name, an SPDX identifier or a web address stands for; else `UNKNOWN`.

    Known are the Creative Commons licences of all versions, CC0 and the Public Domain Mark, the GNU and a
    few other software licences, and the terms of Unsplash and of works of the United States government.
    "GPL-2" without a word on later versions means that version only, as with SPDX and Debian.
    """
    if text is None or len(text) > _LONGEST:
        return UNKNOWN
    lowered = text.strip().lower()
    if spdx := _SPDX_URL.fullmatch(lowered):
        lowered = spdx["id"]
    if found := _CC_URL.fullmatch(lowered):
        return _creative_commons(found["code"], found["version"], found["port"])
    words = _words(lowered)
    if words in _ALIASES:
        return _ALIASES[words]
    readers: tuple[Callable[[str], License], ...] = (_read_creative_commons, _read_gnu, _read_software)
    return next((known for read in readers if (known := read(words)) != UNKNOWN), UNKNOWN)


def attribution(title: str | None, author: str | None, license: License, page_url: str | None) -> str:  # noqa: A002
    """One line of plain text that credits a photograph: title, author, licence with its address, page."""
    credit = f'"{one_line(title)}"' if title and one_line(title) else "Untitled"
    credit += f" by {one_line(author)}" if author and one_line(author) else ", author unknown"
    credit += f", {license.name}" + (f" ({license.url})" if license.url else "")
    return credit + (f", {one_line(page_url)}" if page_url else "")


def demands(spdx: str) -> int:
    """How much a licence asks of who uses a photo: 0 nothing; 1 a credit, or terms of its own; 2 the same licence again
    or no changes; 3 no commercial use; 4 it is not known."""
    name = spdx.upper()
    if spdx in (CC0.spdx, PDM.spdx, US_GOV.spdx):
        return 0
    if spdx == UNKNOWN.spdx:
        return 4
    if "-NC" in name:
        return 3
    if any(part in name for part in ("-SA", "-ND", "GPL", "GFDL", "LAL")):
        return 2
    return 1


def one_line(text: str) -> str:
    """A stranger's text without line breaks, control characters and marks that change the direction of writing."""
    visible = (" " if unicodedata.category(character) == "Cc" else character for character in text.translate(_BIDI))
    return " ".join("".join(visible).split())


def _words(lowered: str) -> str:
    """Letters, digits, points and plus signs; everything else becomes one space."""
    return re.sub(r"[^a-z0-9.+]+", " ", lowered.replace("licence", "license")).strip()


def _replace(words: str, replacements: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, short in replacements:
        words = pattern.sub(short, words)
    return " ".join(words.split())


def _read_creative_commons(words: str) -> License:
    words = _replace(words, _CC_WORDS)
    if _CC0_TEXT.fullmatch(words):
        return CC0
    if _PDM_TEXT.fullmatch(words):
        return PDM
    if _US_GOV_TEXT.fullmatch(words):
        return US_GOV
    if found := _CC_TEXT.fullmatch(words):
        return _creative_commons(found["code"].replace(" ", "-"), found["version"], found["port"])
    return UNKNOWN


def _creative_commons(code: str, version: str, port: str | None) -> License:
    if (code, version, port) in (("zero", "1.0", None), ("mark", "1.0", None)):
        return CC0 if code == "zero" else PDM
    elements = "-".join(sorted(code.split("-")))  # by, nc, nd, sa: the order of the identifiers is the alphabet's
    ported = f"{version}-{port}" if port else version
    if elements not in _CC_ELEMENTS or ported not in (_CC_PORTS[elements] if port else _CC_VERSIONS):
        return UNKNOWN
    page = "by-nd-nc" if (elements, version) == ("by-nc-nd", "1.0") else elements
    url = f"https://creativecommons.org/licenses/{page}/{version}/" + (f"{port}/" if port else "")
    name = f"CC {elements.upper()} {version}" + (f" {port.upper()}" if port else "")
    return License(f"CC-{elements}-{ported}".upper(), url, name)


def _read_gnu(words: str) -> License:
    found = _GNU_TEXT.fullmatch(_replace(words, _GNU_WORDS))
    if not found:
        return UNKNOWN
    kind = found["kind"]
    version = found["version"] if "." in found["version"] else found["version"] + ".0"
    if version not in _GNU_VERSIONS[kind]:
        return UNKNOWN
    which = "or-later" if found["later"] else "only"
    return _software(f"{kind.upper()}-{version}-{which}", f"{kind.upper()} {version} {which.replace('-', ' ')}")


def _read_software(words: str) -> License:
    return next((_software(spdx, spdx) for spdx, texts in _SOFTWARE.items() if words in texts), UNKNOWN)


def _software(spdx: str, name: str) -> License:
    return License(spdx, f"https://spdx.org/licenses/{spdx}.html", name)
