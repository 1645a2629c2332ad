"""One row of a Flickr search as a row of ours."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from manifests.licenses import License, attribution
from manifests.records import Photo
from manifests.tags import normalise_tags
from pipelines.web.fields import mapping, moment, pixels, text, unix_moment

SIZES = ("o", "6k", "5k", "4k", "3k", "k", "h", "l")  # the largest that is offered is taken; l: 1,024 pixels
EXTRAS = ",".join(
    ["description", "license", "date_upload", "date_taken", "owner_name", "tags", "o_dims", "media", "path_alias"]
    + [f"url_{size}" for size in SIZES]
)

_ID = re.compile(r"[0-9]{1,20}")


def is_public_photo(row: Mapping[str, Any]) -> bool:
    """Neither a video nor private; what the row does not tell counts for it."""
    return row.get("media", "photo") == "photo" and str(row.get("ispublic", 1)) != "0"


def photo_of(row: Mapping[str, Any], now: datetime, number: str, license_: License) -> Photo | None:
    """The table's row; None where it has no usable id. `number` is Flickr's for the licence.

    Without a size of 1,024 pixels or more the photo has no `image_url`. Sizes are those of the file taken; the
    original's may be told as it is stored, before its EXIF orientation is applied.
    """
    one = text(row.get("id"))
    if one is None or not _ID.fullmatch(one):
        return None
    size = next((size for size in SIZES if text(row.get(f"url_{size}"))), None)
    width, height = (pixels(row.get(f"{side}_{size}")) for side in ("width", "height"))
    if size == "o" and not (width and height):
        width, height = pixels(row.get("o_width")), pixels(row.get("o_height"))
    owner, title, author = text(row.get("owner")), text(row.get("title")), text(row.get("ownername"))
    page = f"https://www.flickr.com/photos/{quote(owner)}/{one}/" if owner else None
    tags = (text(row.get("tags")) or "").split()
    unknown = str(row.get("datetakenunknown", "0")) != "0"
    about = {"license_id": number, "owner": owner, "path_alias": text(row.get("pathalias")), "size": size}
    return Photo(
        photo_id=f"flickr:{one}",
        source="flickr",
        source_id=one,
        seen_at=now,
        page_url=page,
        image_url=text(row.get(f"url_{size}")),
        width=width,
        height=height,
        title=title,
        description=_plain(mapping(row.get("description")).get("_content")),
        tags_raw=tuple(tags),
        tags=normalise_tags(tags),
        author=author,
        author_url=f"https://www.flickr.com/people/{quote(owner)}/" if owner else None,
        license=license_.spdx,
        license_url=license_.url,
        attribution=attribution(title, author, license_, page),
        taken_at=None if unknown else moment(row.get("datetaken")),  # the camera's clock, whose zone nobody knows
        uploaded_at=unix_moment(row.get("dateupload")),
        extra=json.dumps(about, sort_keys=True),
    )


def _plain(markup: Any) -> str | None:
    """A description without its HTML."""
    return text(html.unescape(re.sub(r"<[^>]*>", "", text(markup) or "")))
