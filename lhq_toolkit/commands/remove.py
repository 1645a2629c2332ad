"""`lhq remove`: a take-down."""

from __future__ import annotations

import json
import shlex
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lhq_toolkit.commands.options import DatasetPath
from lhq_toolkit.terminal import say
from manifests.counts import plural

if TYPE_CHECKING:
    from pipelines.remove import Findings

SHOWN = 10


def remove(
    dataset: DatasetPath,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="A photo, such as unsplash:NqkTxxK_2ZY; repeatable.")
    ] = None,
    authors: Annotated[
        list[str] | None,
        typer.Option("--author", metavar="URL|NAME", help="All photos of this author: address or name; repeatable."),
    ] = None,
    urls: Annotated[
        list[str] | None, typer.Option("--url", metavar="URL", help="The photo at this page or file; repeatable.")
    ] = None,
    look_into: Annotated[
        list[str] | None,
        typer.Option(
            "--look-into",
            metavar="URL",
            help="Ask this address, where an export went, whether it holds them; others are not asked; repeatable.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON and nothing else; without --yes, only a preview.")
    ] = False,
) -> int:
    """Take photos down: show what goes, ask, and remove it for good.

    Their rows leave every table, review and cache, their image files go unless another photo has the same bytes, and
    later crawls leave them out. What was exported before is listed, not changed.
    """
    from manifests.dataset import Dataset
    from pipelines import remove as pipeline
    from pipelines.removal_request import Request

    request = Request(tuple(ids or ()), tuple(authors or ()), tuple(urls or ()), tuple(look_into or ()))
    findings = pipeline.preview(Dataset.open(dataset), request)
    if not json_:
        say(_preview(findings, dataset))
    if not yes and (json_ or (findings.photos and not _confirmed())):
        print(json.dumps(_as_json(findings, False)) if json_ else "nothing was removed")
        return 0 if json_ else 1
    findings = pipeline.run(Dataset.open(dataset), request)
    say(json.dumps(_as_json(findings, True)) if json_ else _summary(findings, dataset))
    return 0


def _confirmed() -> bool:
    """Whether the person says yes; silence is no."""
    print("Remove them for good? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _preview(findings: Findings, dataset: Path) -> str:
    lines = [f"{dataset}: {_photos(findings)} would be removed"]
    for photo in findings.photos[:SHOWN]:
        facts = (photo["title"], photo["author"] and f"by {photo['author']}", photo["page_url"])
        lines.append(f"  {photo['photo_id']}  " + ", ".join(fact for fact in facts if fact))
    if len(findings.photos) > SHOWN:
        lines.append(f"  ... and {len(findings.photos) - SHOWN:,} more")
    if findings.laid_before:
        lines.append(f"  {findings.laid_before} of what was named had been removed before")
    return "\n".join(lines + _what_goes(findings) + _exports(findings))


def _summary(findings: Findings, dataset: Path) -> str:
    lines = [f"{dataset}: {_photos(findings)} removed; later crawls leave them out"]
    return "\n".join(lines + _what_goes(findings) + _exports(findings))


def _photos(findings: Findings) -> str:
    return plural(len(findings.photos), "photo")


def _what_goes(findings: Findings) -> list[str]:
    rows = ", ".join(f"{name} {count:,}" for name, count in findings.rows.items())
    lines = [f"  rows: {rows}"] if rows else []
    if findings.files:
        lines.append(f"  image files: {len(findings.files):,}")
    if findings.shared:
        lines.append(f"  image files that stay, because other photos have the same bytes: {len(findings.shared):,}")
    return lines


def _exports(findings: Findings) -> list[str]:
    if not findings.exports:
        return []
    lines = ["  exports made before are yours to mend or remove:"]
    for export in findings.exports:
        held, out = export["holds"], export.get("out")
        if held is not None:
            pictures = sorted(chain.from_iterable(held.values()))
            what = f"holds {', '.join(pictures[:SHOWN])}"
            if len(pictures) > SHOWN:
                what += f", and {len(pictures) - SHOWN:,} more (--json names all)"
        elif export["asked"]:
            what = "cannot be looked into"
        else:
            what = f"not asked; to ask it: --look-into {shlex.quote(str(out))}"
        lines.append(f"    {out} (subset {export.get('subset')}, {export.get('at')}): {what}")
    return lines


def _as_json(findings: Findings, removed: bool) -> dict[str, Any]:
    return {
        "removed": removed,
        "photos": [photo["photo_id"] for photo in findings.photos],
        "rows": dict(findings.rows),
        "files": sorted(findings.files.values()),
        "files_kept": list(findings.shared),
        "tombstones": len(findings.stones),
        "removed_before": findings.laid_before,
        "exports": list(findings.exports),
    }
