"""A graphics card that runs out of memory halves the batch, and the run goes on; other errors stay what they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
import torch
from storing import stored_greys

from manifests.errors import SetupError
from pipelines.engine.measure import StageWorker
from pipelines.engine.memory import Halving
from pipelines.engine.pool import InProcess
from pipelines.engine.stage import RGB, Resources, Stage, StageSettings, Verdicts


class Hungry(Stage[StageSettings]):
    """Measures the mean of at most `room` images at once; with more the card runs out of memory."""

    name, version = "hungry", 1
    settings_type = StageSettings
    columns = {"mean": pa.float32()}  # noqa: RUF012
    resources = Resources(batch_size=16)

    def __init__(self, room: int, says: str = "") -> None:
        super().__init__(StageSettings())
        self.min_side, self.room, self.says = 8, room, says
        self.calls: list[int] = []

    def measure(self, sha256s: Sequence[str], images: Sequence[RGB]) -> Mapping[str, Sequence[Any]]:
        self.calls.append(len(images))
        if len(images) > self.room:
            raise RuntimeError(self.says) if self.says else torch.cuda.OutOfMemoryError("CUDA out of memory")
        return {"mean": [float(image.mean()) for image in images]}

    def decide(self, view: pa.Table) -> Verdicts:
        raise NotImplementedError


@pytest.fixture
def items(tmp_path) -> list[tuple[str, str]]:
    """50 pictures of one grey each."""
    return stored_greys(tmp_path, [(20, 10)] * 50)


def measured(tmp_path, items, stage) -> dict[str, float]:
    rows: list[dict] = []
    with InProcess() as pool:
        pool.run(StageWorker(tmp_path, stage, None, "f"), items, 64, lambda batch: rows.extend(batch.rows.to_pylist()))
    assert len(rows) == len({row["sha256"] for row in rows})
    assert not any(row["error"] for row in rows)
    return {row["sha256"]: row["mean"] for row in rows}


@pytest.mark.parametrize("says", ["", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED when ..."])
def test_the_batch_halves_until_it_fits_and_stays_so(tmp_path, items, says):
    stage = Hungry(room=3, says=says)
    assert measured(tmp_path, items, stage) == {sha256: at for at, (sha256, _) in enumerate(items)}
    assert stage.calls[:4] == [16, 8, 4, 2]
    assert max(stage.calls[3:]) == 2, "what did not fit once is not tried again"


def test_every_size_of_room_gives_the_same_rows(tmp_path, items):
    tables = [measured(tmp_path, items, Hungry(room)) for room in (1, 2, 5, 16)]
    assert all(table == tables[0] for table in tables)


def test_one_image_without_room_stops_with_what_to_do(tmp_path, items):
    with pytest.raises(SetupError, match="CUDA_VISIBLE_DEVICES= to compute on the processor"):
        measured(tmp_path, items, Hungry(room=0))


def test_another_error_is_no_lack_of_memory(tmp_path, items):
    stage = Hungry(room=3, says="shapes do not fit")
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        measured(tmp_path, items, stage)
    assert stage.calls == [16]


def test_a_failed_attempt_holds_nothing_when_the_next_begins():
    alive: list[int] = []

    class Block:
        def __init__(self) -> None:
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    def work(part: Sequence[int]) -> int:
        assert not alive
        block = Block()
        if len(part) > 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        del block
        return part[0]

    assert [result for _, result in Halving().call(work, range(5))] == [0, 1, 2, 3, 4]
