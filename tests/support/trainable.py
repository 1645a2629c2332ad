"""One subset of twelve photos as exports that can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny

from benchmarks import exports
from manifests.dataset import Dataset
from pipelines.engine.pool import InProcess
from pipelines.export import shards
from pipelines.export.run import run
from pipelines.export.wanted import Wanted
from pipelines.filter import existing


def exports_of(lhq: Any, place: Path, forms: Sequence[Any]) -> dict[str, Path]:
    """An export of each format: 12 photos with 2 crops each, a part held back, shards of 5 pictures."""
    tiny.write(place / "photos", tiny.images(12, resolution=64))
    crawl = ("crawl", place / "d", "--source", "folder", "--path", place / "photos", "--workers", 0)
    assert lhq(*crawl).code == 0
    dataset = Dataset.open(place / "d")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 5 * 3 * 32**2)
        for form in forms:
            wanted = Wanted(form, 32, crops=2, validation=0.3)
            run(dataset, existing(dataset, "curated"), str(place / form), wanted, InProcess(), "test")
    return {form: place / form for form in forms}


def first_shard(out: Path) -> Path:
    return min(path for pattern in exports.SHARDS.values() for path in out.glob(pattern))
