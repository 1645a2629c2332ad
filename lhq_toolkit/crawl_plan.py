"""`lhq crawl --plan`: the outlook of each source that was named, as text for a person, as JSON for a program."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from lhq_toolkit.crawl_sources import SOURCES, Maker
from manifests.errors import MisuseError
from pipelines import plan
from pipelines.plan import Choices, Outlook


def outlooks(maker: Maker, *, offline: bool, metadata_only: bool) -> list[Outlook]:
    """One per source, in their order. With `offline` no API is asked, and no key is needed."""
    options = maker.options
    choices = Choices(
        limit=options.limit,
        metadata_only=metadata_only,
        full_tags=options.full_tags,
        max_side=options.max_side,
        permission=maker.has_permission,
        image_rate=maker.image_rate,
    )
    if not offline:
        maker.require_keys([name for name in maker.names if name in ("unsplash", "flickr")])
    return [_outlook(maker, name, choices, offline) for name in maker.names]


def _outlook(maker: Maker, name: str, choices: Choices, offline: bool) -> Outlook:
    if name in ("unsplash", "flickr"):
        api = None if offline else maker.api(name)
        if name == "unsplash":
            return plan.unsplash(maker.queries, maker.rate(name), choices, api)
        return plan.flickr(maker.queries, maker.flickr_licenses, maker.rate(name), choices, api)
    if name not in SOURCES.ours:
        raise MisuseError(f"--plan: what a crawl of {name} would ask is known to its package alone; leave it out")
    if name == "unsplash-dataset":
        return plan.release(maker.release().sizes(), choices)
    source: Any = maker.one(name)
    if name == "lsun":
        return plan.local(name, source.entries, source.bytes, choices, "counted in the databases")
    if name == "folder":
        size = sum((source.root / file).stat().st_size for file in source.files if (source.root / file).is_file())
        return plan.local(name, len(source.files), size, choices, "counted in the folder")
    return plan.local(name, source.limit, None, choices, "painted here")


def as_json(outlooks: Sequence[Outlook]) -> dict[str, Any]:
    """Each source and the totals: hours are those of the slowest, for all are read side by side."""
    return {
        "sources": [dataclasses.asdict(one) for one in outlooks],
        "photos": sum(one.photos for one in outlooks),
        "requests": sum(one.requests for one in outlooks),
        "hours": max(one.hours for one in outlooks),
        "files": sum(one.files for one in outlooks),
        "gigabytes": sum(one.gigabytes or 0.0 for one in outlooks),
    }


def as_text(outlooks: Sequence[Outlook]) -> str:
    """A line per source, and below what its numbers rest on."""
    lines = [f"{'source':<18}{'photos':>11}{'requests':>11}{'hours':>9}{'files':>11}{'GB':>10}{'hours':>9}"]
    for one in outlooks:
        size = "?" if one.gigabytes is None else f"{one.gigabytes:,.1f}"
        fetch = "" if one.fetch_hours is None else f"{one.fetch_hours:,.1f}"
        lines.append(
            f"{one.source:<18}{one.photos:>11,}{one.requests:>11,}{one.hours:>9,.1f}{one.files:>11,}{size:>10}{fetch:>9}"
        )
    lines += [f"  {one.source}: {'; '.join(one.basis)}" for one in outlooks]
    lines.append("hours: first those of the requests under the quota, then those of the files at the image rate")
    return "\n".join([*lines, "nothing was written, no file was fetched"])
