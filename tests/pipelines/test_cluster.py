"""A crawl and a filter on a Ray cluster of two nodes: they survive the death of one, the crawl keeps its limits."""

from __future__ import annotations

import bisect
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from comparing import assert_equal_datasets
from fakes import FakeWeb, Plan
from fakes.faults import IMAGES, Fault, Place
from matrices import mostly_long
from PIL import Image
from running import lhq_command
from web_crawl import Crawl, assert_complete, made_up

from pipelines.filters import OURS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

RATE = 40  # image requests a second, of each host
CONNECTIONS = 6
SLOW = Plan([Fault("slow", place, 1.0, times=1, seconds=0.3) for place in IMAGES])

# Started in a process of its own, so that neither its Ray nor its environment meets that of the tests.
CLUSTER = """
import json, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
other = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(json.dumps({"address": cluster.address}), flush=True)
sys.stdin.readline()
cluster.remove_node(other, allow_graceful=False)
print("removed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@dataclass
class Cluster:
    """Two nodes with one processor each; `kill_node` ends the one that is not the head."""

    process: subprocess.Popen[str]
    address: str

    def kill_node(self) -> None:
        self._say()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "removed\n"

    def _say(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def cluster(**env: str) -> Iterator[Cluster]:
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **env},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield Cluster(process, json.loads(process.stdout.readline())["address"])
    finally:
        process.communicate("\n\n", timeout=60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def crawl(tmp_path: Path) -> Iterator[Crawl]:
    world, asked = made_up(500, 8)
    with FakeWeb(world, SLOW) as web:
        yield Crawl(web, tmp_path, asked)


def busiest_at_once(crawl: Crawl, place: Place) -> int:
    """The most requests under way at the same moment, of those that ran to their end: each took at least 0.3 s."""
    asked = Counter(entry.item for entry in crawl.web.entries(place))
    times = sorted(entry.at for entry in crawl.web.entries(place) if asked[entry.item] == 1)
    return max(bisect.bisect_left(times, at + 0.3) - first for first, at in enumerate(times))


def test_a_node_that_dies_in_the_middle_costs_nothing_and_the_limits_hold(crawl):
    limits = ("--image-rate", f"{RATE}/s", "--connections", CONNECTIONS, "--workers", 2)
    with cluster() as nodes:
        command = crawl.command("--ray-address", nodes.address, *limits, "--json")
        process = subprocess.Popen(command, env=crawl.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while len(crawl.web.entries(*IMAGES)) < 60:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        nodes.kill_node()
        at_death = len(crawl.web.entries(*IMAGES))
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert max(Counter(entry.item for entry in crawl.web.entries(*IMAGES)).values()) > 1, "it died with work in hand"
    assert at_death < len(crawl.web.world.wanted(crawl.queries)), "it died in the middle"
    assert json.loads(out)["failed"] == 0
    assert_complete(crawl)
    for place in IMAGES:
        assert crawl.web.busiest(place, 1.0) <= RATE
        assert busiest_at_once(crawl, place) <= CONNECTIONS


MEASURING = {  # every stage that measures, with settings that need no weights and make a fit quick
    "duplicates": (),
    "objects": ("objects.detector=small",),
    "likelihood": ("likelihood.features=small", "likelihood.sample=16"),
    "invariance": ("invariance.folds=2",),
}
PHOTOGRAPHS = 64


@pytest.fixture(scope="module")
def photographs(lhq, tmp_path_factory) -> Path:
    """A crawled dataset of pictures that take a while to decode; the same picture in files of their own."""
    place = tmp_path_factory.mktemp("photographs")
    (place / "pictures").mkdir()
    for kind in range(8):
        picture = Image.effect_mandelbrot((2100, 1400), (-2 + kind / 9, -1.2, 1, 1.2), 60).convert("RGB")
        noisy = Image.blend(picture, Image.effect_noise(picture.size, 90).convert("RGB"), 0.4)
        buffer = io.BytesIO()
        noisy.save(buffer, "JPEG", quality=92, progressive=True)
        for copy in range(kind, PHOTOGRAPHS, 8):
            (place / "pictures" / f"{copy:03d}.jpg").write_bytes(buffer.getvalue() + bytes([copy]))  # after its end
    crawl = ("crawl", place / "d", "--source", "folder", "--path", place / "pictures", "--workers", "0")
    assert lhq(*crawl).code == 0
    return place / "d"


def test_every_stage_that_measures_is_among_these():
    assert set(MEASURING) == {name for name, stage in OURS.items() if stage.columns}


@pytest.mark.parametrize("stage", mostly_long(list(MEASURING), ("duplicates",)))
def test_a_node_that_dies_while_a_stage_measures_costs_nothing(lhq, photographs, tmp_path, stage):
    settings = [part for one in MEASURING[stage] for part in ("--set", one)]
    shutil.copytree(photographs, tmp_path / "d")
    shutil.copytree(photographs, tmp_path / "here")
    assert lhq("filter", tmp_path / "here", f"--{stage}", *settings, "--workers", "0").code == 0
    measured = tmp_path / "d" / "tables" / f"measurements_{stage}"
    with cluster() as nodes:
        command = lhq_command("filter", tmp_path / "d", f"--{stage}", *settings, "--workers", 2)
        process = subprocess.Popen(
            [*command, "--ray-address", nodes.address, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 240
        while not list(measured.rglob("part-*.parquet")):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        nodes.kill_node()
        at_death = sum(pq.read_metadata(part).num_rows for part in measured.rglob("part-*.parquet"))
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    assert 0 < at_death < PHOTOGRAPHS, "it died in the middle"
    assert json.loads(out)["stages"][stage]["errors"] == 0
    assert_equal_datasets(tmp_path / "d", tmp_path / "here")


def test_a_node_with_another_checkout_is_refused(crawl, tmp_path):
    """The workers of this cluster import a copy of the project in which one line differs."""
    here = Path(__file__).parents[2]
    other = tmp_path / "checkout"
    for package in ("manifests", "models", "pipelines"):
        shutil.copytree(here / package, other / package)
    with (other / "manifests" / "errors.py").open("a") as stream:
        stream.write("\n# another checkout\n")
    with cluster(PYTHONPATH=str(other)) as nodes:
        ran = subprocess.run(
            crawl.command("--ray-address", nodes.address),
            env={**crawl.env, "PYTHONPATH": str(here)},
            cwd=tmp_path,  # Ray lends its workers the directory that the driver runs in
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "another checkout" in ran.stderr
    assert not crawl.web.entries(*IMAGES)
