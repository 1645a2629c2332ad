"""A worker holds a bounded number of pixels, hands the rest of its batch back, and loses no image."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from storing import stored_greys

from pipelines.engine import measure
from pipelines.engine.measure import StageWorker
from pipelines.engine.pool import InProcess
from pipelines.engine.share import Share
from pipelines.engine.stage import RGB, Resources, Stage, StageSettings, Verdicts


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
    items = stored_greys(tmp_path, [(200, 100)] * 9)  # 60,000 bytes of pixels each
    (tmp_path / items[4][1]).write_bytes(b"\x89PNG\r\n\x1a\n broken")
    rows: list[dict] = []
    with InProcess() as pool:
        worker = StageWorker(tmp_path, Brightness(StageSettings()), None, "f")
        pool.run(worker, items, 64, lambda batch: rows.extend(batch.rows.to_pylist()))
    assert max(held) <= 120_000
    assert {row["sha256"] for row in rows} == {sha256 for sha256, _ in items}
    assert [row["sha256"] for row in rows if row["error"]] == [items[4][0]]
    means = {row["sha256"]: row["mean"] for row in rows if not row["error"]}
    np.testing.assert_allclose([means[sha] for at, (sha, _) in enumerate(items) if at != 4], [0, 1, 2, 3, 5, 6, 7, 8])


class ByWidth(Brightness):
    """Measures images of one width together."""

    resources = Resources(batch_size=4)

    def alike(self, image: RGB) -> int:
        return image.shape[1]

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:
        widths.append([image.shape[1] for image in images])
        return {"mean": [float(image.mean()) for image in images]}


widths: list[list[int]] = []


def test_images_of_a_kind_are_measured_together_and_rare_kinds_are_not_forgotten(tmp_path):
    widths.clear()
    items = stored_greys(tmp_path, [(50 if at == 7 else 20 + 10 * (at % 2), 10) for at in range(60)])
    rows: list[dict] = []
    with InProcess() as pool:
        worker = StageWorker(tmp_path, ByWidth(StageSettings()), None, "f")
        pool.run(worker, items, 16, lambda batch: rows.extend(batch.rows.to_pylist()))
    assert {row["sha256"]: row["mean"] for row in rows} == {sha256: at for at, (sha256, _) in enumerate(items)}
    assert len(rows) == len(items)
    assert all(len(set(group)) == 1 for group in widths)
    assert len(widths) <= 60 / 4 + 4, "nearly all groups are full"


class Waiting(Brightness):
    """Measures only once an image of the next batch is being decoded."""

    resources = Resources(batch_size=2)

    def prepare(self, image: RGB) -> RGB:
        prepared.append(int(image[0, 0, 0]))
        return image

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:
        last = max(int(image[0, 0, 0]) for image in images)
        deadline = time.monotonic() + 20
        while last < 19 and max(prepared) <= last:
            assert time.monotonic() < deadline, "nothing is read while a batch is measured"
            time.sleep(0.001)
        return {"mean": [float(image.mean()) for image in images]}


prepared: list[int] = []


def test_the_next_images_are_read_while_a_batch_is_measured_also_from_one_call_to_the_next(tmp_path):
    prepared.clear()
    items = stored_greys(tmp_path, [(20, 10)] * 20)
    done: list[int] = []
    with InProcess() as pool:
        worker = StageWorker(tmp_path, Waiting(StageSettings()), None, "f")
        pool.run(worker, items, 8, lambda batch: done.append(batch.done))
    assert sum(done) == 20
    assert len(done) > 2
    assert sorted(prepared) == list(range(20)), "each is read once"


def test_a_worker_hands_in_what_it_has_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "SECONDS", 0.0)
    items = stored_greys(tmp_path, [(20, 10)] * 24)
    worker = StageWorker(tmp_path, ByWidth(StageSettings()), None, "f")
    worker.setup(Share())
    batch = worker.run(items)
    assert batch.done == 4
    assert [*batch.kept, *batch.left_of(items)] == items[4:]
    assert list(batch.kept) == items[4:12], "what is read already stays with this worker"
