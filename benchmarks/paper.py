"""The ALIS paper's numbers (arXiv:2104.06954) as data, `paper.csv`: each with its hardware and where it stands.

Only what could be traced to a source is there. The FID columns of Table 1 are not: no copy that we could read had them.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("paper.csv")


@dataclass(frozen=True)
class Published:
    """One number. model, dataset: empty where it is of none in particular; note: what must be known beside it."""

    model: str
    dataset: str
    resolution: int
    quantity: str
    value: float
    unit: str
    hardware: str
    where: str
    note: str


def published() -> list[Published]:
    """All of them, in the file's order."""
    with FILE.open(newline="", encoding="utf-8") as stream:
        return [_parsed(row) for row in csv.DictReader(stream)]


def _parsed(row: dict[str, str]) -> Published:
    return Published(
        model=row["model"],
        dataset=row["dataset"],
        resolution=int(row["resolution"]),
        quantity=row["quantity"],
        value=float(row["value"]),
        unit=row["unit"],
        hardware=row["hardware"],
        where=row["where"],
        note=row["note"],
    )


def beside(model: str, dataset: str, resolution: int) -> list[Published]:
    """What the paper says of a model that may stand beside a measured row: of this data and size, or of none."""
    return [
        one
        for one in published()
        if one.model == model and one.dataset in ("", dataset) and one.resolution == resolution
    ]
