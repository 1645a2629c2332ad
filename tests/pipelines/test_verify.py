"""`lhq verify` beside a crawl: what is written while it looks is not taken for damage."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from manifests import schema
from manifests.dataset import CRAWL_LOCK, Dataset
from manifests.records import File, Photo, Sighting
from manifests.tables import FAN_IN
from pipelines import verify
from pipelines.discovery import rows_of

NOW = datetime(2024, 2, 3, tzinfo=UTC)


def crawl(dataset: Dataset, first: int, count: int) -> None:
    """A row of each table for each photo, in the order in which a crawl writes them, one commit a photo."""
    for number in range(first, first + count):
        one = f"trial:{number}"
        dataset.photos_table.append(rows_of([Photo(one, "trial", str(number), NOW)], schema.PHOTOS))
        dataset.sightings_table.append(rows_of([Sighting(one, "trial", "all", number, NOW)], schema.SIGHTINGS))
        dataset.files_table.append(rows_of([File(one, NOW, schema.GIVEN_UP, error="gone")], schema.FILES))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    dataset = Dataset.open_or_create(tmp_path / "d", "test")
    crawl(dataset, 0, FAN_IN - 1)
    return dataset


@pytest.mark.parametrize("step", ["read_through", "all_tables"])  # before a part is read; before what points to rows
def test_a_crawl_that_goes_on_meanwhile_is_no_damage(dataset, monkeypatch, step):
    known, crawled = getattr(verify, step), [FAN_IN - 1]

    def while_a_crawl_goes_on(*arguments):
        if crawled[0] < 3 * FAN_IN:
            crawl(dataset, crawled[0], FAN_IN + 1)  # merges twice, which sweeps the parts that were there
            crawled[0] += FAN_IN + 1
        return known(*arguments)

    monkeypatch.setattr(verify, step, while_a_crawl_goes_on)
    with dataset.lock(CRAWL_LOCK):
        assert verify.verify(dataset).findings == []
    assert crawled[0] >= 3 * FAN_IN
