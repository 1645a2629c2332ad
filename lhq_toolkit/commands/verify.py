"""`lhq verify`: is the dataset what it says?"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from shlex import quote
from typing import Annotated

import typer

from lhq_toolkit.commands.options import DatasetPath, Json
from lhq_toolkit.terminal import say
from manifests.counts import plural

SHOWN = 20  # of each kind


def verify(
    dataset: DatasetPath,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Mend what is safe: put damaged files aside and mark them for the next crawl, remove leftovers.",
        ),
    ] = False,
    json_: Json = False,
) -> int:
    """Check every file's hash, every row's reference, recipes, fits and databases, and look for leftovers.

    Exit code 1, and a list, where something is wrong and was not repaired. Changes nothing without --repair.
    """
    from manifests.dataset import Dataset
    from pipelines import repair as repairs
    from pipelines import verify as pipeline
    from pipelines.findings import SAFE

    opened = Dataset.open(dataset)
    found = repairs.repair(opened) if repair else pipeline.verify(opened)
    if json_:
        print(json.dumps({**dataclasses.asdict(found), "ok": not found.findings}))
        return 1 if found.findings else 0
    say(
        f"{dataset}: {plural(found.files, 'file')} ({found.bytes / 1e9:.2f} GB) and "
        f"{plural(found.rows, 'row')} are as they should be"
    )
    for title, findings in (("repaired", found.repaired), ("wrong", found.findings)):
        shown: Counter[str] = Counter()
        for one in findings:
            shown[one.kind] += 1
            if shown[one.kind] <= SHOWN:
                say(f"  {title}: {one.kind}: {one.where}: {one.what}")
        for kind, count in shown.items():
            if count > SHOWN:
                say(f"  {title}: {kind}: {count - SHOWN:,} more (--json lists all)")
    for note in found.notes:
        say(f"  note: {note}")
    safe = sum(one.kind in SAFE for one in found.findings)
    if safe and not repair:
        say(f"  {safe:,} of these are mended by: lhq verify {quote(str(dataset))} --repair")
    return 1 if found.findings else 0
