"""What people said of the photos, for the report: how well each filter agrees with them."""

from __future__ import annotations

from pipelines.agreement import Agreement, agreement
from pipelines.funnel import Funnel


def reviewed(funnel: Funnel) -> Agreement | None:
    """What the reviewed random sample says of the filters; None where nothing of it is reviewed."""
    if funnel.verdicts is None or not funnel.verdicts.standing:
        return None
    found = agreement(funnel)
    return found if found.sampled > found.flagged else None
