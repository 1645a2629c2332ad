"""A worker holds a bounded number of pixels, hands the rest of its batch back, and loses no image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from pipelines.engine import measure
from pipelines.engine.measure import StageWorker
from pipelines.engine.pool import InProcess
from pipelines.engine.stage import RGB, Stage, StageSettings, Verdicts


class Brightness(Stage[StageSettings]):
    name, version = "brightness", 1
    settings_type = StageSettings
    min_side = 8
    columns = {"mean": pa.float32()}  # noqa: RUF012

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:
        held.append(sum(image.nbytes for image in images))
        return {"mean": [float(image.mean()) for image in images]}

    def decide(self, view: pa.Table) -> Verdicts:
        raise NotImplementedError


held: list[int] = []


def test_a_batch_of_large_images_is_cut_to_size_and_every_image_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "BATCH_BYTES", 100_000)
    items = []
    for at in range(9):
        path = tmp_path / f"{at}.png"
        Image.new("RGB", (200, 100), (at, at, at)).save(path)  # 60,000 bytes of pixels
        items.append((hashlib.sha256(path.read_bytes()).hexdigest(), path.name))
    (tmp_path / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    rows: list[dict] = []
    with InProcess() as pool:
        worker = StageWorker(tmp_path, Brightness(StageSettings()), None, "f")
        pool.run(worker, items, 64, lambda batch: rows.extend(batch.rows.to_pylist()))
    assert max(held) <= 120_000
    assert {row["sha256"] for row in rows} == {sha256 for sha256, _ in items}
    assert [row["sha256"] for row in rows if row["error"]] == [items[4][0]]
    means = {row["sha256"]: row["mean"] for row in rows if not row["error"]}
    np.testing.assert_allclose([means[sha] for at, (sha, _) in enumerate(items) if at != 4], [0, 1, 2, 3, 5, 6, 7, 8])
