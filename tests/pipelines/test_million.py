"""A crawl of a million photos goes on within seconds, and its memory does not grow with what it fetches."""

from __future__ import annotations

import csv
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fakes import FakeWeb, World
from fakes import world as worlds
from fakes.faults import UNSPLASH_IMAGES
from fakes.unsplash import image_path
from running import lhq_command

from manifests import schema
from manifests.dataset import Dataset
from pipelines import crawl
from pipelines.engine.pool import InProcess
from pipelines.sources.base import Fetcher, Listing, Page, Source
from pipelines.web.download import WebFetcher

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(1200)]

MILLION = 1_000_000
SECONDS = 5.0
MEMORY = 100.0  # MB by which ten times the photos may cost more


class GoneOnError(Exception):
    """The first photo is about to be fetched."""


class Stops(Source):
    """A source that is read to its end, and stops at the first photo that is still to fetch."""

    name = "unsplash"

    def pages(self, listing: Listing) -> Iterator[Page]:
        assert listing.is_done("search lake")
        yield from ()

    def prepare(self, photo: Mapping[str, Any]) -> str:
        raise GoneOnError(photo["photo_id"])

    def fetcher(self) -> Fetcher:
        return WebFetcher(("images.unsplash.com",), "test")


def filled(columns: pa.Schema, count: int, **values: pa.Array | object) -> pa.Table:
    """Rows with these columns, each an array or one value for all; the rest is null."""
    cells = []
    for field in columns:
        value = values.get(field.name)
        if not isinstance(value, pa.Array):
            value = pa.nulls(count, field.type) if value is None else pa.array([value] * count, field.type)
        cells.append(value.cast(field.type))
    return pa.table(cells, schema=columns)


def test_a_million_photos_half_of_them_fetched_go_on_in_five_seconds(tmp_path):
    dataset = Dataset.open_or_create(tmp_path / "d", "test")
    now = datetime.now(UTC)
    names = [f"{index:011d}" for index in range(MILLION)]
    ids = pa.array([f"unsplash:{name}" for name in names])
    common = {"photo_id": ids, "source": "unsplash", "seen_at": now, "tags": ["sky", "lake"], "tags_raw": ["Sky"]}
    urls = pa.array([f"https://images.unsplash.com/photo-{name}?ixid=M3wx&ixlib=rb-4" for name in names])
    photos = {"source_id": pa.array(names), "image_url": urls, "width": 6000, "height": 4000, "license": "x"}
    dataset.photos_table.append(filled(schema.PHOTOS, MILLION, **common, **photos, extra='{"download_location": "x"}'))
    dataset.sightings_table.append(filled(schema.SIGHTINGS, MILLION, **common, query="lake", rank=0))
    half = {"photo_id": ids.slice(0, MILLION // 2), "status": schema.OK, "fetched_at": now}
    dataset.files_table.append(filled(schema.FILES, MILLION // 2, **half))
    with crawl.Frontier(crawl.path_of(dataset.root)) as frontier:
        frontier.record("unsplash", "search lake", "9", True)
    began = time.process_time()  # what a busy machine adds is not counted
    with pytest.raises(GoneOnError, match=names[MILLION // 2]), InProcess() as pool:
        crawl.run(dataset, [Stops()], pool)
    assert time.process_time() - began < SECONDS


def peak_memory(web: FakeWeb, place: Path, count: int) -> float:
    """MB that a crawl of the first so many photos of the web needs, worker and driver in one process."""
    place.mkdir()
    with (place / "photos.tsv000").open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerow(["photo_id", "photo_image_url", "photo_width", "photo_height", "photo_description"])
        for shot in list(web.world.shots.values())[:count]:
            image = web.url(UNSPLASH_IMAGES) + image_path(shot)
            writer.writerow([shot.id, image, *shot.promised, "a lake at dawn, and mountains behind it"])
    command = lhq_command("crawl", place / "d", "--source", "unsplash-dataset", "--path", place, "--image-rate", "none")
    process = subprocess.Popen([*command, "--workers", "0"], env={**os.environ, **web.env}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    assert Dataset.open(place / "d").files()["status"].to_pylist() == [schema.OK] * count
    return used.ru_maxrss / 1024


def test_memory_is_flat_from_two_thousand_photos_to_twenty_thousand(tmp_path):
    world = World()
    world.add(worlds.scatter("unsplash", 20_000, worlds.queries(1)))
    with FakeWeb(world) as web:
        few = peak_memory(web, tmp_path / "few", 2_000)
        many = peak_memory(web, tmp_path / "many", 20_000)
    assert many - few <= MEMORY, (few, many)
