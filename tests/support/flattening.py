"""The flat manifest of a funnel as one table."""

from __future__ import annotations

import pyarrow as pa

from pipelines.funnel import Funnel
from pipelines.manifest import flatten


def flat_table(funnel: Funnel) -> pa.Table:
    """All stretches, one after another."""
    return pa.concat_tables(flatten(funnel))
