"""`lhq doctor`: what this machine has, and what is missing for what."""

from __future__ import annotations

import dataclasses
import json

from lhq_toolkit.commands.options import Json

MARKS = {"ok": "ok", "missing": "--", "broken": "!!"}


def doctor(json_: Json = False) -> int:
    """Look at packages, cores, memory, GPU, disk, weights, keys and plug-ins, and say what is missing for what.

    Exit code 1 only where crawling, filtering or exporting would not work here. Keys are never printed.
    """
    from lhq_toolkit.doctor import OK, examine, healthy, roads

    checks = examine()
    fine = healthy(checks)
    if json_:
        print(
            json.dumps({"ok": fine, "checks": [dataclasses.asdict(check) for check in checks], "roads": roads(checks)})
        )
        return 0 if fine else 1
    width = max(len(check.name) for check in checks)
    for check in checks:
        why = "" if check.state == OK else f"   (for {check.needed_for})"
        print(f"{MARKS[check.state]:<4}{check.name:<{width}}  {check.says}{why}")
    print()
    for road, wanted in roads(checks).items():
        print(f"{road:<30}  {'wants ' + ', '.join(wanted) if wanted else 'open'}")
    print(
        "crawling, filtering and exporting work here" if fine else "NOT READY: mend what is marked !! or --, from above"
    )
    return 0 if fine else 1
