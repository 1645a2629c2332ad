"""Who we say we are."""

from __future__ import annotations

import re

from manifests.errors import SetupError

PRODUCT = "lhq-toolkit"  # also the name under which a host may address us in X-Robots-Tag
_CONTACT = re.compile(r"[!-'*-~]{3,200}")  # visible ASCII without parentheses: it stands in a comment of a header


def user_agent(version: str, contact: str | None) -> str:
    """The User-Agent: the toolkit, its version, and whom to write to (`LHQ_CONTACT`, an e-mail address or a URL)."""
    if not contact:
        return f"{PRODUCT}/{version}"
    if not _CONTACT.fullmatch(contact):
        raise SetupError("LHQ_CONTACT: give one e-mail address or URL, of plain ASCII and without spaces")
    return f"{PRODUCT}/{version} (+{contact})"
