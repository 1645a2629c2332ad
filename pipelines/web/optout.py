"""Signals by which a host or an author keeps a picture from being used to train machines.

X-Robots-Tag: a list of words, each for everyone or after `name:` for one crawler (Google's robots meta tag page).
The words: noai, noimageai (DeviantArt), noml (Common Crawl's proposal), noindex, noimageindex. `TDM-Reservation: 1`:
W3C TDM Reservation Protocol, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.web.identity import PRODUCT

SIGNALS = frozenset({"noai", "noimageai", "noindex", "noimageindex", "noml"})
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_OURS = frozenset({"*", PRODUCT, PRODUCT.replace("-", "")})


def opted_out(robots_tags: Sequence[str], tdm_reservation: str | None) -> str | None:
    """The signal that keeps us off, such as `X-Robots-Tag: noai`; None where nothing does.

    `robots_tags`: the values of all X-Robots-Tag headers of an answer.
    """
    for value in robots_tags:
        applies = True
        for item in value.lower().split(","):
            name, colon, rest = item.partition(":")
            word = item.strip()
            if colon and name.strip() not in _WITH_VALUE:
                applies, word = name.strip() in _OURS, rest.strip()
            if applies and word in SIGNALS:
                return f"X-Robots-Tag: {word}"
    if tdm_reservation is not None and tdm_reservation.strip() == "1":
        return "TDM-Reservation: 1"
    return None
