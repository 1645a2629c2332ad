"""Ten times the photos cost ten times as much: in bytes, columns and parts, which a busy machine does not change."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.perf import _crawled
from lhq_toolkit import show
from lhq_toolkit.report.facts import gather
from lhq_toolkit.review.index import Index
from manifests import stretches, tables
from manifests.dataset import Dataset
from pipelines import filter as pipeline
from pipelines import manifest, verify
from pipelines.engine.pool import InProcess
from pipelines.filter import existing
from pipelines.filters.duplicates import Duplicates
from pipelines.funnel import walk

FEW, MANY, PICTURES = 2_000, 20_000, 4


def made(root: Path, rows: int) -> Dataset:
    dataset = _crawled.make(root, rows, PICTURES)
    with InProcess() as pool:
        wanted = pipeline.Request(
            stages=("tags", "resolution", "duplicates"), settings={"resolution": {"min_side": "1"}}
        )
        pipeline.run(dataset, wanted, pool)
    return dataset


@pytest.fixture(scope="module")
def datasets(tmp_path_factory) -> tuple[Dataset, Dataset]:
    """A few photos and ten times as many, in parts whose row groups are so small that both have many."""
    place = tmp_path_factory.mktemp("growth")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "ROW_GROUP", 1_000)
        return made(place / "few", FEW), made(place / "many", MANY)


def decided_again(dataset: Dataset, place: Path) -> None:
    with InProcess() as pool:
        pipeline.run(dataset, pipeline.Request(settings={"resolution": {"min_side": "200"}}), pool)


def status(dataset: Dataset, place: Path) -> None:
    show.status(walk(dataset, existing(dataset, "curated"), ()))


def written(dataset: Dataset, place: Path) -> None:
    manifest.write(dataset, existing(dataset, "curated"), place / f"{dataset.root.name}.parquet")


def reported(dataset: Dataset, place: Path) -> None:
    gather(dataset, existing(dataset, "curated"), "test")


def reviewed(dataset: Dataset, place: Path) -> None:
    Index(dataset, "curated")


def verified(dataset: Dataset, place: Path) -> None:
    assert not verify.verify(dataset).findings


COMMANDS = (decided_again, status, written, reported, reviewed, verified)
POOLS: list[pa.MemoryPool] = []  # kept: what was taken from one may be given back later


def peak(act: Callable[[], object]) -> int:
    """The most bytes that Arrow held for it."""
    usual = pa.default_memory_pool()
    POOLS.append(pa.proxy_memory_pool(usual))
    pa.set_memory_pool(POOLS[-1])
    try:
        act()
    finally:
        pa.set_memory_pool(usual)
    return int(POOLS[-1].max_memory())


@pytest.fixture
def short_stretches(monkeypatch):
    monkeypatch.setattr(stretches, "ROWS", 500)
    monkeypatch.setattr(stretches, "MOST", MANY // 500)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_memory_grows_no_faster_than_the_photos(datasets, tmp_path, short_stretches, command):
    few, many = (peak(lambda one=one: command(one, tmp_path)) for one in datasets)
    print(command.__name__, few, many, many / few)
    assert many <= 11 * few


@pytest.mark.slow
def test_what_a_manifest_needs_beyond_the_funnel_does_not_grow(datasets, tmp_path, short_stretches):
    beyond = []
    for dataset in datasets:
        funnel = walk(dataset, existing(dataset, "curated"), ())
        beyond.append(peak(lambda funnel=funnel: deque(manifest.flatten(funnel), maxlen=1)))
    print(beyond)
    assert beyond[1] <= 2 * beyond[0]


class Watched(pq.ParquetFile):
    """Remembers which part was opened how often, and which columns were read of it."""

    opened: ClassVar[Counter[Path]] = Counter()
    columns: ClassVar[defaultdict[str, set[str]]] = defaultdict(set)

    def __init__(self, source, **how) -> None:
        super().__init__(source, **how)
        self.table = Path(source).parts[-3]
        self.opened[Path(source)] += 1

    def read(self, columns=None, **how) -> pa.Table:
        self.columns[self.table].update(self.schema_arrow.names if columns is None else columns)
        return super().read(columns, **how)

    def read_row_groups(self, groups, columns=None, **how) -> pa.Table:
        self.columns[self.table].update(self.schema_arrow.names if columns is None else columns)
        return super().read_row_groups(groups, columns, **how)


@pytest.fixture
def watched(monkeypatch) -> type[Watched]:
    Watched.opened.clear()
    Watched.columns.clear()
    monkeypatch.setattr(tables.pq, "ParquetFile", Watched)
    return Watched


@pytest.mark.parametrize("command", [decided_again, status])
def test_a_decision_reads_each_part_once_or_twice_and_only_what_its_stages_look_at(
    datasets, tmp_path, watched, command
):
    command(datasets[1], tmp_path)
    assert watched.columns == {
        "photos": {"photo_id", "tags", "width", "height", "license"},
        "files": {"photo_id", "sha256", "path", "status", "error", "width", "height"},
        "measurements_duplicates": {"sha256", "error", *Duplicates.columns},
    }
    assert max(watched.opened.values()) == 1
