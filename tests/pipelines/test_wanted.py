"""What is still to fetch: photos without a final file row, each with the attempts it has had since the last one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from manifests import schema
from manifests.dataset import Dataset
from manifests.records import File
from manifests.schema import FAILED, GIVEN_UP, OK
from pipelines.discovery import rows_of
from pipelines.wanted import Attempts


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    dataset = Dataset.open_or_create(tmp_path / "d", "test")
    tried = [
        *(("shy", FAILED), ("good", FAILED), ("good", OK), ("gone", FAILED), ("gone", GIVEN_UP), ("shy", FAILED)),
        *(("lost", FAILED), ("lost", FAILED), ("lost", OK), ("lost", FAILED)),  # lhq verify did not find its file
        *(("again", GIVEN_UP), ("again", FAILED)),
    ]
    rows = [File(photo_id, datetime.now(UTC), status) for photo_id, status in tried]
    dataset.files_table.append(rows_of(rows, schema.FILES))
    return dataset


def test_failures_count_from_the_last_final_row(dataset):
    attempts = Attempts.read(dataset, retry_failed=False)
    assert attempts.failures == {"shy": 2, "lost": 1, "again": 1}
    assert sorted(attempts.final.to_pylist()) == ["gone", "good"]
    assert attempts.given_up.to_pylist() == ["gone"]


def test_whoever_retries_what_failed_begins_to_count_anew(dataset):
    attempts = Attempts.read(dataset, retry_failed=True)
    assert attempts.failures == {}
    assert attempts.final.to_pylist() == ["good"]
    assert attempts.given_up.to_pylist() == []
