"""Broken and odd files go through the objects stage: each is one row, good ones are measured, memory stays bounded."""

from __future__ import annotations

import hashlib
import resource
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from encoding import encode
from matrices import mostly_long
from PIL import Image
from storing import stored

from manifests.dataset import Dataset
from manifests.schema import measurement_table
from pipelines.engine.measure import bring_up_to_date, measurements
from pipelines.engine.pool import InProcess
from pipelines.filters.objects import Objects, ObjectsSettings


def files() -> Iterator[tuple[bytes, bool]]:
    """(bytes, whether they can be decoded), of every kind in turn, each with pixels of its own."""
    rng = np.random.default_rng(0)
    at = 0
    while True:
        at += 1
        noise = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        picture = Image.fromarray(noise)
        jpeg, png = encode(picture, "jpeg"), encode(picture, "png")
        yield jpeg, True
        yield png, True
        yield encode(picture.convert("CMYK"), "jpeg"), True
        yield encode(picture.convert("P"), "png"), True
        yield encode(picture.convert("L"), "png"), True
        yield encode(noise[:1, :1], "png"), True
        yield encode(rng.integers(0, 256, (1, 3000, 3), dtype=np.uint8), "png"), True
        yield encode(rng.integers(0, 256, (3000, 1, 3), dtype=np.uint8), "png"), True
        yield encode(picture.resize((900, 30)), "webp"), True
        yield encode(rng.integers(0, 65536, (30, 40), dtype=np.uint16), "png"), True
        yield jpeg[: len(jpeg) // 2], False
        middle = len(png) // 2
        yield png[:middle] + bytes([png[middle] ^ 0xFF]) + png[middle + 1 :], False
        yield b"", False
        yield b"<html>404</html>" + str(at).encode(), False
        yield png[:60] + zlib.compress(b"nothing" + str(at).encode()) + png[-12:], False
        yield jpeg[:200] + jpeg[400:500] + jpeg[-2:], False


@pytest.mark.slow
@pytest.mark.parametrize("count", mostly_long([100, 1000], always=[100]))
def test_broken_and_odd_files_end_well(tmp_path: Path, count: int):
    dataset = Dataset.open_or_create(tmp_path / "d", "test")
    rows, good = [], {}
    made = files()
    while len(rows) < count:
        data, fine = next(made)
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 in good:
            continue
        rows.append(dict(zip(("sha256", "path"), stored(dataset.root, data, "bin"), strict=True)))
        good[sha256] = fine
    rows.append({"sha256": "0" * 64, "path": f"images/00/{'0' * 64}.bin"})
    good["0" * 64] = False
    stage = Objects(ObjectsSettings(detector="small"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = bring_up_to_date(dataset, stage, pa.Table.from_pylist(rows), InProcess())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert done.images == count + 1
    measured = measurements(dataset, stage, done.fingerprint or "").to_pylist()
    assert len(measured) == count + 1
    for row in measured:
        assert (row["error"] is None) == good[row["sha256"]], row
        assert (row["scores"] is None) == (row["error"] is not None)
    assert done.errors == sum(not fine for fine in good.values())
    assert grown < 1000, f"{grown:.0f} MiB more"  # about 800, most of it PyTorch's own, however many files there are
    assert (dataset.root / "tables" / measurement_table("objects")).is_dir()
